"""Do the samples of `model_warmup` pass through the model? One that does not keeps it unloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Port, Repository

FIELD = "model_warmup"
_COUNTS_BATCHES = frozenset({"python", "pytorch", "onnxruntime", "tensorrt", "tensorflow"})
"""Backends that refuse more requests at once than the largest batch."""


def warmup(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken or model.is_ensemble:
        return
    for number, sample in enumerate(config.message.model_warmup):
        at = (FIELD, number)
        if not config.knows(*at, "batch_size"):
            continue
        if not sample.batch_size:
            text = (
                f"warm-up sample '{sample.name}' of '{model.name}' is not run: its batch_size is 0"
            )
            given = (*at, "batch_size") in config.values
            span = config.span((*at, "batch_size")) if given else config.span(at)
            yield Problem("E436", text, span, "write batch_size: 1")
            continue
        yield from _sample(model, config, at, sample)


def _sample(model: Model, config: Config, at: At, sample: Any) -> Iterator[Problem]:
    who = f"warm-up sample '{sample.name}' of '{model.name}'"
    most = max(model.max_batch_size, 1)
    judged = config.knows("max_batch_size") and not model.completes
    if judged and sample.batch_size > most and model.backend in _COUNTS_BATCHES:
        text = f"{who} is a batch of {sample.batch_size}, the largest is {most}"
        yield Problem("E435", text, config.span((*at, "batch_size")), f"write at most {most}")
    for name, given in sample.inputs.items():
        yield from _input(model, (*at, "inputs", name), given, f"{who}: input '{name}'")
    if model.completes or not config.knows(*at, "inputs"):
        return
    for name, port in model.inputs.items():
        if not port.optional and name and name not in sample.inputs:
            text = f"{who} has no input '{name}', which the model requires"
            hint = f'add inputs {{ key: "{name}" value {{ ... }} }}'
            yield Problem("E435", text, config.span(at), hint)


def _input(model: Model, at: At, given: Any, who: str) -> Iterator[Problem]:
    config = model.config
    if config is None or not config.knows(*at):
        return
    span = config.span(at)
    name = str(at[-1])
    port = None if model.completes else model.inputs.get(name)
    if -1 in given.dims:
        text = f"{who} has an open size"
        yield Problem("E435", text, config.span((*at, "dims")), "write the size of the sample")
    elif given.WhichOneof("input_data_type") is None:
        yield Problem(
            "E435", f"{who} has no data", span, "add zero_data: true, or random_data: true"
        )
    elif port is not None and not port.open:
        yield from _against(config, at, given, port, who)
    file = given.input_data_file
    if file and model.folder and model.has_files and not (model.folder / "warmup" / file).exists():
        text = f"{who} reads warmup/{file}, which is not in the model's folder"
        yield Problem("E435", text, config.span((*at, "input_data_file")), "put the file there")


def _against(config: Config, at: At, given: Any, port: Port, who: str) -> Iterator[Problem]:
    if given.data_type != port.data_type:
        text = f"{who} is of another type than the model's"
        way = (*at, "data_type") if given.data_type else at
        yield Problem("E435", text, config.span(way), "give both the same data_type")
    sizes, wanted = list(given.dims), list(port.dims)
    alike = len(sizes) == len(wanted) and all(
        want in (-1, size) for size, want in zip(sizes, wanted, strict=True)
    )
    if wanted and not alike:
        text = f"{who} has the dims {sizes}, the model takes {wanted}"
        hint = "dims leave out the batch axis, and are those before a reshape"
        yield Problem("E435", text, config.span((*at, "dims") if sizes else at), hint)
