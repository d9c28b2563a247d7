"""Optimization profiles: for which shapes of its inputs a TensorRT plan is built.

before  what the author writes of min, opt and max, and the inputs of the ONNX file
after   Profile: a size from a range for every axis that the file leaves open

Axes of one name in the file are one size, so an input that a profile does not name may follow from
the others. The first axis of every input is the batch's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ensemblegen.errors import did_you_mean
from ensemblegen.members.ends import End
from ensemblegen.places import At

BATCH = "the batch"
MIN, OPT, MAX = "min", "opt", "max"

Shapes = Mapping[str, Sequence[int]]
"""By input, sizes with that of the batch."""
Written = Mapping[str, Shapes]
"""By `min`, `opt` and `max`; without `opt` it is `max`."""
Axes = Mapping[str, tuple[int | str, ...]]
"""By input, a number for each axis that is fixed and a name for each that is open."""
_Sizes = dict[str, int]
"""By name of an open axis."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the profiles, and the way to it from the list of them."""

    way: At
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """The least, the usual and the largest size of every open axis."""

    axes: Axes
    sizes: Mapping[str, Mapping[str, int]]
    """By `min`, `opt` and `max`."""

    def shapes(self, which: str) -> dict[str, tuple[int, ...]]:
        """The whole shapes of the inputs that have open axes."""
        sizes = self.sizes[which]
        return {
            name: tuple(sizes[axis] if isinstance(axis, str) else axis for axis in axes)
            for name, axes in self.axes.items()
            if any(isinstance(axis, str) for axis in axes)
        }


def axes_of(inputs: Sequence[End], *, batched: bool) -> Axes:
    """The axes of each input; an open one that the file does not name has a name of its own."""
    return {
        end.name: tuple(
            _axis(end.name, i, size, batched=batched) for i, size in enumerate(end.shape or ())
        )
        for end in inputs
    }


def _axis(name: str, i: int, size: int | str, *, batched: bool) -> int | str:
    if batched and i == 0:
        return BATCH
    return size if isinstance(size, str) or size > 0 else f"axis {i} of '{name}'"


def derived(axes: Axes, max_batch_size: int) -> Profile | None:
    """The one profile where only the batch is open; None where other axes are, or none is."""
    if {axis for each in axes.values() for axis in each if isinstance(axis, str)} != {BATCH}:
        return None
    sizes = {MIN: {BATCH: 1}, OPT: {BATCH: max_batch_size}, MAX: {BATCH: max_batch_size}}
    return Profile(axes, sizes)


def example(axes: Axes, max_batch_size: int) -> str:
    """A profile as it could be written, for a hint: 16 stands for sizes that nobody knows."""

    def shapes(batch: int, other: int) -> str:
        sizes = {
            name: [
                axis if isinstance(axis, int) else batch if axis == BATCH else other
                for axis in each
            ]
            for name, each in axes.items()
        }
        return "{" + ", ".join(f"{name}: {size}" for name, size in sizes.items()) + "}"

    return f"{{min: {shapes(1, 1)}, max: {shapes(max_batch_size, 16)}}}"


def read(
    written: Sequence[Written], axes: Axes, max_batch_size: int
) -> tuple[tuple[Profile, ...], list[Fault]]:
    """All profiles; with faults, those that have none."""
    found: list[Profile] = []
    faults: list[Fault] = []
    for i, each in enumerate(written):
        profile, wrong = _profile(each, axes, max_batch_size, (i,))
        wrong = wrong or list(_unordered(profile, (i,)))
        faults += wrong
        found += [] if wrong else [profile]
    if not faults and max_batch_size:
        faults += _batches(found, max_batch_size)
    return tuple(found), faults


def _profile(
    written: Written, axes: Axes, max_batch_size: int, way: At
) -> tuple[Profile, list[Fault]]:
    sizes: dict[str, _Sizes] = {}
    faults: list[Fault] = []
    for which in (key for key in (MIN, OPT, MAX) if key in written):
        wrong: list[Fault] = []
        sizes[which] = _sizes(written[which], axes, wrong, (*way, which))
        if max_batch_size:
            sizes[which].setdefault(BATCH, 1 if which == MIN else max_batch_size)
        faults += wrong or _missing(sizes[which], axes, (*way, which))
    sizes.setdefault(OPT, sizes[MAX])
    return Profile(axes, sizes), faults


def _sizes(given: Shapes, axes: Axes, faults: list[Fault], way: At) -> _Sizes:
    """The size of each open axis by the shapes that are given."""
    sizes: _Sizes = {}
    owners: dict[str, str] = {}
    for name, shape in given.items():
        known = axes.get(name)
        if known is None:
            hint = did_you_mean(name, axes)
            faults.append(Fault((*way, name), f"the model has no input '{name}'", hint))
            continue
        if len(shape) != len(known):
            message = f"'{name}' has {len(known)} axes with the batch, not {len(shape)}"
            faults.append(Fault((*way, name), message))
            continue
        for i, (size, axis) in enumerate(zip(shape, known, strict=True)):
            if isinstance(axis, int):
                if size != axis:
                    message = f"axis {i} of '{name}' is {axis} in the file, not {size}"
                    faults.append(Fault((*way, name, i), message))
            elif sizes.setdefault(axis, size) != size:
                message = f"{_said(axis)} is {sizes[axis]} in '{owners[axis]}', and {size} here"
                faults.append(Fault((*way, name, i), message, "one size has one name in the file"))
            else:
                owners.setdefault(axis, name)
    return sizes


def _missing(sizes: _Sizes, axes: Axes, way: At) -> Iterator[Fault]:
    for name, each in axes.items():
        missing = [axis for axis in each if isinstance(axis, str) and axis not in sizes]
        if missing:
            message = f"'{name}' is missing, whose {_said(missing[0])} nothing else says"
            yield Fault(way, message, f"add {name}: with the size of each axis, batch first")
            return


def _unordered(profile: Profile, way: At) -> Iterator[Fault]:
    for small, large in ((MIN, OPT), (OPT, MAX)):
        for axis, size in profile.sizes[small].items():
            if size > profile.sizes[large][axis]:
                message = f"{small} of {_said(axis)} is {size}, above its {large}, "
                message += str(profile.sizes[large][axis])
                yield Fault((*way, small), message, "min is at most opt, and opt at most max")
                return


def _batches(profiles: Sequence[Profile], max_batch_size: int) -> Iterator[Fault]:
    """Together they must take every batch that Triton may send."""
    if not any(BATCH in profile.sizes[MIN] for profile in profiles):
        return
    least = min(profile.sizes[MIN][BATCH] for profile in profiles)
    most = max(profile.sizes[MAX][BATCH] for profile in profiles)
    if least > 1:
        message = f"batches begin at {least}, and Triton also sends one item alone"
        yield Fault((0, MIN), message, "let the first axis of min be 1")
    if most < max_batch_size:
        message = f"batches end at {most}, and max_batch_size is {max_batch_size}"
        hint = f"let the first axis of max be {max_batch_size}, or set max_batch_size to {most}"
        yield Fault((0, MAX), message, hint)


def _said(axis: str) -> str:
    return axis if axis == BATCH or axis.startswith("axis ") else f"size '{axis}'"
