"""Inputs to trace and to compare with: random, always the same, of several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import authors
from .faults import Fault

_BATCHES = (2, 3, 1)
_FREE = ((6, 9, 11), (5, 13, 7), (1, 2, 4))
"""What sizes that are not fixed are in each sample; a further one follows on with one more."""
_FLOATS = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}
_WHOLE = {"uint8": "uint8", "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64"}


@dataclass(frozen=True)
class Sample:
    """One call: its tensors in order, and what each free size is in it."""

    tensors: list[Any]
    sizes: dict[str, int]
    batch: int | None


def of(inputs: Sequence[dict[str, Any]], *, batched: bool) -> list[Sample]:
    """Three samples for inputs of `name`, `dtype` and `shape`, whose names of sizes are free.

    The first is for tracing. Floats are normal, whole numbers 0 or 1, which every embedding has.
    """
    torch = authors.library("torch", "runs the model")
    generator = torch.Generator().manual_seed(0)
    free = list(dict.fromkeys(dim for each in inputs for dim in each["shape"]
                              if isinstance(dim, str)))  # fmt: skip
    samples = []
    for batch, sizes in zip(_BATCHES, _FREE):  # noqa: B905 - three and three
        known = {name: sizes[i % 3] + i // 3 for i, name in enumerate(free)}
        axis = [batch] if batched else []
        tensors = []
        for each in inputs:
            shape = [*axis, *(known.get(dim, dim) for dim in each["shape"])]
            tensors.append(_random(torch, each, shape, generator))
        samples.append(Sample(tensors, known, batch if batched else None))
    return samples


def _random(torch: Any, each: dict[str, Any], shape: list[int], generator: Any) -> Any:
    dtype = each["dtype"]
    if dtype in _FLOATS:
        return torch.randn(shape, generator=generator).to(getattr(torch, _FLOATS[dtype]))
    if dtype == "bool" or dtype in _WHOLE:
        numbers = torch.randint(0, 2, shape, generator=generator)
        return numbers.to(getattr(torch, _WHOLE.get(dtype, "bool")))
    raise Fault("input", f"'{each['name']}' is {dtype}, which is no tensor for a torch.nn.Module")


def outputs(
    names: Sequence[str], samples: Sequence[Sample], given: Sequence[Sequence[Any]], label: str
) -> list[dict[str, Any]]:
    """The types of what came out: a size that follows one of the inputs has its name.

    Fault where the first axis does not follow the batch.
    """
    described = []
    for number, name in enumerate(names):
        shapes = [list(answer[number].shape) for answer in given]
        if samples[0].batch is not None:
            _require_batch(name, samples, shapes, label)
            shapes = [shape[1:] for shape in shapes]
        dims = [_dim(sizes, samples) for sizes in zip(*shapes)]  # noqa: B905 - of one rank
        if not dims:
            message = f"{label} gives {name} without an axis beside the batch"
            raise Fault("model", message, "give it one: `.unsqueeze(-1)`")
        described.append(
            {"name": name, "dtype": _word(given[0][number].dtype, name), "shape": dims}
        )
    return described


def _require_batch(
    name: str, samples: Sequence[Sample], shapes: Sequence[list[int]], label: str
) -> None:
    for sample, shape in zip(samples, shapes):  # noqa: B905 - one a sample
        if shape[:1] != [sample.batch]:
            raise Fault(
                "model",
                f"{label} gives {name} of shape {shape} for a batch of {sample.batch}: "
                "the first axis must be the batch",
                "keep the batch axis, or set `max_batch_size: 0` for the step",
            )


def _dim(sizes: Sequence[int], samples: Sequence[Sample]) -> int | str:
    """One axis in all samples: the free size that it equals, its number, or -1."""
    for name in samples[0].sizes:
        if all(size == each.sizes[name] for size, each in zip(sizes, samples)):  # noqa: B905
            return name
    return sizes[0] if len(set(sizes)) == 1 else -1


def _word(dtype: Any, name: str) -> str:
    plain = str(dtype).rpartition(".")[2]
    words = {value: word for word, value in (*_FLOATS.items(), *_WHOLE.items(), ("bool", "bool"))}
    if plain not in words:
        message = f"{name} comes as {plain}, for which the backend has no type"
        raise Fault("model", message, "cast it where forward returns it, such as `.float()`")
    return words[plain]


def tensors(answer: Any, label: str) -> list[Any]:
    """What a module gave, as a list. Fault for what is no tensor or tuple of them."""
    torch = authors.library("torch", "runs the model")
    if isinstance(answer, torch.Tensor):
        return [answer]
    if (
        isinstance(answer, tuple)
        and answer
        and all(isinstance(each, torch.Tensor) for each in answer)
    ):
        return list(answer)
    raise Fault(
        "model",
        f"{label} gives a {type(answer).__name__}; the backend takes a tensor or a tuple of them",
        "wrap it in a module whose forward picks the tensors out",
    )


def difference(expected: Sequence[Any], answered: Sequence[Any]) -> float:
    """The largest, as a part of the largest value, or of 1 if that is smaller; inf for a shape.

    Equal infinities, and NaN in the same places, are no difference.
    """
    worst = 0.0
    for one, other in zip(expected, answered):  # noqa: B905 - as many as the model gives
        if one.shape != other.shape:
            return math.inf
        if one.numel():
            worst = max(worst, _apart(one.double(), other.double()))
    return worst


def _apart(one: Any, other: Any) -> float:
    same = (one == other) | (one.isnan() & other.isnan())
    most = float((one - other).abs().masked_fill(same, 0.0).max())
    sizes = one.abs()[one.isfinite()]
    size = max(1.0, float(sizes.max())) if sizes.numel() else 1.0
    return math.inf if math.isnan(most) else most / size
