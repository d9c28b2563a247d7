"""What `--forbid-copies` refuses, where, and what it says to do; `problems/E515` has the words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import sound
from ensemblegen.errors import Problem
from ensemblegen.placement import Choice
from ensemblegen.traffic import copies

STEP = "{python: echo.py, inputs: {x: %s}, outputs: {y: {dtype: %s, shape: [4]}}, device: %s}"
INNER = f"""\
ensemblegen: 1
name: inner
inputs: {{x: {{dtype: fp32, shape: [4]}}}}
steps:
  c: {STEP % ("x", "fp32", "gpu")}
  d: {STEP % ("c.y", "fp32", "cpu")}
outputs: {{Y: d.y}}
"""


def refused(folder: Path, steps: str, outputs: str, choice: Choice | None = None) -> list[Problem]:
    (folder / "echo.py").write_text("def echo(x):\n    return {'y': x}\n")
    (folder / "inner.yaml").write_text(INNER)
    (folder / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [4]}}\n"
        f"steps:\n{steps}outputs: {outputs}\n"
    )
    checked = sound(folder / "pipeline.yaml", choice or Choice())
    return list(copies.problems(checked))


def test_clients_are_not_asked_to_be_on_the_gpu(tmp_path: Path) -> None:
    assert refused(tmp_path, f"  a: {STEP % ('x', 'fp32', 'gpu')}\n", "{Y: a.y}") == []


@pytest.mark.parametrize(("dtype", "count"), [("fp32", 1), ("string", 0)])
def test_strings_are_no_copies(tmp_path: Path, dtype: str, count: int) -> None:
    steps = f"  a: {STEP % ('x', dtype, 'cpu')}\n  b: {STEP % ('a.y', 'fp32', 'gpu')}\n"
    assert len(refused(tmp_path, steps, "{Y: b.y}")) == count
    assert refused(tmp_path, steps, "{Y: b.y}", Choice(device="cpu")) == []
    assert refused(tmp_path, steps, "{Y: b.y}", Choice(device="gpu")) == []


def test_a_pipeline_inside_is_told_in_its_own_file(tmp_path: Path) -> None:
    """Both of its steps touch a step on the other device: one outside, one beside it."""
    steps = (
        f"  a: {STEP % ('x', 'fp32', 'cpu')}\n  in: {{ensemble: inner.yaml, inputs: {{x: a.y}}}}\n"
    )
    found = refused(tmp_path, steps, "{Y: in.Y}")
    assert [(Path(each.span.path).name, each.span.line) for each in found if each.span] == [
        ("inner.yaml", 5),
        ("inner.yaml", 6),
    ]
    assert "'a.y' is copied from shared memory to gpu 0 for 'in/c.x'" in found[0].message
    assert "place 'in/d' on the GPU as well" in str(found[1].hint)
