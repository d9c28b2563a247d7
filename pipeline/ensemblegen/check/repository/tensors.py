"""Is every input and output of a model declared as Triton accepts it?

The conditions are those of ValidateModelIOConfig in core model_config_utils.cc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Repository

_TAKES_CONFIG = frozenset({"ensemble", "fil", "pytorch"})
"""Backends that add nothing to what the config declares."""
_READS_FILE = frozenset({"pytorch", "onnxruntime", "tensorrt", "tensorflow"})
_PLANES = (1, 3, 4)
"""How many an image has."""
_PLAIN = re.compile(r"^class TritonPythonModel\s*(\(\s*(object)?\s*\))?\s*:", re.MULTILINE)
"""A model that inherits nothing."""
_TENSORRT = ("is_shape_tensor", "is_non_linear_format_io")


def tensors(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None:
        return
    for kind in ("input", "output"):
        seen: dict[str, int] = {}
        for number, message in enumerate(getattr(config.message, kind)):
            at = (kind, number)
            who = f"{kind} '{message.name}' of '{model.name}'"
            yield from _lacking(model, at, message)
            yield from _sizes(config, at, message, who)
            yield from _reshape(model, at, message, who)
            yield from _special(model, at, message, who)
            if kind == "input" and message.name and message.name in seen and not model.is_ensemble:
                text = f"{who} is declared before: every request will be refused"
                span = config.span((*at, "name"))
                yield Problem("E422", text, span, "remove one of the two, or rename it")
            seen.setdefault(message.name, number)
    yield from _labels(model, config)
    yield from _batch_axis(model)


def _lacking(model: Model, at: At, message: Any) -> Iterator[Problem]:
    """Only where nobody else fills it in: the backend, or a Python model."""
    config = model.config
    if config is None or config.broken or not _settled(model):
        return
    given = {"name": message.name, "data_type": message.data_type, "dims": message.dims}
    lacking = [name for name in given if not given[name] and config.knows(*at, name)]
    if not lacking:
        return
    named = f" '{message.name}'" if message.name else f" {at[1]}"
    text = f"{at[0]}{named} of '{model.name}' has no {' and no '.join(lacking)}"
    examples = {"name": 'name: "X"', "data_type": "data_type: TYPE_FP32", "dims": "dims: [ 4 ]"}
    hint = f"add {', '.join(examples[name] for name in lacking)}"
    if lacking == ["dims"]:
        hint = "add dims: [ -1 ], or the size; a scalar is dims: [ 1 ] with reshape { shape: [ ] }"
    yield Problem("E420", text, config.span(at), hint)


def _settled(model: Model) -> bool:
    """Whether nothing is added to what the config declares."""
    if model.backend != "python":
        return model.backend in _TAKES_CONFIG
    sources = model.sources.values()
    return bool(sources) and not model.auto_completes and all(map(_PLAIN.search, sources))


def _sizes(config: Config, at: At, message: Any, who: str) -> Iterator[Problem]:
    for field, sizes in (("dims", message.dims), ("reshape", message.reshape.shape)):
        way = (*at, field) if field == "dims" else (*at, field, "shape")
        for number, size in enumerate(sizes):
            if (size == 0 or size < -1) and config.knows(*way, number):
                text = f"{who} has the size {size}"
                hint = "sizes are 1 or more; -1 stands for any"
                if size == 0 and field == "dims":
                    hint += "; a scalar is dims: [ 1 ] with reshape { shape: [ ] }"
                yield Problem("E421", text, config.span((*way, number)), hint)
                return


def _reshape(model: Model, at: At, message: Any, who: str) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken or not message.HasField("reshape"):
        return
    dims, shape = list(message.dims), list(message.reshape.shape)
    if not dims or min((*dims, *shape, 1)) < -1 or 0 in (*dims, *shape):
        return
    if not (config.knows(*at, "dims") and config.knows(*at, "reshape")):
        return
    span = config.key_span((*at, "reshape"))
    if _runs(dims) != _runs(shape):
        text = f"{who}: reshape {shape} does not hold as many elements as dims {dims}"
        hint = "their products must be equal, and each -1 stays between the same sizes"
        yield Problem("E423", text, span, hint)
    elif not shape and not model.max_batch_size and config.knows("max_batch_size"):
        if model.completes and not model.is_ensemble and model.backend != "python":
            return
        text = f"{who}: a scalar needs a batch axis, and '{model.name}' has none"
        yield Problem("E423", text, span, "remove the reshape, or set max_batch_size")


def _runs(sizes: Sequence[int]) -> list[int]:
    """The products of what stands before, between and after each -1."""
    runs = [1]
    for size in sizes:
        if size == -1:
            runs.append(1)
        else:
            runs[-1] = math.prod((runs[-1], size))
    return runs


def _special(model: Model, at: At, message: Any, who: str) -> Iterator[Problem]:
    config = model.config
    if config is None:
        return
    known = config.knows(*at, "dims") and config.knows(*at, "format")
    if known and at[0] == "input" and message.format and len(message.dims) not in (0, 3):
        text = f"{who} has a format of images, and {len(message.dims)} dims"
        hint = (
            "FORMAT_NHWC and FORMAT_NCHW need 3 dims, the batch axis not counted: remove `format`"
        )
        yield Problem("E424", text, config.span((*at, "format")), hint)
    if model.backend in ("", "tensorrt"):
        return
    for field in _TENSORRT:
        if getattr(message, field, False) and config.knows(*at, field):
            text = f"{who}: only TensorRT models have {field}, this one has the backend "
            text += f"'{model.backend}'"
            yield Problem("E425", text, config.key_span((*at, field)), "remove it")


def _labels(model: Model, config: Config) -> Iterator[Problem]:
    for number, message in enumerate(config.message.output):
        file = message.label_filename
        way = ("output", number, "label_filename")
        if not file or not model.folder or not model.has_files or not config.knows(*way):
            continue
        if not Path(model.folder, file.lstrip("/")).exists():
            text = f"'{model.name}' has no file {file} for the labels of output '{message.name}'"
            hint = "put it into the model's folder, beside config.pbtxt"
            yield Problem("E426", text, config.span(way), hint)


def _batch_axis(model: Model) -> Iterator[Problem]:
    """Images of any number, each time in a batch: most likely the batch axis is counted twice."""
    config = model.config
    if config is None or model.max_batch_size < 1 or model.backend not in _READS_FILE:
        return
    for port in model.inputs.values():
        dims = port.dims
        if port.open or len(dims) != 4 or dims[0] != -1 or not {dims[1], dims[3]} & {*_PLANES}:
            continue
        text = f"input '{port.name}' of '{model.name}' takes batches of {list(dims)}: "
        text += "five axes in all"
        hint = f"max_batch_size {model.max_batch_size} adds the batch axis: if dims has it already,"
        hint += f" write dims: {list(dims[1:])}"
        yield Problem("E427", text, config.span((*port.at, "dims")), hint)
        return
