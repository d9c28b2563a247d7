"""Ports from what a file says of the two ends of its graph: names, types, sizes.

Sizes that have a name in the file are symbols of its step, which the pipeline's edges join with
the names that the author uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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

    @property
    def max_batch_size(self) -> int:
        own = self.step.max_batch_size
        return self.site.pipeline.max_batch_size if own is None else own

    def problem(self, code: str, message: str, hint: str | None = None) -> None:
        """Report a problem with the file."""
        self.site.problem(code, message, self.word, hint=hint)


Ports = dict[str, Port]
Same = tuple[tuple[Shape, Shape], ...]

ONE: Shape = (1,)
"""How a single value travels: Triton's tensors have an axis at least."""


def inputs(reading: Reading, ends: Sequence[End]) -> Ports:
    """All inputs of the graph; whether each is fed is a question of the pipeline's edges."""
    found: Ports = {}
    for end in ends:
        if end.shape is None:
            message = f"{reading.file} does not say how many axes '{end.name}' has"
            reading.problem("E406", message, "export it with the shapes of its inputs")
        elif end.dtype is None:
            _untyped(reading, end)
        else:
            item = _item(reading, end.shape)
            # A number that the pipeline knows may stand in the config of an input.
            dims = None if item else _dims(reading, item)
            found[end.name] = Port(end.name, end.name, Tensor(end.dtype, item or ONE), dims=dims)
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
    found: Ports = {}
    same: list[tuple[Shape, Shape]] = []
    for end in ends:
        if end.dtype is None:
            _untyped(reading, end)
        elif end.name in declared:
            found[end.name] = _declared(reading, end, declared[end.name], same)
        elif not declared:
            found |= _read(reading, end.name, end.dtype, end.shape)
    return found, tuple(same)


def _read(reading: Reading, name: str, dtype: DType, shape: tuple[int | str, ...] | None) -> Ports:
    """An output as the file has it; none where it does not say enough."""
    if shape is None:
        message = f"{reading.file} does not say how many axes '{name}' has"
        hint = f"for example `outputs: {{{name}: {{dtype: {dtype}, shape: [4]}}}}`"
        reading.problem("E305", message, hint)
        return {}
    item = _item(reading, shape)
    return {name: Port(name, name, Tensor(dtype, item or ONE), dims=_dims(reading, item))}


def _declared(
    reading: Reading, end: End, declared: TensorSpec, same: list[tuple[Shape, Shape]]
) -> Port:
    said = Tensor(declared.dtype, tuple(declared.shape))
    item = said.shape if end.shape is None else _item(reading, end.shape)
    if said.dtype is not end.dtype or not compatible(said.shape, item or ONE):
        message = f"'{end.name}' of {reading.file} is {end.dtype}{shape_text(item or ONE)}, "
        hint = "shapes are per item; leave `outputs` out, and they are read from the file"
        reading.site.problem("E407", f"{message}not {said}", "outputs", end.name, hint=hint)
    elif item:
        same.append((said.shape, item))
        # A backend may find out more than its file says, and wants to hear it.
        item = tuple(a if isinstance(a, int) and a > 0 else b
                     for a, b in zip(said.shape, item, strict=True))  # fmt: skip
    return Port(end.name, end.name, said, dims=_dims(reading, item))


def _dims(reading: Reading, item: Shape) -> Shape | None:
    """Triton reshapes single values of a batch; without batches the backend itself does."""
    return item if item or reading.max_batch_size else None


def _untyped(reading: Reading, end: End) -> None:
    message = f"'{end.name}' of {reading.file} is of a type that Triton does not have"
    reading.problem("E405", message, "cast it in the model before it is exported")


def _item(reading: Reading, shape: tuple[int | str, ...]) -> Shape:
    """The shape of one item, empty for a single value; names become symbols of the step."""
    sizes = shape[1:] if reading.max_batch_size else shape
    return tuple(_symbol(reading, size) if isinstance(size, str) else size for size in sizes)


def _symbol(reading: Reading, name: str) -> str:
    """A size that the file names, as one of this step: other files may mean another by it."""
    return f"{reading.site.name}/{re.sub('[^A-Za-z0-9_-]', '_', name)}"


def fixed(ends: Sequence[End]) -> End | None:
    """The first that has a number, or nothing, where its batch axis should be."""
    return next((end for end in ends if end.shape is not None and not _is_open(end.shape)), None)


def _is_open(shape: tuple[int | str, ...]) -> bool:
    return bool(shape) and (isinstance(shape[0], str) or shape[0] == ANY)
