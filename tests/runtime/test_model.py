from __future__ import annotations

import ast
import io
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

RUNTIME = Path(__file__).parents[2] / "pipeline" / "ensemblegen" / "runtime"

X, Y = {"x": ("fp32", [1])}, {"y": ("fp32", [1])}
ECHO = "def step(x):\n    return x"


def test_numpy_2_is_refused(make_model: Any, triton: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy, "__version__", "2.1.0")
    with pytest.raises(triton.TritonModelException, match=r"numpy 2\.1\.0 .* put numpy<2 in"):
        make_model("import no_such_module", X, Y)
    assert make_model(ECHO, X, Y, numpy2=True).ask() == []


def test_an_instance_without_code(make_model: Any, triton: Any) -> None:
    with pytest.raises(triton.TritonModelException, match=r"runs on gpu, .* code for cpu only"):
        make_model(ECHO, X, Y, kind="GPU")


def test_kind_model_runs_the_cpu_code(make_model: Any) -> None:
    assert make_model(ECHO, X, Y, kind="MODEL").ask() == []


def test_what_a_step_prints_appears_at_once(
    make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    make_model(f'print("caf\u00e9 \\ud800")\n{ECHO}', X, Y)
    assert shown.getvalue() == "caf\u00e9 \\ud800\n".encode()


def test_streams_that_cannot_be_set_up(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert make_model(ECHO, X, Y).ask() == []


def test_loading_writes_no_bytecode(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    model = make_model(ECHO, X, Y)
    folder = Path(model.step.__code__.co_filename).parents[1]
    written = {path.parent.parent.name for path in folder.rglob("*.pyc")}
    assert written <= {"1"}  # model.py's own


def test_the_runtime_imports_nothing_that_a_repository_lacks() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "triton_python_backend_utils"}
    for path in RUNTIME.glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            if path.name in ("entry.py", "bls_entry.py"):  # which open the archive
                names = [name for name in names if not name.startswith("ensemblegen_runtime.")]
            assert {name.partition(".")[0] for name in names} <= allowed, path.name
