"""As much of cuDF and CuPy as the GPU step calls, after their documentation, over lists and numpy.

It shows that the step's own steps add up, if cuDF and CuPy do what they document. It shows nothing
about a GPU: tests/gpu does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from tokenizers import normalizers


class Series:
    """A column of strings, of lists of strings or ids, or of numbers."""

    def __init__(self, data: Any) -> None:
        self.data = list(data)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def values(self) -> Any:
        return np.array(self.data)

    @property
    def str(self) -> Strings:
        return Strings(self.data)

    @property
    def list(self) -> Lists:
        return Lists(self.data)

    def __sub__(self, other: Series) -> Series:
        return Series(self.values - other.values)

    def __gt__(self, other: int) -> Series:
        return Series(self.values > other)

    def factorize(self) -> tuple[Any, Any]:
        # Codes in no particular order, as narrow as they fit: cuDF promises no more.
        order = sorted(set(self.data), key=lambda value: value[::-1])
        codes = np.array([order.index(value) for value in self.data], np.int16)
        return codes, Series(order)


class Strings:
    def __init__(self, data: list[str]) -> None:
        self.data = data

    def _each(self, change: Callable[[str], Any]) -> Series:
        return Series(change(value) for value in self.data)

    def len(self) -> Series:
        return self._each(len)

    def lower(self) -> Series:
        return self._each(str.lower)

    def split(self) -> Series:
        return self._each(str.split)

    def replace(self, pat: str, repl: str, *, regex: bool) -> Series:
        assert not regex
        return self._each(lambda value: value.replace(pat, repl))

    def translate(self, table: dict[str, str | int | None]) -> Series:
        return self._each(lambda value: value.translate(str.maketrans(table)))

    def filter_characters(
        self, table: dict[str, str], keep: bool = True, repl: str | None = None
    ) -> Series:
        def kept(character: str) -> bool:
            return keep == any(first <= character <= last for first, last in table.items())

        return self._each(lambda v: "".join(c if kept(c) else repl or "" for c in v))

    def token_count(self, delimiter: str) -> Series:
        return self._each(lambda value: sum(1 for part in value.split(delimiter) if part))


class Lists:
    def __init__(self, data: list[list[Any]]) -> None:
        self.data = data

    def len(self) -> Series:
        return Series(np.array([len(value) for value in self.data], np.int32))

    @property
    def leaves(self) -> Series:
        return Series(leaf for value in self.data for leaf in value)


class CharacterNormalizer:
    """Lower case without accents, and blanks around punctuation."""

    def __init__(self, do_lower: bool) -> None:
        assert do_lower
        self._normalizer = normalizers.BertNormalizer(lowercase=True)

    def normalize(self, text: Series) -> Series:
        return Series(self._padded(self._normalizer.normalize_str(value)) for value in text.data)

    @staticmethod
    def _padded(text: str) -> str:
        def is_punctuation(character: str) -> bool:
            symbol = character.isascii() and not character.isalnum() and character > " "
            return symbol or unicodedata.category(character).startswith("P")

        return "".join(f" {c} " if is_punctuation(c) else c for c in text)


class WordPieceVocabulary:
    """Greedy, longest piece first; a word that cannot be spelled is one [UNK]."""

    def __init__(self, vocabulary: Series) -> None:
        self._ids = {token: number for number, token in enumerate(vocabulary.data)}

    def tokenize(self, text: Series) -> Series:
        return Series([self._row(value) for value in text.data])

    def _row(self, text: str) -> list[int]:
        return [token for word in re.findall("[^ ]+", text) for token in self._word(word)]

    def _word(self, word: str) -> list[int]:
        found, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                if prefix + word[start:end] in self._ids:
                    found.append(self._ids[prefix + word[start:end]])
                    start = end
                    break
            else:
                return [self._ids["[UNK]"]]
        return found


def modules() -> dict[str, ModuleType]:
    """What to put into `sys.modules`."""
    cudf, core = ModuleType("cudf"), ModuleType("cudf.core")
    characters = ModuleType("cudf.core.character_normalizer")
    wordpiece = ModuleType("cudf.core.wordpiece_tokenize")
    vars(cudf).update(Series=Series, concat=_concat, __version__="fake")
    vars(characters).update(CharacterNormalizer=CharacterNormalizer)
    vars(wordpiece).update(WordPieceVocabulary=WordPieceVocabulary)
    cupy = ModuleType("cupy")
    used = "asarray int64 float64 float32 bool_ zeros full stack arange cumsum searchsorted unique"
    for name in f"{used} minimum maximum clip where concatenate".split():
        setattr(cupy, name, getattr(np, name))
    cuda = ModuleType("cupy.cuda")
    vars(cuda).update(Device=_device)
    vars(cupy).update(bincount=_bincount, cuda=cuda)
    found = (cudf, core, characters, wordpiece, cupy, cuda)
    return {module.__name__: module for module in found}


def _concat(series: list[Series], ignore_index: bool) -> Series:
    assert ignore_index
    return Series(value for one in series for value in one.data)


def _bincount(x: Any, minlength: int) -> Any:
    if not x.size:
        raise ValueError("zero-size array to reduction operation max which has no identity")
    return np.bincount(x, minlength=minlength)


class _device:  # noqa: N801 - stands for a class, and for use in `with`
    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> _device:
        return self

    def __exit__(self, *_: object) -> None:
        pass
