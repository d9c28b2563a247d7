"""Where the checker is silent about subsets of outputs, the real server answers each of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

STEP = """\
def one(a):
    return {"y": a * 2}


def two(a, b):
    return {"y": a + b}
"""
HEAD = "ensemblegen: 1\nname: p\ninputs:\n"
TENSOR = "{dtype: fp32, shape: [2]}"


def pipeline(steps: dict[str, list[str]], outputs: list[str]) -> str:
    """Steps by what feeds them; every name without a dot is a pipeline input."""
    inputs = sorted({each for fed in steps.values() for each in fed if "." not in each})
    lines = [HEAD, *(f"  {name}: {TENSOR}\n" for name in inputs), "steps:\n"]
    for name, fed in steps.items():
        entry = "one" if len(fed) == 1 else "two"
        feeds = ", ".join(f"{key}: {source}" for key, source in zip("ab", fed, strict=False))
        lines.append(f"  {name}:\n    python: s.py:{entry}\n    inputs: {{{feeds}}}\n")
        lines.append(f"    outputs: {{y: {TENSOR}}}\n")
    lines.append("outputs: {" + ", ".join(f"{n.upper()}: {n}.y" for n in outputs) + "}\n")
    return "".join(lines)


GRAPHS = {
    "side": (
        {"side": ["z"], "root": ["x"], "u": ["root.y"], "v": ["root.y", "side.y"]},
        ["u", "v"],
    ),
    "fork": ({"root": ["x"], "u": ["root.y"], "v": ["root.y"]}, ["u", "v"]),
    "late": ({"root": ["x"], "u": ["root.y"], "mid": ["root.y"], "v": ["mid.y"]}, ["u", "v"]),
    "apart": ({"u": ["x"], "v": ["z"]}, ["u", "v"]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_subsets(name: str, tmp_path: Path) -> None:
    steps, outputs = GRAPHS[name]
    (tmp_path / "s.py").write_text(STEP)
    (tmp_path / "pipeline.yaml").write_text(pipeline(steps, outputs))
    plan = make_plan(tmp_path / "pipeline.yaml")
    write(files(plan), tmp_path / "r")
    names = [each.upper() for each in outputs]
    wanted = [list(c) for n in (1, 2) for c in itertools.combinations(names, n)]
    with Server.start(tmp_path / "r") as server:
        refused = [subset for subset in wanted if not served(server, plan.inputs, subset)]
        server.stop(kill=True)
    assert [problem.code for problem in plan.warnings] == (["E215"] if refused else [])


def served(server: Server, inputs: tuple[object, ...], subset: list[str]) -> bool:
    given = []
    for each in inputs:
        tensor = http.InferInput(each.name, [1, 2], "FP32")  # type: ignore[attr-defined]
        tensor.set_data_from_numpy(np.ones((1, 2), np.float32))
        given.append(tensor)
    wanted = [http.InferRequestedOutput(each) for each in subset]
    with http.InferenceServerClient(server.http) as client:
        try:
            client.infer("p", given, outputs=wanted)
        except InferenceServerException:
            return False
    return True
