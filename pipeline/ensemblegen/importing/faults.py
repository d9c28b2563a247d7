"""What of an ensemble pipeline.yaml cannot say: asked before anything is written of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from google.protobuf import text_format

from ensemblegen.errors import Problem, did_you_mean
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.ensemble import Ensemble, Step
from ensemblegen.repository.model import Model, Repository
from ensemblegen.types import ANY

_PORTS = ("input", "output")
_LARGEST = 2**63


def of(ensemble: Ensemble, repository: Repository) -> tuple[Problem, ...]:
    """Why `ensemble` cannot be imported; nothing if it can. One kind of reason at a time."""
    asked = (
        _unreadable(ensemble),
        _members(ensemble, repository),
        _ends(ensemble),
        _wiring(ensemble),
        _values(ensemble),
    )
    return next((found for each in asked if (found := tuple(dict.fromkeys(each)))), ())


def readable(model: Model) -> Problem | None:
    """What of a model's config stands open or broken, as one problem."""
    config = model.config
    if config is None or not (config.broken or config.unknown or _errors(config)):
        return None
    is_open = bool(config.unknown) and not _is_literal(config)
    if not is_open and not config.broken and not _errors(config):
        return None
    if is_open:
        span = config.span(min(config.unknown, key=config.span))
        message = f"the config of '{model.name}' has placeholders"
        return Problem("E631", message, span, "fill them in, then import again")
    first = next(iter(_errors(config)), None)
    span = first.span if first and first.span else config.span(())
    why = f": {first.message}" if first else ""
    message = f"the config of '{model.name}' cannot be read whole{why}"
    return Problem("E631", message, span, f"`ensemblegen check {config.path}` says more")


def _is_literal(config: Config) -> bool:
    """Whether what looks like placeholders stands in texts, and is served as it is."""
    try:
        return bool(text_format.Parse(config.text, ModelConfig()) == config.message)
    except text_format.ParseError:
        return False


def _errors(config: Config) -> list[Problem]:
    return [each for each in config.problems if each.severity == "error"]


def _unreadable(ensemble: Ensemble) -> Iterator[Problem]:
    for model in (ensemble.model, *_unique_members(ensemble)):
        problem = readable(model)
        if problem is not None:
            yield problem


def _unique_members(ensemble: Ensemble) -> tuple[Model, ...]:
    found = {step.name: step.member for step in ensemble.steps if step.member is not None}
    return tuple(found.values())


def _members(ensemble: Ensemble, repository: Repository) -> Iterator[Problem]:
    for step in ensemble.steps:
        span = ensemble.config.span((*step.at, "model_name"))
        if step.namespace:
            message = f"{step} names a model in the namespace '{step.namespace}'"
            yield Problem("E634", message, ensemble.config.span((*step.at, "model_namespace")))
        elif step.member is None:
            message = f"'{step.name}', which '{ensemble.name}' runs, is not in {repository.path}"
            yield Problem("E632", message, span, did_you_mean(step.name, repository.models))
        elif step.member.config is None:
            message = f"'{step.name}', which '{ensemble.name}' runs, has no config.pbtxt"
            hint = "write one: without it nothing is known of its inputs and outputs"
            yield Problem("E632", message, span, hint)
        elif step.member.folder is None:
            message = f"of '{step.name}', which '{ensemble.name}' runs, only a config is at hand"
            yield Problem("E632", message, span, "import the folder of the repository")


def _ends(ensemble: Ensemble) -> Iterator[Problem]:
    if not (ensemble.model.inputs and ensemble.model.outputs and ensemble.steps):
        message = f"'{ensemble.name}' lacks inputs, outputs or steps"
        yield Problem("E633", message, ensemble.config.span(("ensemble_scheduling",)))


def _wiring(ensemble: Ensemble) -> Iterator[Problem]:
    """Each tensor is given once and taken: that is all that a reference can say."""
    name, given = ensemble.name, {*ensemble.writers, *ensemble.model.inputs}
    for tensor, uses in ensemble.writers.items():
        message = _written(ensemble, tensor)
        if message is not None:
            yield Problem("E633", message, ensemble.config.span(uses[-1].at))
    for tensor in sorted(ensemble.missing):
        at = ensemble.readers[tensor][0].at
        message = f"nothing in '{name}' gives '{tensor}'"
        yield Problem("E633", message, ensemble.config.span(at))
    for tensor, port in ensemble.model.outputs.items():
        if tensor not in given:
            message = f"no step of '{name}' writes its output '{tensor}'"
            yield Problem("E633", message, ensemble.config.span(port.at))


def _written(ensemble: Ensemble, tensor: str) -> str | None:
    """What is wrong with the steps that write `tensor`."""
    if len(ensemble.writers[tensor]) > 1:
        return f"'{tensor}' is written twice in '{ensemble.name}'"
    if tensor in ensemble.model.inputs:
        return f"a step of '{ensemble.name}' writes its input '{tensor}'"
    if tensor not in ensemble.readers and tensor not in ensemble.model.outputs:
        return f"nothing takes '{tensor}', which a step of '{ensemble.name}' writes"
    return None


def _values(ensemble: Ensemble) -> Iterator[Problem]:
    yield from _model(ensemble.model)
    for step in ensemble.steps:
        yield from _step(ensemble, step)
    for member in _unique_members(ensemble):
        if not member.is_ensemble:
            yield from _model(member)


def _model(model: Model) -> Iterator[Problem]:
    config = model.config
    assert config is not None, "asked before"  # noqa: S101
    if not _is_name(model.name):
        yield _wordless(config, (), f"the name {model.name!r} of a model")
    if model.max_batch_size < 0:
        yield _wordless(config, ("max_batch_size",), f"max_batch_size {model.max_batch_size}")
    for field in _PORTS:
        ports = getattr(model.message, field)
        names = Counter(port.name for port in ports)
        for number, port in enumerate(ports):
            what = _port(port)
            if what is not None:
                at = (field, number, what[0])
                yield _wordless(config, at, f"{what[1]} of '{port.name}' of '{model.name}'")
            elif names[port.name] > 1:
                twice = f"two {field}s '{port.name}' of '{model.name}'"
                yield _wordless(config, (field, number), twice)


def _port(port: object) -> tuple[str, str] | None:
    """The field of a tensor that has no words, and what it is."""
    name, dims = getattr(port, "name", ""), list(getattr(port, "dims", ()))
    if not _is_name(name):
        return "name", "the name"
    if not getattr(port, "data_type", 0):
        return "data_type", "the missing data_type"
    if not dims or not all(dim == ANY or 0 < dim < _LARGEST for dim in dims):
        return "dims", f"the dims {dims}"
    return None


def _step(ensemble: Ensemble, step: Step) -> Iterator[Problem]:
    if step.version < -1:
        at = (*step.at, "model_version")
        yield _wordless(ensemble.config, at, f"model_version {step.version}")
    for use in (*step.inputs, *step.outputs):
        for word in (use.name, use.tensor):
            if not _is_name(word):
                yield _wordless(ensemble.config, use.at, f"the name {word!r} of a tensor")


def _wordless(config: Config, at: At, what: str) -> Problem:
    return Problem("E634", f"pipeline.yaml has no words for {what}", config.span(at))


def _is_name(word: str) -> bool:
    """What `spec` takes as the name of a tensor."""
    return bool(word) and word == word.strip() and word.isprintable()


def rings(ensembles: Mapping[str, Ensemble]) -> Iterator[tuple[str, Problem]]:
    """Ensembles that contain themselves at some depth, each with the problem."""
    for name, ensemble in ensembles.items():
        seen: set[str] = set()
        waiting = [step.name for step in ensemble.steps]
        while waiting:
            inner = waiting.pop()
            if inner in ensembles and inner not in seen:
                seen.add(inner)
                waiting += [step.name for step in ensembles[inner].steps]
        if name in seen:
            span = ensemble.config.span(("ensemble_scheduling",))
            yield name, Problem("E633", f"ensemble '{name}' contains itself", span)
