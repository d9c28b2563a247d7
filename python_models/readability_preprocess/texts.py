"""What an excerpt is turned into before anything counts or tokenises it."""

from __future__ import annotations

from collections.abc import Sequence

# Typography that differs between sources of the same prose. Both models see the folded text.
FOLDED = {
    "\u2018": "'",  # quotation marks and apostrophes
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",  # dashes
    "\u2014": "-",
    "\u2026": ".",  # ellipsis
    "\u00a0": " ",  # no-break space
}
_TABLE = str.maketrans(FOLDED)


def folded(excerpts: Sequence[str]) -> list[str]:
    """The excerpts with typographic characters folded to ASCII, one for one.

    Raises ValueError for an excerpt without a visible character, naming its row in a batch.
    """
    for row, excerpt in enumerate(excerpts):
        if not excerpt or excerpt.isspace():
            where = f" in row {row} of {len(excerpts)}" if len(excerpts) > 1 else ""
            raise ValueError(f"input 'excerpt' is empty or blank{where}: give a text to rate")
    return [text if text.isascii() else text.translate(_TABLE) for text in excerpts]
