"""The models of a plan as the checker of repositories sees them, with places in pipeline.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ensemblegen.emit import config
from ensemblegen.errors import Span
from ensemblegen.members import Member
from ensemblegen.members.bls import author
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.plan import Plan
from ensemblegen.repository import discover
from ensemblegen.repository.model import Model, Repository
from ensemblegen.source import Document

_TENSOR = {"name": (), "data_type": ("dtype",), "dims": ("shape",)}
"""The words of a tensor in pipeline.yaml for its fields in a config; others are under `config`."""

_POLICY = {
    "max_queue_size": "max_size",
    "default_timeout_microseconds": "timeout",
    "timeout_action": "timeout_action",
    "allow_timeout_override": "allow_timeout_override",
}
_BATCHING, _LEVELS = "dynamic_batching", "priority_queue_policy"
_LIMITER: At = ("instance_group", "*", "rate_limiter")
_WORDS: tuple[tuple[At, At], ...] = (
    ((_BATCHING, "max_queue_delay_microseconds"), (_BATCHING, "max_queue_delay")),
    ((_BATCHING, "priority_levels"), ("priority", "levels")),
    ((_BATCHING, "default_priority_level"), ("priority", "default")),
    ((_BATCHING, "default_queue_policy"), ("queue",)),
    ((_BATCHING, _LEVELS), ("queue", "levels")),
    ((_BATCHING, _LEVELS, "*"), ("queue", "levels", "*")),
    *(((_BATCHING, "default_queue_policy", a), ("queue", b)) for a, b in _POLICY.items()),
    *(((_BATCHING, _LEVELS, "*", a), ("queue", "levels", "*", b)) for a, b in _POLICY.items()),
    (("model_warmup", "*"), ("warmup",)),
    (("model_warmup", "*", "batch_size"), ("warmup", "batch_size")),
    (("model_warmup", "*", "inputs", "*"), ("warmup",)),
    (("response_cache", "enable"), ("response_cache",)),
    ((*_LIMITER, "resources", "*"), ("rate_limiter", "resources")),
)
"""Fields of a config and the words of a step that set them."""


def repository(plan: Plan, document: Document) -> Repository:
    """`plan` as the repository that it will be; models of pipelines inside it are context."""
    models: dict[str, Model] = {}
    for each in plan.all():
        models |= {model.name: model for model in _deployed(each, document)}
    for inner in plan.inner:
        for each in inner.all():
            models |= {model.name: model for model in _models(each, document, context=True)}
    models |= {model.name: model for model in _models(plan, document)}
    for folder in plan.folders:
        found = discover.model(folder, plan.target)
        models.setdefault(found.name, found)
    return Repository(document.folder, models, plan.target)


def _models(plan: Plan, document: Document, *, context: bool = False) -> Iterator[Model]:
    for member in plan.members:
        message = config.member(plan, member, plan.devices[member.step])
        places = _config(document, message, _of_member(member))
        folder = member.kind.folder_of(member)
        versions = discover.versions(folder) if folder is not None else ()
        yield Model(member.model, folder, places, versions, context)
    message = config.ensemble(plan)
    yield Model(plan.name, None, _config(document, message, _of_ensemble(plan)), (), context)


def _deployed(plan: Plan, document: Document) -> Iterator[Model]:
    """What is there already, with the models that it runs itself: nothing is said of them."""
    for member in plan.deployed:
        found = member.artifact
        if found.folder is not None:
            for each in discover.read(found.folder, plan.target)[0].models.values():
                yield replace(each, context=True)
        else:
            places = _config(document, found.message, _of_member(member))
            yield Model(member.model, None, places, (), context=True)


def _config(document: Document, message: object, ways: Callable[[At], Iterator[At]]) -> Config:
    values, keys = _Ways(document.values, ways), _Ways(document.keys, ways)
    return Config(document.path, values, keys, message, "")


class _Ways(Mapping[At, Span]):
    """Places in pipeline.yaml by ways in a config."""

    def __init__(self, spans: Mapping[At, Span], ways: Callable[[At], Iterator[At]]) -> None:
        self._spans = spans
        self._ways = ways

    def __getitem__(self, at: At) -> Span:
        for way in self._ways(at):
            if way in self._spans:
                return self._spans[way]
        raise KeyError(at)

    def __iter__(self) -> Iterator[At]:
        return iter(())

    def __len__(self) -> int:
        return len(self._spans)


def _of_member(member: Member) -> Callable[[At], Iterator[At]]:
    step: At = ("steps", author(member))
    tensors = {"input": member.inputs, "output": member.outputs}

    def ways(at: At) -> Iterator[At]:
        if len(at) > 1 and at[0] in tensors:
            name = tensors[str(at[0])][int(at[1])].name
            yield from _in_tensor((*step, f"{at[0]}s", name), at[2:])
        elif at:
            yield (*step, "config", *at)
            yield from ((*step, *way) for way in _words(at))
            yield (*step, *({"name": ("model",)}.get(str(at[0]), at)))
        else:
            yield step

    return ways


def _words(at: At) -> Iterator[At]:
    """The words of a step for a field that has another name than they; `*` is any part."""
    for field, word in _WORDS:
        if len(at) == len(field) and all(b in ("*", a) for a, b in zip(at, field, strict=True)):
            keys = [part for part, kind in zip(at, field, strict=True) if kind == "*"]
            yield tuple(str(keys.pop()) if part == "*" else part for part in word)


def _of_ensemble(plan: Plan) -> Callable[[At], Iterator[At]]:
    names = {
        member.step: {each.triton: each.name for each in (*member.inputs, *member.outputs)}
        for member in (*plan.members, *plan.deployed)
    }
    own = {"input": plan.inputs, "output": plan.outputs}

    def ways(at: At) -> Iterator[At]:
        if at[:2] == ("ensemble_scheduling", "step") and len(at) > 2:
            step = plan.wiring[int(at[2])].step
            yield from _in_step(("steps", step), at[3:], names.get(step, {}))
        elif len(at) > 1 and at[0] in own:
            name = own[str(at[0])][int(at[1])].name
            yield from _in_tensor((f"{at[0]}s", name), at[2:])
        elif at:
            yield ("config", *at)
            yield at
        else:
            yield ("name",)

    return ways


def _in_tensor(tensor: At, at: At) -> Iterator[At]:
    if not at:
        yield tensor
    elif at[0] in _TENSOR:
        yield (*tensor, *_TENSOR[str(at[0])], *at[1:])
    else:
        yield (*tensor, "config", *at)
        yield (*tensor, *at)


def _in_step(step: At, at: At, names: Mapping[str, str]) -> Iterator[At]:
    if len(at) == 2 and at[0] in ("input_map", "output_map"):
        name = names.get(str(at[1]), at[1])
        shelves = ("inputs",) if at[0] == "input_map" else ("tensors", "outputs")
        yield from ((*step, shelf, name) for shelf in shelves)
    elif at[:1] == ("model_version",):
        yield (*step, "version")
    elif not at:
        yield step
