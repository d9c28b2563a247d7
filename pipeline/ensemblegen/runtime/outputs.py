"""What a step returned: checked against what the pipeline declares, then cut up per request.

Triton does not check outputs: a wrong dtype reaches the client as it is, a misspelt name vanishes,
and a wrong shape fails somewhere downstream. So it is said here, with what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy

from .arrays import SENDERS, library_of
from .failure import StepError
from .inputs import Item
from .spec import StepSpec, TensorSpec
from .text import encode

# By the kind of the declared dtype, the kinds of Python values that become it without loss of
# meaning: an int may become a float, a float never an int.
_FROM_PYTHON = {"b": "b", "u": "bui", "i": "bui", "f": "buif"}


class Output:
    """One declared output: its check and its way out."""

    def __init__(self, spec: TensorSpec, step: StepSpec) -> None:
        self.name = spec.name
        self._spec = spec
        self._batched = step.batched
        self._dtype = spec.array_dtype
        # numpy has one object per plain dtype, so the usual case is an identity.
        self._numpy = None if spec.dtype in ("string", "bf16") else numpy.dtype(self._dtype)
        self._fixed = None if spec.is_variable else spec.shape
        self._names: dict[Any, str] = {}  # dtype objects seen; their str() is slow
        padded = {
            symbol
            for tensor in step.inputs
            if tensor.pad is not None
            for _, symbol in tensor.symbols(0)
        }
        first = 1 if step.batched else 0
        self._crops = [(axis, symbol) for axis, symbol in spec.symbols(first) if symbol in padded]

    def checked(self, value: Any, rows: int, sizes: dict[str, int]) -> Checked:
        """The value as an array of the declared dtype and shape; StepError if it is not one."""
        if type(value) is numpy.ndarray and value.dtype is self._numpy:
            array, library = value, "numpy"
        elif self._dtype == "object":
            array, library = self._text(self._plain(value)), "numpy"
        else:
            array, library = self._numbers(self._plain(value))
        shape = tuple(array.shape)
        if self._fixed is None or shape != ((rows, *self._fixed) if self._batched else self._fixed):
            self._check_shape(shape, rows, sizes)
        return Checked(self.name, array, library)

    def cropped(self, part: Any, own: dict[str, int], group: dict[str, int]) -> Any:
        """Without the padding that the request's neighbours brought."""
        for axis, symbol in self._crops:
            if symbol in own and own[symbol] != group[symbol]:
                part = part[(slice(None),) * axis + (slice(0, own[symbol]),)]
        return part

    def _plain(self, value: Any) -> Any:
        """An array of numpy's as nothing more than that; other values as they are."""
        if isinstance(value, numpy.ma.MaskedArray):
            raise StepError(
                f"output '{self.name}' is a masked array, and Triton has no masks: "
                "return it through .filled(value)"
            )
        return numpy.asarray(value) if isinstance(value, numpy.ndarray) else value

    def _text(self, value: Any) -> Any:
        array = encode(value, self.name)
        if self._spec.shape == (1,) and array.ndim == 1 and self._batched:
            return array.reshape(-1, 1)  # as such inputs arrive: one str per row
        return array

    def _numbers(self, value: Any) -> tuple[Any, str]:
        library = library_of(value)
        if library is None:
            return self._from_python(value), "numpy"
        name = self._names.get(value.dtype)
        if name is None:
            name = self._names[value.dtype] = str(value.dtype).replace("torch.", "")
        if name != self._dtype:
            cast = "to" if library == "torch" else "astype"
            remedy = f"return it through .{cast}({library}.{self._dtype})"
            if self._dtype == "bfloat16":
                remedy = "return a torch tensor of torch.bfloat16"
            raise StepError(
                f"output '{self.name}' is {name}, but {self._spec.dtype} is declared: {remedy}"
            )
        return value, library

    def _from_python(self, value: Any) -> Any:
        if not isinstance(value, (list, tuple, int, float, numpy.generic)):
            raise StepError(
                f"output '{self.name}' is of type {_type_name(value)}: "
                "return an array of numpy, torch or cupy, or a list"
            )
        if self._dtype == "bfloat16":
            raise StepError(f"output '{self.name}' is bf16: return a torch tensor of bfloat16")
        try:
            natural = numpy.array(value)
        except (ValueError, TypeError) as error:
            raise StepError(f"output '{self.name}' is a list that is no array: {error}") from None
        dtype = numpy.dtype(self._dtype)
        if natural.size and natural.dtype.kind not in _FROM_PYTHON[dtype.kind]:
            raise StepError(
                f"output '{self.name}' is a list of {natural.dtype}, "
                f"but {self._spec.dtype} is declared"
            )
        array = natural.astype(dtype)
        if dtype.kind in "ui" and not numpy.array_equal(array, natural):
            raise StepError(f"output '{self.name}' holds numbers that do not fit {dtype}")
        return array

    def _check_shape(self, shape: tuple[int, ...], rows: int, sizes: dict[str, int]) -> None:
        wanted = (rows, *self._spec.shape) if self._batched else self._spec.shape
        if len(shape) != len(wanted):
            raise StepError(self._rank_error(shape, wanted))
        if self._batched and shape[0] != rows:
            raise StepError(
                f"output '{self.name}' has {shape[0]} rows, but the call had {rows}: "
                "return one row per row of the inputs"
            )
        for axis, size in enumerate(wanted):
            if isinstance(size, str):
                self._check_symbol(size, shape[axis], axis, sizes)
            elif size not in (-1, shape[axis]):
                raise StepError(
                    f"output '{self.name}' has shape {_shape(shape)}, "
                    f"but {_shape(wanted)} is declared"
                )

    def _check_symbol(self, symbol: str, size: int, axis: int, sizes: dict[str, int]) -> None:
        if sizes.setdefault(symbol, size) != size:
            raise StepError(
                f"output '{self.name}' has {size} for '{symbol}' (axis {axis}), "
                f"where the inputs or another output have {sizes[symbol]}"
            )

    def _rank_error(self, shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> str:
        text = (
            f"output '{self.name}' has shape {_shape(shape)}, but {_shape(wanted)} is declared"
            f"{' (the batch axis comes first)' if self._batched else ''}"
        )
        if self._batched and shape == wanted[:-1] and wanted[-1] == 1:
            axes = ", ".join([":"] * len(shape))
            return f"{text}: add the item's axis, x[{axes}, None]"
        if self._batched and shape == wanted[1:]:
            return f"{text}: add the batch axis, x[None]"
        return text


class Checked:
    """An output of a whole call, known to be what was declared."""

    __slots__ = ("array", "library", "name")

    def __init__(self, name: str, array: Any, library: str) -> None:
        self.name = name
        self.array = array
        self.library = library


class Part:
    """What one request gets of an output: rows of what the call gave, from `start` on."""

    __slots__ = ("array", "library", "name", "start", "whole")

    def __init__(self, name: str, array: Any, library: str, whole: Any, start: int) -> None:
        self.name = name
        self.array = array
        self.library = library
        self.whole = whole
        """The array of the whole call; None where the part is cropped."""
        self.start = start

    def tensor(self) -> Any:
        return SENDERS[self.library](self.name, self.array)


class Outputs:
    """All outputs of a step. `optional` says that the step leaves out what is not asked for."""

    def __init__(self, step: StepSpec, *, optional: bool) -> None:
        self._outputs = {spec.name: Output(spec, step) for spec in step.outputs}
        self._only = step.outputs[0].name if len(step.outputs) == 1 else None
        self._optional = optional

    def checked(
        self, result: Any, rows: int, sizes: dict[str, int], requested: frozenset[str]
    ) -> list[Checked]:
        if type(result) is not dict and not isinstance(result, Mapping):
            result = self._named(result)
        for name in result:
            if name not in self._outputs:
                raise StepError(self._unknown(name))
        sizes = dict(sizes)
        checked = []
        for name, output in self._outputs.items():
            value = result.get(name)
            if value is not None:
                checked.append(output.checked(value, rows, sizes))
            elif name in requested or not self._optional:
                raise StepError(f"output '{name}' is missing: the step returned {_list(result)}")
        return checked

    def parts(
        self, checked: list[Checked], item: Item, start: int, sizes: dict[str, int] | None
    ) -> list[Part]:
        """What one request asked for. `sizes` are its group's; None where it was called alone."""
        parts = []
        for output in checked:
            if output.name not in item.requested:
                continue
            whole, array = output.array, output.array
            if sizes is not None:
                rows = array[start : start + item.rows]
                array = self._outputs[output.name].cropped(rows, item.sizes, sizes)
                whole = whole if array is rows else None
            parts.append(Part(output.name, array, output.library, whole, start))
        return parts

    def _named(self, result: Any) -> dict[str, Any]:
        if self._only is not None and result is not None:
            return {self._only: result}
        raise StepError(
            f"the step returned {_type_name(result)}: return a dict of {_list(self._outputs)}"
        )

    def _unknown(self, name: Any) -> str:
        near = difflib.get_close_matches(str(name), list(self._outputs), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"declared are {_list(self._outputs)}"
        return f"the step returned an output '{name}' that is not declared; {hint}"


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
