"""The `parameters` of a config, as its backend reads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator

from ensemblegen.errors import Problem, Span
from ensemblegen.repository.model import Model

_NUMBER = re.compile(r"\s*[+-]?(\d|\.\d)|\s*[+-]?(inf|nan)", re.I)
"""How a text begins that C++ reads as a number."""


def text(model: Model, name: str) -> str | None:
    """The value of a parameter; None where it is missing, or a placeholder."""
    config = model.config
    if config is None or name not in config.message.parameters:
        return None
    if not config.knows("parameters", name):
        return None
    return str(config.message.parameters[name].string_value)


def lacks(model: Model, *names: str) -> bool:
    """Whether none of these is given, for certain."""
    config = model.config
    if config is None or config.broken or any(at[0] == "parameters" for at in config.unknown):
        return False
    return not any(name in config.message.parameters for name in names)


def span(model: Model, name: str) -> Span:
    assert model.config is not None, "a model with a config"  # noqa: S101
    return model.config.span(("parameters", name, "string_value"))


def key_span(model: Model, name: str) -> Span:
    assert model.config is not None, "a model with a config"  # noqa: S101
    return model.config.key_span(("parameters", name))


def flags(model: Model, names: Iterable[str], words: Collection[str]) -> Iterator[Problem]:
    """Booleans that are none of `words`."""
    for name in sorted(names):
        value = text(model, name)
        if value is None or value in words:
            continue
        message = f"parameter '{name}' of '{model.name}' is \"{value}\", not true or false"
        hint = 'write "true" or "false", in small letters'
        yield Problem("E453", message, span(model, name), hint)


def numbers(model: Model, names: Iterable[str]) -> Iterator[Problem]:
    for name in sorted(names):
        value = text(model, name)
        if value is not None and not _NUMBER.match(value):
            message = f"parameter '{name}' of '{model.name}' is \"{value}\", which is no number"
            yield Problem("E453", message, span(model, name), "write a number in quotes")


def misspelt(model: Model, known: Collection[str]) -> Iterator[Problem]:
    """Unknown parameters that are nearly a known one: the backend ignores them in silence."""
    plain = {_plain(name): name for name in known}
    for name in model.message.parameters if model.config else ():
        if name in known or text(model, name) is None:
            continue
        close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.85)
        if close and plain[close[0]] not in model.message.parameters:
            message = f"the backend of '{model.name}' knows no parameter '{name}' and ignores it"
            hint = f"did you mean '{plain[close[0]]}'?"
            yield Problem("E455", message, key_span(model, name), hint)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
