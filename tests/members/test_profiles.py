"""Optimization profiles: what is derived, what is completed, and what does not fit."""

from __future__ import annotations

import pytest

from ensemblegen.members import profiles
from ensemblegen.members.ends import End
from ensemblegen.members.profiles import MAX, MIN, OPT, Written
from ensemblegen.types import DType

TOKENS = (
    End("ids", DType.INT64, ("batch", "seq")),
    End("mask", DType.INT64, ("batch", "seq")),
)
IMAGE = (End("image", DType.FP32, (-1, 3, -1, -1)),)
AXES = profiles.axes_of(TOKENS, batched=True)


def faults(*written: Written, most: int = 8) -> list[tuple[tuple[str | int, ...], str]]:
    _, wrong = profiles.read(written, AXES, most)
    return [(each.way, each.message) for each in wrong]


def test_only_the_batch_varies() -> None:
    axes = profiles.axes_of([End("x", DType.FP32, ("n", 4)), End("y", DType.FP32, (-1,))],
                            batched=True)  # fmt: skip
    one = profiles.derived(axes, 16)
    assert one is not None
    assert one.shapes(MIN) == {"x": (1, 4), "y": (1,)}
    assert one.shapes(OPT) == one.shapes(MAX) == {"x": (16, 4), "y": (16,)}


@pytest.mark.parametrize("inputs", [TOKENS, IMAGE])
def test_other_sizes_need_a_profile(inputs: tuple[End, ...]) -> None:
    assert profiles.derived(profiles.axes_of(inputs, batched=True), 16) is None


def test_a_fixed_model_needs_none() -> None:
    fixed = [End("x", DType.FP32, (1, 4))]
    assert profiles.derived(profiles.axes_of(fixed, batched=False), 0) is None


def test_what_a_profile_does_not_name_follows_from_the_sizes() -> None:
    written = {MIN: {"ids": [1, 1]}, OPT: {"mask": [4, 32]}, MAX: {"ids": [8, 64]}}
    (one,), wrong = profiles.read([written], AXES, 8)
    assert not wrong
    assert one.shapes(MIN) == {"ids": (1, 1), "mask": (1, 1)}
    assert one.shapes(OPT) == {"ids": (4, 32), "mask": (4, 32)}
    assert one.shapes(MAX) == {"ids": (8, 64), "mask": (8, 64)}


def test_without_opt_it_is_max() -> None:
    (one,), _ = profiles.read([{MIN: {"ids": [1, 1]}, MAX: {"ids": [8, 64]}}], AXES, 8)
    assert one.shapes(OPT) == one.shapes(MAX)


def test_fixed_inputs_are_left_out() -> None:
    ends = [*TOKENS, End("scale", DType.FP32, (1,))]
    axes = profiles.axes_of(ends, batched=False)
    written = {MIN: {"ids": [1, 1]}, MAX: {"ids": [2, 9]}}
    (one,), wrong = profiles.read([written], axes, 0)
    assert not wrong
    assert set(one.shapes(MAX)) == {"ids", "mask"}


@pytest.mark.parametrize(
    ("written", "way", "words"),
    [
        ({MIN: {"id": [1, 1]}, MAX: {"ids": [8, 4]}}, (0, MIN, "id"), "no input 'id'"),
        ({MIN: {"ids": [1]}, MAX: {"ids": [8, 4]}}, (0, MIN, "ids"), "2 axes with the batch"),
        ({MIN: {"ids": [1, 5]}, MAX: {"ids": [8, 4]}}, (0, MIN), "5, above its opt, 4"),
        ({MIN: {"ids": [1, 1]}, OPT: {"ids": [8, 6]}, MAX: {"ids": [8, 4]}}, (0, OPT), "6, above"),
        ({MIN: {}, MAX: {"ids": [8, 4]}}, (0, MIN), "'ids' is missing, whose size 'seq'"),
        ({MIN: {"ids": [2, 1]}, MAX: {"ids": [8, 4]}}, (0, MIN), "batches begin at 2"),
        ({MIN: {"ids": [1, 1]}, MAX: {"ids": [7, 4]}}, (0, MAX), "batches end at 7"),
        (
            {MIN: {"ids": [1, 1], "mask": [1, 2]}, MAX: {"ids": [8, 4]}},
            (0, MIN, "mask", 1),
            "size 'seq' is 1 in 'ids', and 2 here",
        ),
        (
            {MIN: {"ids": [1, 1], "mask": [2, 1]}, MAX: {"ids": [8, 4]}},
            (0, MIN, "mask", 0),
            "the batch is 1 in 'ids', and 2 here",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit(written: Written, way: tuple[str | int, ...], words: str) -> None:
    ((where, message),) = faults(written)
    assert where == way
    assert words in message


def test_a_size_that_the_file_fixes() -> None:
    axes = profiles.axes_of(IMAGE, batched=True)
    written = {MIN: {"image": [1, 1, 32, 32]}, MAX: {"image": [4, 3, 64, 64]}}
    _, wrong = profiles.read([written], axes, 4)
    assert [(each.way, each.message) for each in wrong] == [
        ((0, MIN, "image", 1), "axis 1 of 'image' is 3 in the file, not 1")
    ]


def test_several_profiles_take_all_batches_together() -> None:
    small = {MIN: {"ids": [1, 1]}, MAX: {"ids": [2, 64]}}
    large = {MIN: {"ids": [3, 1]}, MAX: {"ids": [8, 64]}}
    found, wrong = profiles.read([small, large], AXES, 8)
    assert len(found) == 2
    assert not wrong
    assert faults(large) == [((0, MIN), "batches begin at 3, and Triton also sends one item alone")]


def test_the_example_is_a_profile() -> None:
    import yaml

    for inputs in (TOKENS, IMAGE):
        axes = profiles.axes_of(inputs, batched=True)
        _, wrong = profiles.read([yaml.safe_load(profiles.example(axes, 8))], axes, 8)
        assert not wrong
