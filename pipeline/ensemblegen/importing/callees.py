"""Models that Python models call by themselves: no config names them, but nothing runs without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ensemblegen.artifacts import model_source
from ensemblegen.repository.model import Model

_CALLS = "InferenceRequest"


def of(models: Iterable[Model], everything: Mapping[str, Model]) -> tuple[Model, ...]:
    """What `models` call, and what that needs, without `models` themselves.

    A model is called if its name stands, as a text of its own, in a model.py that makes requests,
    or in a parameter of that model: names are looked up and passed on in too many ways to follow.
    """
    given = {model.name for model in models}
    found: dict[str, Model] = {}
    waiting = [everything[name] for name in sorted(given) if name in everything]
    while waiting:
        model = waiting.pop()
        for name in sorted(_needs(model, everything)):
            if name not in given and name not in found:
                found[name] = everything[name]
                waiting.append(everything[name])
    return tuple(found[name] for name in sorted(found))


def makes_requests(model: Model) -> bool:
    """Whether its Python calls models by itself, by names that may be made in any way."""
    return any(_CALLS in text for text in model.sources.values())


def _needs(model: Model, everything: Mapping[str, Model]) -> set[str]:
    names = set(_named(model))
    if model.is_ensemble:
        names |= {step.model_name for step in model.message.ensemble_scheduling.step}
    return (names & everything.keys()) - {model.name}


def _named(model: Model) -> Iterator[str]:
    """Every text that may be the name of a model that is called."""
    calling = [text for text in model.sources.values() if _CALLS in text]
    for text in calling:
        try:
            source = model_source.read(text)
        except model_source.NotPythonError:
            continue
        if source is not None:
            yield from source.texts
    if calling and model.config is not None:
        yield from (each.string_value for each in model.message.parameters.values())
