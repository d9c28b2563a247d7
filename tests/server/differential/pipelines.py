"""Random pipelines that are meant to compile: their steps and how they hang together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CODE = """\
def step(**inputs):
    raise NotImplementedError
"""

_DTYPES = st.sampled_from(["fp32", "fp32", "fp32", "int64", "string", "bool"])
_SHAPES = st.sampled_from([[4], [4], [4], [1], [2, 3], [-1], ["n"], ["n", 4]])


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """The data of a pipeline.yaml whose Python steps are the function `step` of `steps.py`."""
    inputs: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    tensors: dict[str, dict[str, Any]] = {}
    unread: set[str] = set()
    for number in range(draw(st.integers(1, 5))):
        feeds: dict[str, str] = {}
        for i in range(draw(st.integers(1, 3))):
            source = draw(st.sampled_from([*sorted(tensors), ""]))
            if not source:
                source = f"in{len(inputs)}"
                inputs[source] = _tensor(draw)
                if i and inputs[source]["shape"] == [4] and draw(st.booleans()):
                    inputs[source]["default"] = _DEFAULTS[inputs[source]["dtype"]]
                tensors[source] = inputs[source]
            unread.discard(source)
            feeds[f"x{i}"] = source
        outputs = {f"y{i}": _tensor(draw) for i in range(draw(st.integers(1, 3)))}
        step: dict[str, Any] = {"python": "steps.py:step", "inputs": feeds, "outputs": outputs}
        if draw(st.integers(0, 4)) == 4:
            step["instances"] = 2
        steps[f"s{number}"] = step
        made = {f"s{number}.{name}": tensor for name, tensor in outputs.items()}
        tensors |= made
        unread |= made.keys()
    kept = sorted(unread) + [name for name in sorted(set(tensors) - set(inputs) - unread)
                             if draw(st.integers(0, 5)) == 5]  # fmt: skip
    return {
        "ensemblegen": 1,
        "name": "p",
        "max_batch_size": draw(st.sampled_from([0, 1, 8, 64])),
        "inputs": inputs,
        "steps": steps,
        "outputs": {name.replace(".", "_"): name for name in kept},
    }


_DEFAULTS = {"fp32": 0.5, "int64": 1, "string": "", "bool": False}


def _tensor(draw: st.DrawFn) -> dict[str, Any]:
    return {"dtype": draw(_DTYPES), "shape": draw(_SHAPES)}
