"""Passwords and tokens in URLs: nothing that is committed or printed may hold one."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?<=://)[^/\s'\"]+(?=@)"  # user:password, or a token as the user
    r"|(?P<before>https?://[^\s'\"]*?/t/)[^/\s'\"]+"  # anaconda.org: /t/TOKEN/channel
)
_VARIABLES = re.compile(r"\$\{[A-Z0-9_]+\}(?::\$\{[A-Z0-9_]+\})?")
"""What pip and uv replace in their files; it gives nothing away."""


def held(text: str, *, variables: bool = False) -> bool:
    """Whether `text` has a URL with a user or token; `variables` lets ${USER}:${TOKEN}@ pass."""
    found = (each for each in _SECRETS.finditer(text))
    return any(not (variables and _VARIABLES.fullmatch(each[0])) for each in found)


def masked(text: str) -> str:
    """`text` with a star for each letter of its secrets, so that places in it stay."""
    return _SECRETS.sub(_stars, text)


def _stars(found: re.Match[str]) -> str:
    if _VARIABLES.fullmatch(found[0]):
        return found[0]
    before = found["before"] or ""
    return before + "*" * (len(found[0]) - len(before))
