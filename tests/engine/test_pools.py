"""How much memory is set aside, by the formulas that `engine.pools` states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ensemblegen.engine import pools
from ensemblegen.engine.pools import MIB, Regions
from ensemblegen.engine.repository import Model


def model(size: int, instances: int = 1, *, gpu: bool = False) -> Model:
    return Model("m", "python", gpu, None, (), instances=instances, batch_bytes=size)


@pytest.mark.parametrize("sizes", [(), (0,), (600_000,), (0, 0, 0)])
def test_what_fits_tritons_own_default_is_left_to_it(sizes: tuple[int, ...]) -> None:
    assert pools.regions([model(size) for size in sizes], None) is None


def test_a_large_batch_fits_with_room_to_spare() -> None:
    assert pools.regions([model(80 * MIB)], None) == Regions(101 * MIB, 12 * MIB, 1)


def test_one_large_model_does_not_make_the_others_waste_memory() -> None:
    """Needs of 101, 1, 1 and 1 MiB: a mean of 26."""
    small = [model(0), model(0), model(1000)]
    assert pools.regions([model(80 * MIB), *small], None) == Regions(52 * MIB, 6 * MIB, 4)


def test_half_of_what_is_free_is_left() -> None:
    assert pools.regions([model(80 * MIB, 4)], 80 * MIB) == Regions(10 * MIB, MIB, 4)
    assert pools.regions([model(80 * MIB, 4)], 0) == Regions(MIB, MIB, 4)


def test_growth_has_an_end() -> None:
    made = pools.regions([model(4 << 30)], None)
    assert made is not None
    assert made.growth == 64 * MIB


SIZES = some.integers(0, 1 << 34)


@given(some.lists(some.tuples(SIZES, some.integers(1, 8)), max_size=8), SIZES)
def test_bounds_hold_for_any_models(found: list[tuple[int, int]], free: int) -> None:
    made = pools.regions([model(*each) for each in found], free)
    if made is None:
        return
    assert made.size >= made.growth >= MIB
    assert made.size % MIB == made.growth % MIB == 0
    assert made.size == MIB or made.total <= free // 2
    assert made.size <= max(size for size, _ in found) * 5 // 4 + 2 * MIB


def test_gpus() -> None:
    assert pools.pool([model(1 << 30)], None) == 256 * MIB, "nothing there is on a GPU"
    assert pools.pool([model(1 << 20, gpu=True)], None) == 256 * MIB
    large = [model(100 * MIB, 3, gpu=True), model(1 << 30)]
    assert pools.pool(large, None) == 600 * MIB
    assert pools.pool(large, 80 << 30) == 600 * MIB
    assert pools.pool(large, 2 << 30) == 512 * MIB
    assert pools.pool(large, 1 << 29) == 256 * MIB, "as before, though it is half of the GPU"
