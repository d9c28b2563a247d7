"""The word lists that a forest was trained with: what `words.json` holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LISTED = 100

# Function words of English, written for this project, apostrophes dropped as in features.py.
_STOP_WORDS = """
    a about above across after again against all almost along already also although always am among
    an and another any anybody anyone anything are arent around as at away back be became because
    been before behind being below beside between both but by can cannot cant could couldnt did
    didnt do does doesnt doing done dont down during each either enough even ever every everybody
    everyone everything few for from further had hadnt has hasnt have havent having he her here hers
    herself him himself his how however i id if ill im in indeed into is isnt it its itself ive just
    least less let many may me might mine more most much must my myself near neither never no nobody
    none nor not nothing now of off often on once one only onto or other others our ours ourselves
    out over own perhaps quite rather same several shall she should shouldnt since so some somebody
    someone something sometimes somewhat soon still such than that thats the their theirs them
    themselves then there therefore these they theyre theyve this those though through thus to
    together too toward towards under until unto up upon us very was wasnt we were werent weve what
    whatever when where whether which while who whoever whole whom whose why will with within
    without wont would wouldnt yet you your youre yours yourself yourselves youve
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True)
class WordLists:
    """Stop words, and the most and least frequent words of a corpus in column order.

    The two lists share no word. An empty string fills a place that a small corpus leaves open; no
    word equals it, so its column is 0.
    """

    stop: frozenset[str]
    frequent: tuple[str, ...]
    rare: tuple[str, ...]

    def columns(self) -> dict[str, int]:
        """The column of each listed word, counted from the first frequent word."""
        listed = (*self.frequent, *self.rare)
        return {word: column for column, word in enumerate(listed) if word}

    def write(self, path: Path) -> None:
        lists = {"stop": sorted(self.stop), "frequent": self.frequent, "rare": self.rare}
        path.write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")


def from_words(texts: Iterable[Iterable[str]]) -> WordLists:
    """The lists of a corpus, each text given as its words.

    Words are ordered by `(-count, word)`: ties break alphabetically, because nearly all of the
    least frequent words of real text occur once and any other pick would be an accident.
    """
    counts = Counter(word for words in texts for word in words)
    order = sorted(counts, key=lambda word: (-counts[word], word))
    open_places = [""] * LISTED
    frequent = [*order[:LISTED], *open_places][:LISTED]
    rare = [*order[LISTED:][-LISTED:], *open_places][:LISTED]
    return WordLists(STOP_WORDS, tuple(frequent), tuple(rare))


def read(path: Path) -> WordLists:
    """The lists of a `words.json`; ValueError when it is not one."""
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        found = WordLists(frozenset(lists["stop"]), tuple(lists["frequent"]), tuple(lists["rare"]))
    except (KeyError, TypeError, json.JSONDecodeError) as problem:
        raise ValueError(f"{path.name} holds no word lists: {problem!r}") from problem
    for word in (*found.stop, *found.frequent, *found.rare):
        if not _is_word(word):
            raise ValueError(
                f"{path.name} must list words of lower-case ASCII letters and digits, not {word!r}"
            )
    if len(found.frequent) != LISTED or len(found.rare) != LISTED:
        raise ValueError(
            f"{path.name} must list {LISTED} frequent and {LISTED} rare words, "
            f"not {len(found.frequent)} and {len(found.rare)}"
        )
    return found


def _is_word(word: object) -> bool:
    """Whether a text can hold it, once lower-cased as in features.py; or an open place."""
    if not isinstance(word, str):
        return False
    return not word or (word.isascii() and word.isalnum() and word == word.lower())
