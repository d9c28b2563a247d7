"""The arguments of trtexec, NVIDIA's program that builds TensorRT plans, for a recipe.

Always a list, never a line for a shell. What stands here was read in trtexec's own source
(TensorRT 10, samples/common/sampleOptions.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ensemblegen.members.profiles import MAX, MIN, OPT, Profile

Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8", "best"]
QUANTISED: frozenset[Precision] = frozenset({"int8", "fp8"})
"""Precisions that need to know the scale of each tensor."""

_WORDS = {
    "onnx": "the key onnx",
    "saveEngine": "what the plan is for",
    "loadEngine": "what the plan is for",
    "minShapes": "profiles",
    "optShapes": "profiles",
    "maxShapes": "profiles",
    "profile": "profiles",
    "workspace": "the key workspace",
    **dict.fromkeys(("fp16", "bf16", "int8", "fp8", "best"), "the key precision"),
    "inputIOFormats": "Triton, which passes tensors as the ONNX file has them",
    "outputIOFormats": "Triton, which passes tensors as the ONNX file has them",
    "skipInference": "what the plan is for",
}
"""Flags that are not the author's to give, and whose they are."""
_UNWRITABLE = frozenset(",'*")
"""Characters that part names, or stand for several, in trtexec's shapes."""


def refusal(flag: str) -> str | None:
    """Why `flag` cannot be passed on; None if it can."""
    name = flag.removeprefix("--").partition("=")[0]
    if not flag.startswith("--") or not name or not flag.isprintable():
        return f"'{flag}' is no flag of trtexec: they begin with --"
    return f"--{name} is set by {_WORDS[name]}" if name in _WORDS else None


def unwritable(name: str) -> bool:
    """Whether trtexec cannot be told the shape of an input of this name."""
    return not _UNWRITABLE.isdisjoint(name)


def arguments(
    precision: Sequence[Precision],
    workspace: int | None,
    profiles: Sequence[Profile],
    flags: Sequence[str],
) -> tuple[str, ...]:
    """All but the names of the two files; `workspace` is in MiB."""
    return (
        *(f"--{each}" for each in precision if each != "fp32"),
        *([f"--memPoolSize=workspace:{workspace}M"] if workspace else ()),
        *_shapes(profiles),
        "--skipInference",
        *flags,
    )


def _shapes(profiles: Sequence[Profile]) -> Iterator[str]:
    for number, profile in enumerate(profiles):
        if len(profiles) > 1:
            yield f"--profile={number}"
        for which in (MIN, OPT, MAX):
            yield f"--{which}Shapes={_spec(profile.shapes(which))}"


def _spec(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
