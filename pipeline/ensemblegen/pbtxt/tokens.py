"""The words of protobuf's text format, as the server's own tokenizer cuts them.

One compiled expression skips blanks and comments and takes the next word. Texts that hold something
a template engine would fill in are cut by a second one, which knows placeholders.
"""

from __future__ import annotations

import re

END, IDENT, NUMBER, STRING, SYMBOL, UNCLOSED, OTHER, OPEN, STATEMENT = range(9)

Token = tuple[int, int, int]
"""Kind, start and end in the text."""

LIMIT = 400_000
"""More words than any config has; a file of ten million brackets must not fill the memory."""

_SKIP = r"[ \t\r\n\v\f]*(?:#[^\n\0]*[ \t\r\n\v\f]*)*"
_WORDS = (
    r"([A-Za-z_][A-Za-z0-9_]*)",
    r"(\.?[0-9](?:[eE][+-]?[0-9]|[A-Za-z0-9_.])*)",
    r'("[^"\\\n\0]*(?:\\[^\n\0][^"\\\n\0]*)*"' r"|'[^'\\\n\0]*(?:\\[^\n\0][^'\\\n\0]*)*')",
    r"([{}\[\]<>:,;-])",
    r"""(["'][^\n]*)""",
    r"([^\x00-\x7f]+|[\x00-\x08\x0e-\x1f]+|.)",
)
# Lengths are bounded: a text of nothing but openings would otherwise be searched again and again.
_PLACEHOLDER = (
    r"(?:\$\{(?!\{)[^}\n]{0,200}\}|__[A-Z][A-Z0-9_]{0,100}__|\$\([^)\n]{0,200}\)"
    r"|\$?\{\{(?!\s*\w+\s*[:{])(?:[^{}\n]|\{[^{}\n]{0,100}\}){0,200}\}\}"
    r"|@[A-Za-z_]\w{0,100}@|%{1,2}[A-Za-z_]\w{0,100}%{1,2}|%\(\w{1,100}\)[sdif]|\$+[A-Za-z_]\w*"
    r"|<%(?:[^%\n]|%(?!>)){0,200}%>|<(?=[A-Za-z])[\w .-]{0,200}>|\.\.\.)"
)
_OPEN = rf"([\w.]{{0,100}}{_PLACEHOLDER}(?:[\w.]|{_PLACEHOLDER})*)"
_STATEMENT = (
    r"(\{%(?:[^%]|%(?!\})){0,500}%\}|\{#[^\n]{0,200}?#\}"
    r"|\{\{-?\s*(?:[#/]|(?:if|else|end|range|with|define|block|template|include)\b)"
    r"[^{}\n]{0,200}\}\})"
)

_PLAIN = re.compile(_SKIP + "(?:" + "|".join(_WORDS) + r"|\Z)", re.ASCII | re.DOTALL)
_TEMPLATE = re.compile(
    _SKIP + "(?:" + "|".join((_STATEMENT, _OPEN, *_WORDS)) + r"|\Z)", re.ASCII | re.DOTALL
)
_KINDS = (END, STATEMENT, OPEN, IDENT, NUMBER, STRING, SYMBOL, UNCLOSED, OTHER)
_FILLED = re.compile(
    r"\$(?!\$?TRITON_MODEL_DIRECTORY)|[@%]|\{\{|__[A-Z]|\.\.\.|<[A-Za-z][\w .-]*>", re.ASCII
)

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?'\"])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})"
    r"|u([0-9a-fA-F]{4})|U(00[01][0-9a-fA-F]{5})|(.))",
    re.DOTALL,
)
_SIMPLE = dict(zip("abfnrtv\\?'\"", "\a\b\f\n\r\t\v\\?'\"", strict=True))


def split(text: str) -> tuple[list[Token], bool]:
    """All words of `text` with an END after them, and whether they are all."""
    template = _FILLED.search(text) is not None
    words = (_TEMPLATE if template else _PLAIN).finditer(text)
    found: list[Token] = []
    for match in words:
        index = match.lastindex
        if index is None:
            break
        start, end = match.span(index)
        found.append((_KINDS[index] if template else index, start, end))
        if len(found) >= LIMIT:
            found.append((END, end, end))
            return found, False
    found.append((END, len(text), len(text)))
    return found, True


_HASH = re.compile(
    r"(?P<list>[\[,][ \t]*)#(?=[A-Za-z_]\w*[ \t]*[,\]])|(?P<word>(?<=_))#(?=[A-Za-z])"
    r"|(?P<value>:[ \t]*)#(?=[A-Za-z_]\w*[ \t\r]*(?:[#\n]|\Z))"
    r"|(?P<string>[\"'])#(?=[A-Za-z_]\w*(?P=string))",
    re.ASCII,
)
"""`[-1, #size]`, `TYPE_#DTYPE`, `batch: #batch` and `"#path"`: filled in by sed."""


def marked(text: str) -> str:
    """`text` with placeholders that begin with `#`, which are comments as it is, as `$name`."""
    if "#" not in text:
        return text
    return _HASH.sub(lambda match: f"{match[0][:-1]}$", text)


def unquote(literal: str) -> tuple[str, int | None]:
    """What a string literal stands for, and where in it the first escape that is none begins.

    Bytes that are no UTF-8 become U+FFFD.
    """
    if "\\" not in literal:
        return literal[1:-1], None
    found = bytearray()
    wrong: int | None = None
    last, end = 1, len(literal) - 1
    for match in _ESCAPE.finditer(literal, 1, end):
        found += literal[last : match.start()].encode("utf-8", "surrogatepass")
        last = match.end()
        if match.lastindex == 6 and wrong is None:
            wrong = match.start()
        found += _unescaped(match)
    found += literal[last:end].encode("utf-8", "surrogatepass")
    # A pair of \u escapes above the basic plane joins here, as it does in the server.
    try:
        joined = found.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return found.decode("utf-8", "replace"), wrong
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), wrong


def _unescaped(match: re.Match[str]) -> bytes:
    simple, octal, short, low, long, _ = match.groups()
    if simple:
        return _SIMPLE[simple].encode()
    if octal or short:
        return bytes([int(octal, 8) & 0xFF if octal else int(short, 16)])
    if low or long:
        code = int(low or long, 16)
        return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b"\xff"
    return match[0].encode("utf-8", "replace")


_IN_STRING = re.compile(
    r"\$\{[^}]{0,200}\}|\{\{.{0,300}?\}\}|\{%.{0,300}?%\}|<%.{0,300}?%>|@[A-Za-z_]\w{0,100}@"
    r"|%{1,2}[A-Za-z_]\w{0,100}%{1,2}|(?<![$\w])\$(?!TRITON)[A-Za-z_]\w*"
    r"|(?<!\w)__[A-Z][A-Z0-9_]{0,100}__(?!\w)",
    re.ASCII | re.DOTALL,
)
_MARK = re.compile(r"[${@%<]|__")
_WHOLE_STRING = re.compile(r"\{[A-Za-z_]\w*\}|<[A-Za-z][\w.]*[ _-][\w .-]*>", re.ASCII)


def placeholder(value: str) -> str | None:
    """What in the string `value` waits to be filled in; `$$TRITON_MODEL_DIRECTORY` does not."""
    if (
        "$" in value
        or "{" in value
        or "@" in value
        or "%" in value
        or "<" in value
        or "__" in value
    ):
        found = _IN_STRING.search(value) or _WHOLE_STRING.fullmatch(value)
        return found[0] if found else None
    return None
