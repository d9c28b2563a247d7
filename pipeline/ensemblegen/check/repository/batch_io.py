"""Do `batch_input` and `batch_output`, of which ragged batches are made, name what there is?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ensemblegen.errors import Problem, did_you_mean
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Repository

_TYPES = ("TYPE_FP32", "TYPE_INT32")
"""What Triton can make of a batch (observed on 24.10, of every kind)."""


def batch_io(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken:
        return
    for number, given in enumerate(config.message.batch_input):
        at = ("batch_input", number)
        yield from _source(model, config, at, given)
        yield from _type(config, at, given)
    for number, taken in enumerate(config.message.batch_output):
        at = ("batch_output", number)
        yield from _source(model, config, at, taken)
        yield from _targets(model, config, at, taken)


def _source(model: Model, config: Config, at: At, made: Any) -> Iterator[Problem]:
    """Each kind that there is looks at one input."""
    if not config.knows(*at, "source_input"):
        return
    names = list(made.source_input)
    if len(names) != 1:
        text = f"this {at[0]} has {len(names)} source_input, every kind needs exactly one"
        hint = 'name the input that it is counted from: source_input: "NAME"'
        yield Problem("E442", text, config.span(at), hint)
    yield from _unknown(config, (*at, "source_input"), names, model, model.message.input)


def _type(config: Config, at: At, given: Any) -> Iterator[Problem]:
    name = given.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[given.data_type]
    place = (*at, "data_type")
    if name.name not in _TYPES and config.knows(*place):
        said = f"is {name.name}" if place in config.values else "is not given"
        text = f"data_type of this batch_input {said}: Triton makes only {' and '.join(_TYPES)}"
        span = config.span(place) if place in config.values else config.span(at)
        yield Problem("E442", text, span, "write data_type: TYPE_FP32 or TYPE_INT32")


def _targets(model: Model, config: Config, at: At, taken: Any) -> Iterator[Problem]:
    if not config.knows(*at, "target_name"):
        return
    names = list(taken.target_name)
    if not names:
        text = "this batch_output has no target_name: the server crashes as it reads that"
        hint = 'name the output that is cut up: target_name: "NAME"'
        yield Problem("E442", text, config.span(at), hint)
    for name, count in Counter(names).items():
        if count > 1:
            text = f"this batch_output names '{name}' {count} times"
            yield Problem("E442", text, config.span(at), "name every output once")
    yield from _unknown(config, (*at, "target_name"), names, model, model.message.output)


def _unknown(
    config: Config, at: At, names: list[str], model: Model, ports: Any
) -> Iterator[Problem]:
    kind = "input" if at[-1] == "source_input" else "output"
    known = [port.name for port in ports]
    if model.completes or not config.knows(kind):
        return
    for number, name in enumerate(names):
        if name not in known:
            text = f"'{model.name}' has no {kind} '{name}'"
            yield Problem("E442", text, config.span((*at, number)), did_you_mean(name, known))
