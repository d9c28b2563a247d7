"""Ports from what a file says of the two ends of its graph: names, types, sizes.

Sizes that have a name in the file are symbols of its step, which the pipeline's edges join with
the names that the author uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ensemblegen.errors import did_you_mean
from ensemblegen.members.kind import Port, Site
from ensemblegen.spec import StepSpec, TensorSpec
from ensemblegen.types import ANY, DType, Shape, Tensor, compatible, shape_text


@dataclass(frozen=True, slots=True)
class End:
    """An input or output of a file's graph."""

    name: str
    dtype: DType | None
    """None for what Triton has no type for."""
    shape: tuple[int | str, ...] | None
    """With the batch axis; a name or -1 for any size. None if the file does not say."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A step whose file is looked at; problems go to its site."""

    site: Site
    step: StepSpec
    word: str
    """The key that names the file."""
    file: str
    """As the author writes it."""
    export: str
    """What to do for a model with a dynamic batch axis."""

    @property
    def max_batch_size(self) -> int:
        own = self.step.max_batch_size
        return self.site.pipeline.max_batch_size if own is None else own

    def problem(self, code: str, message: str, hint: str | None = None) -> None:
        """Report a problem with the file."""
        self.site.problem(code, message, self.word, hint=hint)


Ports = dict[str, Port]
Same = tuple[tuple[Shape, Shape], ...]


def inputs(reading: Reading, ends: Sequence[End]) -> Ports:
    """All inputs of the graph; whether each is fed is a question of the pipeline's edges."""
    found: Ports = {}
    for end in ends:
        shape = _item(reading, end)
        if end.shape is None:
            message = f"{reading.file} does not say how many axes '{end.name}' has"
            reading.problem("E406", message, "export it with the shapes of its inputs")
        elif end.dtype is None:
            _untyped(reading, end)
        elif shape is not None:
            found[end.name] = Port(end.name, end.name, Tensor(end.dtype, shape))
    return found


def outputs(reading: Reading, ends: Sequence[End]) -> tuple[Ports, Same]:
    """Those that the author declares, else all; and the shapes that are said of one twice."""
    declared = reading.step.outputs
    known = {end.name: end for end in ends}
    for name in declared:
        if name not in known:
            message = f"{reading.file} has no output '{name}'"
            hint = did_you_mean(name, known)
            reading.site.key_problem("E407", message, "outputs", name, hint=hint)
    wanted = [end for end in ends if not declared or end.name in declared]
    pairs = [_output(reading, end, declared.get(end.name)) for end in wanted]
    ports = {port.name: port for port, _ in pairs if port is not None}
    return ports, tuple(same for _, same in pairs if same is not None)


def _output(
    reading: Reading, end: End, declared: TensorSpec | None
) -> tuple[Port | None, tuple[Shape, Shape] | None]:
    if end.dtype is None:
        _untyped(reading, end)
        return None, None
    if end.shape is None and declared is None:
        message = f"{reading.file} does not say how many axes '{end.name}' has"
        hint = f"for example `outputs: {{{end.name}: {{dtype: {end.dtype}, shape: [4]}}}}`"
        reading.problem("E305", message, hint)
        return None, None
    shape = _item(reading, end) if end.shape is not None else None
    if declared is None:
        good = shape is not None and Tensor(end.dtype, shape)
        return (Port(end.name, end.name, good) if good else None), None
    said = Tensor(declared.dtype, tuple(declared.shape))
    if said.dtype is not end.dtype or (shape is not None and not compatible(said.shape, shape)):
        sizes = "" if shape is None else shape_text(shape)
        message = f"'{end.name}' of {reading.file} is {end.dtype}{sizes}, not {said}"
        hint = "shapes are per item; leave `outputs` out, and they are read from the file"
        reading.site.problem("E407", message, "outputs", end.name, hint=hint)
        return None, None
    same = None if shape is None else (said.shape, shape)
    return Port(end.name, end.name, said), same


def _untyped(reading: Reading, end: End) -> None:
    message = f"'{end.name}' of {reading.file} is of a type that Triton does not have"
    reading.problem("E405", message, "cast it in the model before it is exported")


def _item(reading: Reading, end: End) -> Shape | None:
    """The shape of one item; None for what has no batch axis where one is needed, or no axis."""
    if not end.shape:
        if end.shape is not None and not reading.max_batch_size:
            message = f"'{end.name}' of {reading.file} is a single value without an axis"
            reading.problem("E406", message, "export it as a tensor of one value, [1]")
        return None
    shape = end.shape[1:] if reading.max_batch_size else end.shape
    if not shape:
        return None
    return tuple(_symbol(reading, size) if isinstance(size, str) else size for size in shape)


def _symbol(reading: Reading, name: str) -> str:
    """A size that the file names, as one of this step: other files may mean another by it."""
    return f"{reading.site.name}/{re.sub('[^A-Za-z0-9_-]', '_', name)}"


def batchless(ends: Sequence[End], *, fixed: bool) -> Iterator[tuple[End, str]]:
    """Ends that cannot carry batches, with the reason; `fixed` counts a number in their axis."""
    for end in ends:
        if end.shape is not None and not end.shape:
            yield end, "a single value without an axis"
        elif fixed and end.shape and isinstance(end.shape[0], int) and end.shape[0] != ANY:
            sizes = ", ".join(map(str, end.shape))
            yield end, f"[{sizes}]: its first size is fixed"
