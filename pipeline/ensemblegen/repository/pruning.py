"""Which requests for some outputs only an ensemble answers, and which end in a deadlock.

Triton leaves out the steps that a request does not need, walking back from the outputs that it does
not ask for (EnsembleContext in core ensemble_scheduler.cc; the same from 24.05 to 26.08). The walk
takes a tensor for unneeded as soon as no step reads it, whether or not it is asked for or was
counted before, and takes step 0 for the producer of every input of the ensemble. So it may leave
out steps that are needed. This is the same walk, and then the run.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from ensemblegen.repository.ensemble import Ensemble, Step

Subset = tuple[str, ...]

_ALL = 6
"""With up to this many outputs every subset is tried."""
_BUDGET = 40_000
"""How many entries of maps may be visited in all; beyond it subsets remain untried."""


def unanswered(ensemble: Ensemble, first: int = 0) -> list[Subset]:
    """The subsets of outputs that end in a deadlock, smallest first, as far as they were tried.

    With many outputs these are each alone, all but one, and pairs. Only for a sound ensemble.
    `first` is the step that would come first in the config.
    """
    outputs = tuple(ensemble.model.outputs)
    if len(outputs) < 2:
        return []
    size = sum(len(step.inputs) + len(step.outputs) for step in ensemble.steps)
    tried = itertools.islice(_subsets(outputs), max(8, _BUDGET // size))
    found = {subset for subset in tried if not answers(ensemble, subset, first)}
    return sorted(found, key=lambda subset: (len(subset), [outputs.index(name) for name in subset]))


def left_out(ensemble: Ensemble, wanted: Iterable[str]) -> set[int]:
    """The steps that the server does not run for the outputs `wanted`."""
    asked = set(wanted)
    return _dropped(ensemble, [name for name in ensemble.model.outputs if name not in asked], 0)


def answers(ensemble: Ensemble, wanted: Iterable[str], first: int = 0) -> bool:
    """Whether the server answers a request for the outputs `wanted`."""
    asked = set(wanted)
    ignored = [name for name in ensemble.model.outputs if name not in asked]
    dropped = _dropped(ensemble, ignored, first)
    if not dropped:
        return True
    there = set(ensemble.model.inputs)
    for step in ensemble.order:
        if step.number not in dropped and all(use.tensor in there for use in step.inputs):
            there.update(use.tensor for use in step.outputs)
    return asked <= there


def _dropped(ensemble: Ensemble, ignored: list[str], first: int) -> set[int]:
    left: dict[str, int] = {}
    counts: Counter[int] = Counter()
    dropped: set[int] = set()
    while ignored:
        unread: dict[str, None] = {}
        for tensor in ignored:
            writers = ensemble.writers.get(tensor)
            step = ensemble.steps[(writers[0].step or 0) if writers else first]
            counts[step.number] += 1
            if counts[step.number] == len(step.outputs):
                dropped.add(step.number)
                unread.update(dict.fromkeys(_no_longer_read(ensemble, step, left)))
        ignored = list(unread)
    return dropped


def _no_longer_read(ensemble: Ensemble, step: Step, left: dict[str, int]) -> Iterator[str]:
    """Tensors of which `step` was the last reader that was left."""
    for tensor in {use.tensor for use in step.inputs}:
        if tensor not in left:
            left[tensor] = len({use.step for use in ensemble.readers[tensor]})
        left[tensor] -= 1
        if not left[tensor]:
            yield tensor


def _subsets(outputs: tuple[str, ...]) -> Iterator[Subset]:
    if len(outputs) <= _ALL:
        for size in range(1, len(outputs)):
            yield from itertools.combinations(outputs, size)
        return
    yield from ((name,) for name in outputs)
    yield from itertools.combinations(outputs, len(outputs) - 1)
    yield from itertools.combinations(outputs, 2)
