"""The 207 features of a text: the one definition, for training and both devices.

After NVIDIA's readability pipeline ("Serving ML Model Pipelines on NVIDIA Triton Inference Server
with Ensemble Models", developer.nvidia.com): seven counts, then how often each of the 100 most and
the 100 least frequent words of the training corpus occurs. What that text leaves open is decided
here, on folded text (texts.py) and in ASCII alone, so that bytes, characters and GPU strings agree:

- A *word* is a maximal run of ASCII letters and digits, lower-cased, once apostrophes are dropped
  ("Don't" is the word "dont"). Every other character separates words.
- *Punctuation* is each of the 32 characters of `string.punctuation`.
- A *sentence* ends at `.`, `!` or `?` before a blank or the end, where closing quotes and anything
  else that is no word, mark or blank may stand between. It counts if it holds a word, so a last
  sentence without its full stop counts, and ". . ." does not.
- Frequencies are *relative*: occurrences divided by the number of words. Texts differ in length.
- Ratios are 0 where the denominator is 0, so every feature of every text is finite.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from .ragged import per_row, tally
from .words import WordLists

WORD_CHARACTERS = string.ascii_letters + string.digits
DROPPED = "'"
PUNCTUATION = string.punctuation
END_MARKS = ".!?"
BLANKS = " \t\n\r\v\f"

SUMMARY = (
    "words",
    "distinct_words",
    "punctuation_characters",
    "sentences",
    "words_per_sentence",
    "stop_words",
    "stop_words_per_sentence",
)
COUNTED = 5  # of SUMMARY, these five are counted; the two ratios follow from them

# Shared with the GPU step: a word character is "w", an end mark ".", a blank " "; the rest is
# dropped. Then ". " separates sentences.
CLASSES = {
    **dict.fromkeys(WORD_CHARACTERS, "w"),
    **dict.fromkeys(END_MARKS, "."),
    **dict.fromkeys(BLANKS, " "),
}


def names(lists: WordLists) -> list[str]:
    """The 207 column names, in order."""
    frequent = [f"frequent:{word}" for word in lists.frequent]
    return [*SUMMARY, *frequent, *(f"rare:{word}" for word in lists.rare)]


def assemble(counts: Any, occurrences: Any, xp: Any) -> Any:
    """Features [B, 7 + L] float32 from counts, for any array library `xp` of numpy's kind.

    `counts` [B, 5]: words, distinct words, punctuation, sentences, stop words; `occurrences`
    [B, L]: of each listed word. Both exact integers in float64; the one rounding is at the end.
    """
    words, _, _, sentences, stops = (counts[:, column : column + 1] for column in range(COUNTED))
    per = xp.maximum(sentences, 1.0)
    return xp.concatenate(
        [
            counts[:, :4],
            words / per,
            stops,
            stops / per,
            occurrences / xp.maximum(words, 1.0),
        ],
        axis=1,
    ).astype(xp.float32)


def _byte_tables() -> tuple[bytes, bytes, bytes]:
    words = bytearray(b" " * 256)
    classes = bytearray(256)
    for character in WORD_CHARACTERS:
        words[ord(character)] = ord(character.lower())
    for character, kind in CLASSES.items():
        classes[ord(character)] = ord(kind)
    unclassed = bytes(code for code in range(256) if not classes[code])
    return bytes(words), bytes(classes), unclassed


# UTF-8 never hides an ASCII byte inside another character, so translating bytes is exact.
_WORDS, _CLASSES, _UNCLASSED = _byte_tables()
_DROPPED = DROPPED.encode()
_PUNCTUATION = PUNCTUATION.encode()


def words_of(text: str) -> list[bytes]:
    """The words of one folded text, in order, as ASCII bytes."""
    return text.encode("utf-8", "replace").translate(_WORDS, _DROPPED).split()


def _sentences(raw: bytes) -> int:
    classes = raw.translate(_CLASSES, _UNCLASSED)
    stretches = classes.replace(b". ", b"|").translate(None, b". ")
    return stretches.count(b"w|") + stretches.endswith(b"w")  # those that are not empty


class FeatureCounter:
    """Counts folded texts on the CPU: `[B]` strings to features `[B, 207]` float32."""

    def __init__(self, lists: WordLists) -> None:
        columns = lists.columns()
        known = [*columns, *sorted(lists.stop - columns.keys())]
        # The last code, which -1 indexes, is that of every other word.
        self._codes = {word.encode(): code for code, word in enumerate(known)}
        self._column = np.array([*(columns.get(word, -1) for word in known), -1])
        self._is_stop = np.array([*(word in lists.stop for word in known), False])
        self._width = len(lists.frequent) + len(lists.rare)

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        raws = [text.encode("utf-8", "replace") for text in texts]
        found = [raw.translate(_WORDS, _DROPPED).split() for raw in raws]
        lengths = list(map(len, found))
        codes = self._coded(chain.from_iterable(found), sum(lengths))
        rows = np.repeat(np.arange(len(texts)), lengths)
        counts = [
            lengths,
            [len(set(words)) for words in found],
            [len(raw) - len(raw.translate(None, _PUNCTUATION)) for raw in raws],
            list(map(_sentences, raws)),
            per_row(rows[self._is_stop[codes]], len(texts), np),
        ]
        occurrences = tally(rows, self._column[codes], (len(texts), self._width), np)
        stacked = np.array(counts, np.float64).T
        features: npt.NDArray[np.float32] = assemble(stacked, occurrences, np)
        return features

    def _coded(self, words: Iterable[bytes], count: int) -> npt.NDArray[np.int64]:
        return np.fromiter(map(self._codes.get, words, repeat(-1)), np.int64, count)
