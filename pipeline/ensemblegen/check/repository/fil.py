"""Does a config fit its tree model, as Triton's FIL backend applies the one to the other?

The backend reads fixed names, squeezes its output, and compares no sizes: too many features read
memory past the rows, too few outputs end the server (observed on 24.10; fil_backend docs).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ensemblegen.artifacts import forest
from ensemblegen.artifacts.forest import Forest, NotAForestError
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.backends import fil as backend
from ensemblegen.check.repository import parameters
from ensemblegen.check.repository.files import at_hand
from ensemblegen.check.repository.ports import declared, dtype, unsupported
from ensemblegen.errors import Problem, nearest
from ensemblegen.repository.model import Model, Port, Repository
from ensemblegen.types import DType

_LARGE = 32 << 20
"""Bytes up to which formats are read that must be read whole."""


def fil(model: Model, repository: Repository) -> Iterator[Problem]:
    if model.backend != backend.BACKEND or model.config is None:
        return
    yield from declared(model)
    yield from unsupported(model, backend.DTYPES, (model.inputs,))
    yield from _names(model)
    yield from _output_type(model)
    yield from _rows(model)
    for shown, path in at_hand(model):
        found = _read(path)
        if isinstance(found, NotAForestError):
            yield from _not_a_forest(model, shown, found)
        elif found is not None:
            yield from _against(model, shown, found, repository)


def _names(model: Model) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken:
        return
    sides = ((model.inputs, backend.INPUT, "input"), (model.outputs, backend.OUTPUT, "output"))
    for ports, name, side in sides:
        known = all(config.knows(*port.at, "name") for port in ports.values())
        if not ports or not known or not config.knows(side) or name in ports:
            continue
        port = ports.get(nearest(name, ports) or "", next(iter(ports.values())))
        message = (
            f"the FIL backend calls its {side} '{name}'; '{model.name}' has '{port.name}', so "
            "every request fails"
        )
        hint = f"name it '{name}', also where ensembles and clients use it"
        yield Problem("E460", message, config.span((*port.at, "name")), hint)


def _output_type(model: Model) -> Iterator[Problem]:
    port = model.outputs.get(backend.OUTPUT)
    found = dtype(port.data_type) if port and not port.open else None
    if port is None or found is None or found is DType.FP32 or model.config is None:
        return
    message = f"'{port.name}' of '{model.name}' is {found.triton}, but comes as TYPE_FP32"
    hint = "declare TYPE_FP32; what reads it may have to convert"
    yield Problem("E464", message, model.config.span((*port.at, "data_type")), hint)


def _rows(model: Model) -> Iterator[Problem]:
    """Without a batch axis the first of the dims is taken for the number of rows."""
    port, config = model.inputs.get(backend.INPUT), model.config
    if port is None or config is None or config.broken or not config.knows("max_batch_size"):
        return
    if model.max_batch_size > 0 or port.open or len(_shape(port)) != 1:
        return
    message = (
        f"'{model.name}' has no max_batch_size: the backend takes dims {list(port.dims)} for "
        "rows and reads past the end of the input"
    )
    hint = "set max_batch_size, for example 32768"
    at = ("max_batch_size",)
    span = config.span(at if at in config.values else (*port.at, "dims"))
    yield Problem("E469", message, span, hint)


def _shape(port: Port) -> tuple[int, ...]:
    if port.message.HasField("reshape"):
        return tuple(port.message.reshape.shape)
    return port.dims


def _read(path: Path) -> Forest | NotAForestError | None:
    """What the file says of itself; None where reading it would take too long."""

    def look() -> Forest | NotAForestError | None:
        with path.open("rb") as file:
            whole = file.read(1) in (b"{", b" ", b"\n")
        if whole and path.stat().st_size > _LARGE:
            return None
        try:
            return forest.read(path)
        except NotAForestError as error:
            return error

    try:
        return stamped(look, path)
    except OSError:
        return None


def _not_a_forest(model: Model, shown: str, error: NotAForestError) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    if error.certain:
        span = model.config.span(("backend",))
        yield Problem("E402", f"{shown} of '{model.name}' {error}", span, error.hint)


def _against(model: Model, shown: str, found: Forest, repository: Repository) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    kind = parameters.text(model, "model_type")
    if parameters.lacks(model, "model_type"):
        kind = backend.DEFAULT_TYPE
    if kind is not None and kind != found.type and kind in backend.FILES:
        yield _other_type(model, shown, found)
        return
    if found.targets > 1:
        message = f"{shown} of '{model.name}' predicts {found.targets} targets; the backend gives 1"
        span = model.config.span(("backend",))
        yield Problem("E406", message, span, "train one model for each target")
        return
    yield from _features(model, shown, found)
    yield from _width(model, shown, found)
    yield from _classes(model, shown, found, repository)


def _other_type(model: Model, shown: str, found: Forest) -> Problem:
    assert model.config is not None  # noqa: S101 - asked by the rule
    given = parameters.text(model, "model_type")
    said = "without a model_type the backend expects XGBoost's old binary format"
    span = model.config.span(("backend",))
    if given is not None:
        said = f'model_type is "{given}"'
        span = parameters.span(model, "model_type")
    message = f"{shown} of '{model.name}' is of the type {found.type}, but {said}"
    return Problem("E402", message, span, f'set model_type to "{found.type}"')


def _features(model: Model, shown: str, found: Forest) -> Iterator[Problem]:
    port = model.inputs.get(backend.INPUT)
    size = _item_size(model, port)
    if port is None or size is None or size == found.features or model.config is None:
        return
    if found.features < 1:  # the file does not say
        return
    message = (
        f"{shown} takes {found.features} features, but '{port.name}' of '{model.name}' has {size}: "
        "the backend reads memory that is not theirs and answers nonsense"
    )
    hint = f"declare dims: [ {found.features} ]"
    yield Problem("E462", message, model.config.span((*port.at, "dims")), hint)


def _width(model: Model, shown: str, found: Forest) -> Iterator[Problem]:
    port = model.outputs.get(backend.OUTPUT)
    size, gives = _item_size(model, port), _gives(model, found)
    if port is None or size is None or gives is None or size == gives or model.config is None:
        return
    span = model.config.span((*port.at, "dims"))
    values = f"{gives} value{'s' * (gives > 1)} a row"
    message = f"{shown} gives {values}, but '{port.name}' of '{model.name}' has room for {size}"
    hint = f"declare dims: [ {gives} ]"
    if size < gives:
        yield Problem("E462", f"{message}: the first request ends the server", span, hint)
    else:
        yield Problem("E463", f"{message}: the rest is zeros", span, hint)


def _item_size(model: Model, port: Port | None) -> int | None:
    """Values of one row of a port, where the config says it plainly."""
    config = model.config
    if port is None or port.open or config is None or not config.knows("max_batch_size"):
        return None
    if not config.knows(*port.at, "reshape"):
        return None
    shape = _shape(port)
    axes = 1 if model.max_batch_size > 0 else 2
    return shape[-1] if len(shape) == axes and shape[-1] > 0 else None


def _gives(model: Model, found: Forest) -> int | None:
    """Values that a row gives; None where that depends on more than the parameters."""
    proba = _flag(model, "predict_proba")
    classes = _class_flag(model)
    if proba is None:
        return None
    if found.task == "regression":
        return None if proba else 1
    return found.classes if proba else 1 if classes else None


def _flag(model: Model, name: str) -> bool | None:
    """A parameter that is false by default; None where it is open."""
    value = parameters.text(model, name)
    if value is None:
        return False if parameters.lacks(model, name) else None
    return {"true": True, "false": False}.get(value)


def _class_flag(model: Model) -> bool | None:
    name = "output_class" if not parameters.lacks(model, "output_class") else "is_classifier"
    return _flag(model, name)


def _classes(model: Model, shown: str, found: Forest, repository: Repository) -> Iterator[Problem]:
    """The plain CPU path asks Treelite 4 for a post-processor that it no longer has."""
    target = repository.target
    if found.task != "classification" or found.classes < 3 or model.config is None:
        return
    if target is not None and target.fil_renamed_parameters:
        return
    plain = _flag(model, "use_experimental_optimizations") is False
    if not _on_cpu(model) or not plain or _flag(model, "predict_proba") is not False:
        return
    if _flag(model, "output_class"):
        message = (
            f"{shown} of '{model.name}' tells {found.classes} classes apart: on the CPU every "
            "request for the class fails, `Post-processor named 'max_index' not found`"
        )
        hint = 'add the parameter use_experimental_optimizations "true", or predict_proba "true"'
        yield Problem("E468", message, parameters.span(model, "output_class"), hint)


def _on_cpu(model: Model) -> bool:
    groups = model.message.instance_group
    known = model.config is not None and model.config.knows("instance_group")
    return known and bool(groups) and all(group.kind == group.KIND_CPU for group in groups)
