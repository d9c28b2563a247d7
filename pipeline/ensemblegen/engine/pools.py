"""How much memory a server sets aside for what passes between models.

Both pools follow from the bytes of each model's largest batch, which a compiled repository says in
its manifest. Sizes that are known only at run time do not count, nor do hand-written repositories
say theirs: then the defaults stand, and the regions of Python models grow by themselves.

Shared memory. Each instance on Triton's Python backend has a region of its own in /dev/shm, which
is taken as a whole at the start (posix_fallocate), never shrinks, and is mapped anew by both
processes whenever it grows. One size holds for all of them:

    need    = 5/4 of the largest batch's inputs and outputs + 256 KiB, in whole MiB
    region  = the largest need, but not more than twice the mean of all needs, so that one large
              model does not make many small ones waste memory, and all together not more than
              half of what is free; at least Triton's own 1 MiB
    growth  = an eighth of a region, from Triton's own 1 MiB to 64 MiB

GPU. The pool is taken at the start and cannot grow; beyond it an ensemble falls back to slower
memory, or loses a tensor (server#7148, server#8177):

    pool    = twice the largest batches' inputs and outputs of all instances on GPUs (one is
              computed while the next waits), in whole MiB; at least 256 MiB, where Triton's own
              is 64, and at most a quarter of the smallest GPU, unless that is below 256 MiB
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ensemblegen.engine.regions import FOLDER
from ensemblegen.engine.repository import Model

MIB = 1 << 20
_OVERHEAD = MIB // 4
_MOST_GROWTH = 64 * MIB
_LEAST_POOL = 256 * MIB


@dataclass(frozen=True, slots=True)
class Regions:
    """Bytes of the region of each Python instance, and of the steps in which it grows."""

    size: int
    growth: int
    count: int

    @property
    def total(self) -> int:
        return self.size * self.count


def regions(models: Iterable[Model], free: int | None) -> Regions | None:
    """The regions of `models`, all of which run in stubs; None where Triton's defaults do.

    `free` are the bytes that shared memory has left, where that is known.
    """
    found = [(_need(model), model.instances) for model in models]
    count = sum(instances for _, instances in found)
    if not count or max(need for need, _ in found) <= MIB:
        return None
    largest = max(need for need, _ in found)
    mean = sum(need * instances for need, instances in found) // count
    bounds = [largest, 2 * mean, *([free // (2 * count)] if free is not None else [])]
    size = max(MIB, min(bounds) // MIB * MIB)
    growth = min(_MOST_GROWTH, max(MIB, size // 8 // MIB * MIB))
    return Regions(size, growth, count)


def pool(models: Iterable[Model], smallest: int | None) -> int:
    """Bytes for each GPU, of which the smallest has `smallest` where that is known."""
    moved = sum(model.batch_bytes * model.instances for model in models if model.gpu)
    wanted = max(_LEAST_POOL, _whole(2 * moved))
    if smallest is None:
        return wanted
    return max(_LEAST_POOL, min(wanted, smallest // 4 // MIB * MIB))


def free() -> int | None:
    """The bytes that are left in /dev/shm; None where there is none."""
    try:
        state = os.statvfs(FOLDER)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def _need(model: Model) -> int:
    return _whole(model.batch_bytes * 5 // 4 + _OVERHEAD)


def _whole(size: int) -> int:
    """Rounded up to MiB."""
    return -(-size // MIB) * MIB
