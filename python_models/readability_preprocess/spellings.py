"""Words whose ids are known: a text of such words needs no tokeniser, only a look into a dict.

WordPiece spells every word by itself, and BERT's splitting of plain ASCII is one regular
expression; so the ids of a text are those of its words, one after another. Text of any other kind
is left to `tokenizers`.
"""

from __future__ import annotations

import re
import string
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

_WORDS = re.compile(rf"[a-z0-9]+|[{re.escape(string.punctuation)}]")
_BEYOND = re.compile(r"[^ -~\t\n\r]")  # BERT drops control characters, within words as well
_MOST_WORDS = 1 << 16
_MOST_LEARNED = 16  # of one text, so that text without a familiar word costs little more than ever
_LONGEST = 64

Encode = Callable[[list[str]], Iterable[Sequence[int]]]


class Spellings:
    """Ids of texts as native int64 one after another, by way of `encode`: texts to their ids."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._known: dict[str, bytes] = {}

    def packed(self, texts: Sequence[str]) -> list[bytes]:
        """What `encode` gives for each text, packed."""
        rows = [self._spelled(text) for text in texts]
        rest = [place for place, row in enumerate(rows) if row is None]
        if rest:
            strange = [texts[place] for place in rest]
            for place, ids in zip(rest, self._encode(strange), strict=True):
                rows[place] = _packed(ids)
            self._learn(strange)
        return [row for row in rows if row is not None]

    def _spelled(self, text: str) -> bytes | None:
        if _BEYOND.search(text):
            return None
        try:
            return b"".join(map(self._known.__getitem__, _WORDS.findall(text.lower())))
        except KeyError:
            return None

    def _learn(self, texts: list[str]) -> None:
        words: dict[str, None] = {}
        for text in texts:
            if not _BEYOND.search(text):
                words |= dict.fromkeys(islice(self._unknown(text), _MOST_LEARNED))
        if len(self._known) + len(words) > _MOST_WORDS:
            self._known.clear()
        for word, ids in zip(words, self._encode(list(words)), strict=True):
            self._known[word] = _packed(ids)

    def _unknown(self, text: str) -> Iterable[str]:
        for word in _WORDS.findall(text.lower()):
            if word not in self._known and len(word) <= _LONGEST:
                yield word


def understood(settings: dict[str, Any]) -> bool:
    """Whether a `tokenizer.json` splits plain ASCII as this module does: an uncased BERT's."""
    normalizer, splitter = (settings.get(part) or {} for part in ("normalizer", "pre_tokenizer"))
    return (
        normalizer.get("type") == "BertNormalizer"
        and normalizer.get("lowercase") is True
        and normalizer.get("clean_text") is True
        and splitter.get("type") == "BertPreTokenizer"
        and all(token.get("special") is True for token in settings.get("added_tokens") or ())
    )


def _packed(ids: Sequence[int]) -> bytes:
    return array("q", ids).tobytes()
