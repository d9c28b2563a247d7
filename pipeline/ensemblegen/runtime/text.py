"""Strings: Triton's object arrays of bytes in, `str` to the step, and back."""

from __future__ import annotations

from typing import Any

import numpy

from .failure import StepError


def decode(array: Any, name: str) -> list[str]:
    """All strings of a tensor, flattened in C order."""
    encoded = array.reshape(-1).tolist()
    try:
        return list(map(bytes.decode, encoded))
    except UnicodeDecodeError:
        raise StepError(_undecodable(encoded, name), client=True) from None


def _undecodable(encoded: list[bytes], name: str) -> str:
    for position, item in enumerate(encoded):
        try:
            item.decode()
        except UnicodeDecodeError as error:
            where = f" of string {position}" if len(encoded) > 1 else ""
            return f"input '{name}' is not valid UTF-8 at byte {error.start}{where}"
    return f"input '{name}' is not valid UTF-8"


def encode(value: Any, name: str) -> Any:
    """Lists, nested lists or arrays of str and bytes, as an object array of bytes."""
    array = value if isinstance(value, numpy.ndarray) else numpy.array(value, dtype=object)
    if array.dtype.kind not in "OUS":
        raise StepError(
            f"output '{name}' is {array.dtype}, but string is declared: return a list of str"
        )
    flat = array.reshape(-1).tolist()
    encoded = numpy.empty(len(flat), dtype=object)
    encoded[:] = _encoded(flat, name)
    return encoded.reshape(array.shape)


def _encoded(flat: list[Any], name: str) -> list[bytes]:
    try:
        return list(map(str.encode, flat))
    except TypeError:  # not all of them are str
        return [_encoded_one(item, position, name) for position, item in enumerate(flat)]
    except UnicodeEncodeError as error:
        raise StepError(f"output '{name}' cannot be encoded as UTF-8: {error.reason}") from None


def _encoded_one(item: Any, position: int, name: str) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return _encoded([item], name)[0]
    reason = "the lists have different lengths" if isinstance(item, (list, tuple)) else ""
    raise StepError(
        f"output '{name}' holds {_article(type(item).__name__)} as string {position}, "
        f"but string is declared: {reason or 'return str or bytes'}"
    )


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
