"""Models of backends that need no files: an author declares what goes in and comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import examine, make_plan
from ensemblegen.emit.files import files
from tests.commands import run

PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 8
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  same:
    backend: BACKEND
    inputs: {INPUT0: {from: x, dtype: fp32, shape: [4]}}
    outputs: {OUTPUT0: {dtype: fp32, shape: [4]}}
    config: {parameters: {execute_delay_ms: {string_value: "5"}}}
outputs: {Y: same.OUTPUT0}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE.replace("BACKEND", "identity"))
    return path


def test_a_model_without_a_folder(pipeline: Path) -> None:
    assert not examine(pipeline).problems
    made = files(make_plan(pipeline))
    assert [name for name in made if name.startswith("p_same/") and "configs" not in name] == [
        "p_same/1/README",
        "p_same/config.pbtxt",
    ]
    config = made["p_same/config.pbtxt"]
    assert isinstance(config, bytes)
    assert b'backend: "identity"' in config
    assert b"execute_delay_ms" in config


@pytest.mark.parametrize("backend", ["python", "tensorrt", '""'])
def test_a_backend_that_reads_files_needs_its_folder(pipeline: Path, backend: str) -> None:
    pipeline.write_text(PIPELINE.replace("BACKEND", backend))
    (problem,) = examine(pipeline).problems
    assert problem.code == "E111"
    assert "needs the key 'folder'" in problem.message


def test_two_of_them_are_two_models(pipeline: Path) -> None:
    twice = PIPELINE.replace("BACKEND", "identity").replace(
        "outputs: {Y:",
        "  again:\n    backend: identity\n    model: p_same\n"
        "    inputs: {INPUT0: {from: same.OUTPUT0, dtype: fp32, shape: [4]}}\n"
        "    outputs: {OUTPUT0: {dtype: fp32, shape: [4]}}\noutputs: {Z: again.OUTPUT0, Y:",
    )
    pipeline.write_text(twice)
    assert "E414" in [problem.code for problem in examine(pipeline).problems]


def test_a_server_without_the_backend_says_so(
    pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = pipeline.with_name("out")
    assert run("compile", str(pipeline), "-o", str(repository)) == 0
    assert run("serve", str(repository), "--engine", "embedded") == 3
    assert (
        "'p_same' cannot run: the embedded server does not have the backend 'identity'"
        in capsys.readouterr().err
    )
