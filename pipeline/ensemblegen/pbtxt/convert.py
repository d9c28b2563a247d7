"""One scalar of the text to the value that the server would take, or why it would not."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from ensemblegen.pbtxt.report import NONE, Remedy
from ensemblegen.pbtxt.shape import Slot
from ensemblegen.pbtxt.tokens import IDENT, NUMBER, STRING, unquote
from ensemblegen.pbtxt.tree import Scalar
from ensemblegen.pbtxt.wording import enum_value, noun, shortened


class Wrong(NamedTuple):
    """Why a scalar does not fit its field."""

    code: str
    words: str
    remedy: Remedy = NONE


Value = str | int | float | bool

_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", re.ASCII)
_FLOAT = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?", re.ASCII)
_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def number(text: str) -> int | None:
    """A whole number without sign: decimal, 0x for hexadecimal, 0 in front for octal."""
    if not _INTEGER.fullmatch(text):
        return None
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    # Longer than any field holds; Python refuses to turn thousands of digits into a number.
    return int(text[:30], 8 if text[0] == "0" else 10)


def scalar(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    """`text` is what stands from the value's own start to its end, without the sign."""
    return _BY_KIND[slot.kind](text, found, slot)


def _int(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    if found.kind != NUMBER:
        inner = text[1:-1].strip() if found.kind == STRING else ""
        if number(inner) is not None:
            return _wrong(slot, text, inner)
        return _wrong(slot, text)
    value = number(text)
    if value is None:
        whole = re.fullmatch(r"([1-9][0-9]*|0)\.0*[fF]?", text)
        return _wrong(slot, text, whole[1] if whole else None)
    if found.minus:
        if slot.low == 0:
            words = f"{slot.name} takes whole numbers from 0, not -{shortened(text)}"
            return Wrong("E123", words)
        value = -value
    if not slot.low <= value <= slot.high:
        words = f"{slot.name} takes whole numbers from {slot.low} to {slot.high}"
        return Wrong("E123", words)
    return value


def _float(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    value: float
    if found.kind == IDENT and text.lower() in ("inf", "infinity", "nan"):
        value = float(text)
    elif found.kind == NUMBER and _FLOAT.fullmatch(text) and not re.match("0[0-9]", text):
        value = float(text.rstrip("fF"))
    else:
        inner = text[1:-1].strip() if found.kind == STRING else ""
        return _wrong(slot, text, inner if _FLOAT.fullmatch(inner) else None)
    value = -value if found.minus else value
    return value if slot.wide else _single(value)


def _single(value: float) -> float:
    """Within the range of a 32-bit float; beyond it the server takes infinity."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value


def _bool(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    if found.minus:
        return _wrong(slot, f"-{text}")
    if found.kind == IDENT and text in _BOOLS:
        return _BOOLS[text]
    if found.kind == NUMBER and number(text) in (0, 1):
        return bool(number(text))
    inner = text[1:-1].strip().lower() if found.kind == STRING else text.lower()
    inner = _WORDS.get(inner, inner)
    return _wrong(slot, text, inner if inner in ("true", "false") else None)


def _enum(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    if found.kind == NUMBER and number(text) is not None:
        value = number(text) or 0
        value = -value if found.minus else value
        if -(1 << 31) <= value < 1 << 31:
            return value
        return Wrong("E123", f"{slot.name} has no value {value}")
    if found.kind == IDENT and text in slot.enum and not found.minus:
        return slot.enum[text]
    if found.kind not in (IDENT, STRING):
        return _wrong(slot, text)
    return _unknown_word(text, found, slot)


def _unknown_word(text: str, found: Scalar, slot: Slot) -> Wrong:
    word = text[1:-1] if found.kind == STRING else text
    meant, certain = enum_value(word, slot)
    if found.kind == STRING and meant == word:
        words = f"{slot.name} takes a word without quotes"
    else:
        words = f"{slot.name} cannot be {shortened(text)}"
    if meant is None:
        known = [name for name in slot.enum if "INVALID" not in name]
        return Wrong("E124", words, Remedy(f"known: {', '.join(known)}"))
    if certain:
        return Wrong("E124", words, Remedy(f"write {meant}", meant))
    return Wrong("E124", words, Remedy(f"did you mean {meant}?"))


def _string(text: str, found: Scalar, slot: Slot) -> Value | Wrong:
    if found.kind != STRING:
        sign = "-" if found.minus else ""
        quoted = f'"{sign}{text}"'
        return _wrong(slot, sign + text, quoted if found.kind in (IDENT, NUMBER) else None)
    return unquote(text)[0]


def _wrong(slot: Slot, text: str, instead: str | None = None) -> Wrong:
    words = f"{slot.name} takes {noun(slot)}, not {shortened(text)}"
    if instead is None:
        return Wrong("E123", words)
    return Wrong("E123", words, Remedy(f"write {shortened(instead)}", instead))


_BY_KIND: dict[str, Callable[[str, Scalar, Slot], Value | Wrong]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "enum": _enum,
    "string": _string,
}
