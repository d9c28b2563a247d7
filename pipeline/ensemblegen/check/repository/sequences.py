"""Can Triton keep sequences as `sequence_batching` says? (ValidateModelConfig in core.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensemblegen.check.repository.dynamic import preferred
from ensemblegen.errors import Problem
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Repository

FIELD = "sequence_batching"
_CORRID = 3  # ControlInput.Control.Kind
_KINDS = ("CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_READY", "CONTROL_SEQUENCE_END",
          "CONTROL_SEQUENCE_CORRID")  # fmt: skip
_VALUES = ("int32_false_true", "fp32_false_true", "bool_false_true")
_TYPES = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name
_IDS = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
_ID_TYPES = {_TYPES[name].number for name in _IDS}


def sequences(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken or not config.message.HasField(FIELD):
        return
    if not config.knows(FIELD):
        return
    batching = config.message.sequence_batching
    yield from _controls(model, config, batching)
    for number, state in enumerate(batching.state):
        yield from _state(model, (FIELD, "state", number), state)
    oldest, direct = batching.oldest, batching.direct
    yield from preferred(model, (FIELD, "oldest"), oldest.preferred_batch_size)
    if not 0 <= direct.minimum_slot_utilization <= 1:
        text = f"minimum_slot_utilization of '{model.name}' is {direct.minimum_slot_utilization:g}"
        span = config.span((FIELD, "direct", "minimum_slot_utilization"))
        yield Problem("E431", text, span, "it lies between 0 and 1")


def _controls(model: Model, config: Config, batching: Any) -> Iterator[Problem]:
    names: dict[str, int] = {}
    kinds: set[int] = set()
    for number, given in enumerate(batching.control_input):
        for place, control in enumerate(given.control):
            at = (FIELD, "control_input", number, "control", place)
            kind = _KINDS[control.kind]
            if not given.name:
                text = f"a control input of '{model.name}' has no name"
                span = config.span((FIELD, "control_input", number))
                yield Problem("E431", text, span, 'add name: "START", say')
            elif control.kind in kinds:
                text = f"'{model.name}' has a second control of the kind {kind}"
                yield Problem("E431", text, config.span(at), "each kind can be there once")
            elif control.kind != _CORRID and names.get(given.name, number) != number:
                text = f"two control inputs of '{model.name}' have the name '{given.name}'"
                yield Problem("E431", text, config.span(at), "give each kind a tensor of its own")
            else:
                yield from _values(model, config, at, control)
            kinds.add(control.kind)
            names.setdefault(given.name, number)


def _values(model: Model, config: Config, at: At, control: Any) -> Iterator[Problem]:
    kind = _KINDS[control.kind]
    given = [name for name in _VALUES if getattr(control, name)]
    span = config.span(at)
    if control.kind == _CORRID:
        if control.data_type not in _ID_TYPES:
            text = f"{kind} of '{model.name}' is not of a type that holds an id"
            yield Problem("E431", text, span, f"set data_type to one of {', '.join(_IDS)}")
        if given:
            text = f"{kind} of '{model.name}' has {given[0]}"
            yield Problem("E431", text, span, "remove it: its value is the id of the sequence")
    elif len(given) != 1:
        text = f"{kind} of '{model.name}' has {' and '.join(given) or 'no values'}"
        yield Problem("E431", text, span, "say once what stands for false and true: "
                      "int32_false_true: [ 0, 1 ]")  # fmt: skip
    elif len(getattr(control, given[0])) != 2:
        count = len(getattr(control, given[0]))
        text = f"{given[0]} of {kind} of '{model.name}' has {count} values"
        yield Problem("E431", text, config.span((*at, given[0])), "write two: [ 0, 1 ]")


def _state(model: Model, at: At, state: Any) -> Iterator[Problem]:
    config = model.config
    if config is None or not state.initial_state:
        return
    who = f"the initial state of '{state.input_name}' of '{model.name}'"
    first = state.initial_state[0]
    way = (*at, "initial_state", 0)
    if len(state.initial_state) > 1:
        text, hint = (
            f"'{state.input_name}' of '{model.name}' has several initial states",
            "keep one",
        )
        yield Problem("E432", text, config.span((*at, "initial_state", 1)), hint)
        return
    for wrong, text, hint in (
        (not first.name, "has no name", 'add name: "zero", say'),
        (first.data_type != state.data_type, "is not of the state's type", "make them equal"),
        (-1 in first.dims, "has an open size", "write the size that a new sequence starts with"),
        (not _alike(first.dims, state.dims), "has other dims than the state", "make them equal"),
        (first.WhichOneof("state_data") is None, "has no data", "add zero_data: true"),
        (_absent(model, first.data_file), f"is not there: initial_state/{first.data_file}",
         "put the file into the folder initial_state of the model"),
    ):  # fmt: skip
        if wrong:
            yield Problem("E432", f"{who} {text}", config.span(way), hint)
            return


def _alike(sizes: Any, wanted: Any) -> bool:
    return len(sizes) == len(wanted) and all(
        want in (-1, size) for size, want in zip(sizes, wanted, strict=True)
    )


def _absent(model: Model, name: str) -> bool:
    """Files are judged where the model has its other files, too."""
    return bool(
        name and model.folder and model.has_files
        and not (model.folder / "initial_state" / name).exists()
    )  # fmt: skip
