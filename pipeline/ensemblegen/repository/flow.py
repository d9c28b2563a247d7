"""The shapes that pass through an ensemble for a request of a given batch size.

Between steps that batch and steps that do not, the server takes batch axes of 1 off and puts them
on (EnsembleContext::ReshapeTensorDims in core ensemble_scheduler.cc); nothing of it is tried
before a request comes. Sizes that a config leaves open are learnt from the first step that fixes
them; those that one batch ties together stay one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ensemblegen.repository.axis import OPEN, Axis, fits, join, known, meet, root
from ensemblegen.repository.ensemble import Ensemble, Step, Use
from ensemblegen.repository.pruning import left_out

_DEEPEST = 3
"""Ensembles in ensembles beyond this are taken by what they declare."""


@dataclass(slots=True)
class Tensor:
    """What passes: all axes, the batch among them where its maker batches."""

    axes: list[Axis]
    batched: bool
    source: Use

    @property
    def fixed_by(self) -> Use | None:
        """The use that first gave a size which `source` leaves open."""
        return next((use for use in (root(axis).fixed_by for axis in self.axes) if use), None)


@dataclass(frozen=True, slots=True)
class Clash:
    """A request that the server refuses on its way: `use` cannot take what comes."""

    use: Use
    given: Tensor
    shape: tuple[int, ...]
    """As it arrives, after batch axes were put on or taken off."""
    wanted: tuple[int, ...]
    why: str
    """'shape', 'batch' (more than the model takes), 'mixed' (batches of two sizes in one step)"""
    inside: bool = False
    """Whether it is in the ensemble that a step runs; `use` and `given` are this side's then."""


@dataclass(slots=True)
class _Run:
    """What has come about so far in one ensemble."""

    ensembles: Mapping[str, Ensemble]
    batch: Axis | None
    """None where the ensemble does not batch."""
    depth: int = 0
    wanted: frozenset[str] | None = None
    """The outputs that are asked for; None for all."""
    tensors: dict[str, Tensor] = field(default_factory=dict)


def run(
    ensemble: Ensemble, batch: int, ensembles: Mapping[str, Ensemble] | None = None
) -> Clash | None:
    """The first clash that a request of `batch` items meets; 0 without batches.

    Only for a sound ensemble. Silent about whatever hangs on something not known. Steps that run
    one of `ensembles` are followed into it.
    """
    return _through(ensemble, {}, _Run(ensembles or {}, Axis(batch) if batch else None))


def _through(ensemble: Ensemble, given: Mapping[str, list[Axis]], run: _Run) -> Clash | None:
    """Inputs have the axes that are `given`, else those that they are declared to have."""
    for use in ensemble.own:
        if use.writes and use.judged:
            axes = [*([run.batch] if run.batch else []), *map(Axis, use.dims)]
            if use.tensor in given and not _reshaped(use):
                axes = given[use.tensor]
            run.tensors[use.tensor] = Tensor(axes, run.batch is not None, use)
    idle = left_out(ensemble, run.wanted) if run.wanted is not None else set()
    for step in ensemble.order:
        clash = _step(step, run) if step.number not in idle else None
        if clash is not None:
            return clash
    return _answer(ensemble, run)


def _answer(ensemble: Ensemble, run: _Run) -> Clash | None:
    """What comes out may be of another shape than is declared: nothing checks that."""
    for use in ensemble.own:
        asked = run.wanted is None or use.tensor in run.wanted
        made = run.tensors.get(use.tensor) if asked and not use.writes else None
        if made is None or not use.judged:
            continue
        axes = _arriving(made, use)
        wanted = (root(run.batch).size, *use.dims) if run.batch else use.dims
        if not meet(axes, wanted, use) or (run.batch and not join(run.batch, axes[0])):
            return Clash(use, made, known(axes), wanted, "shape")
    return None


def _step(step: Step, run: _Run) -> Clash | None:
    if not step.known or any(use.batching is None or _special(use) for use in step.inputs):
        return None
    assert step.member is not None  # noqa: S101 - it is known
    batch = Axis() if step.member.max_batch_size else None
    arrived: dict[str, list[Axis]] = {}
    for use in step.inputs:
        given = run.tensors.get(use.tensor)
        if given is None or not use.judged:
            continue
        arrived[use.name] = _arriving(given, use)
        why = _refusal(arrived[use.name], use, batch, step.member.max_batch_size)
        if why:
            wanted = (OPEN, *use.dims) if batch else use.dims
            return Clash(use, given, known(arrived[use.name]), wanted, why)
    for use in step.outputs:
        if use.judged:
            axes = [*([batch] if batch else []), *map(Axis, use.dims)]
            run.tensors[use.tensor] = Tensor(axes, batch is not None, use)
    inner = run.ensembles.get(step.name)
    if inner is None or not inner.sound or inner.disputes or run.depth == _DEEPEST:
        return None
    return _inside(step, inner, arrived, run, batch)


def _refusal(axes: Sequence[Axis], use: Use, batch: Axis | None, limit: int) -> str:
    """Why a step cannot take what comes; `batch` is that of its other inputs."""
    if not meet(axes, (OPEN, *use.dims) if batch else use.dims, use):
        return "shape"
    if batch and known(axes)[0] > limit:
        return "batch"
    return "" if batch is None or join(batch, axes[0]) else "mixed"


def _inside(
    step: Step,
    inner: Ensemble,
    arrived: Mapping[str, list[Axis]],
    run: _Run,
    batch: Axis | None,
) -> Clash | None:
    """What comes about in the ensemble that `step` runs; silent if that is not due to `step`."""
    wanted = frozenset(use.name for use in step.outputs)
    apart = Axis(root(batch).size) if batch else None
    if _through(inner, {}, _Run(run.ensembles, apart, run.depth + 1, wanted)) is not None:
        return None
    within = _Run(run.ensembles, batch, run.depth + 1, wanted)
    clash = _through(inner, arrived, within)
    uses = {use.name: use for use in step.inputs if use.name in arrived}
    if clash is not None and uses:
        use = uses.get(clash.given.source.tensor) or next(iter(uses.values()))
        given = run.tensors[use.tensor]
        return Clash(use, given, clash.shape, clash.wanted, clash.why, inside=True)
    for use in step.outputs:
        _leave(use, inner, within, run)
    return None


def _leave(use: Use, inner: Ensemble, within: _Run, run: _Run) -> None:
    """Sizes that the inner ensemble leaves open are often known inside."""
    made, outer = within.tensors.get(use.name), run.tensors.get(use.tensor)
    own = next((each for each in inner.own if each.tensor == use.name and not each.writes), None)
    if made is None or outer is None or own is None or _reshaped(own):
        return
    axes = _arriving(made, own)
    if len(axes) == len(outer.axes):
        for one, other in zip(axes, outer.axes, strict=True):
            join(one, other)


def _arriving(given: Tensor, use: Use) -> list[Axis]:
    """The axes with which the server calls the step.

    Open sizes count as those that the step takes: with others it would refuse the request.
    """
    if use.batching == given.batched:
        return given.axes
    alike = fits(use.dims, known(given.axes))
    if use.batching:
        return [Axis(1), *given.axes] if alike else given.axes
    if alike or not meet(given.axes[:1], [1], use):
        return given.axes
    return given.axes[1:]


def _reshaped(use: Use) -> bool:
    return use.port is not None and use.dims != use.port.dims


def _special(use: Use) -> bool:
    """Shape tensors of TensorRT have no batch axis."""
    return use.port is not None and bool(getattr(use.port.message, "is_shape_tensor", False))
