"""Files where the backend looks for them, or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.check.repository.trees import codes, config, port, write

X, Y = [port("x")], [port("y")]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
MODEL = "from models import TritonPythonModel\n"


@pytest.mark.parametrize(
    ("backend", "more", "files", "expected"),
    [
        ("python", "", {"1/model.py": MODEL}, []),
        ("python", "", {"1/other.py": MODEL}, ["E452"]),
        ("python", 'default_model_filename: "other.py"', {"1/other.py": MODEL}, []),
        ("python", "", {"1/model.py": ""}, ["E451"]),
        ("python", "", {"1/model.py": LFS}, ["E451"]),
        ("python", "", {"1/model.py": Path("/nowhere/model.py")}, ["E451"]),
        ("python", "", {"1/readme": "", "2/model.py": MODEL}, []),  # the latest is served
        ("python", "version_policy { all { } }", {"1/x": "", "2/model.py": MODEL}, ["E452"]),
        ("python", 'default_model_filename: "${name}"', {"1/x": ""}, []),
        ("pytorch", "", {"1/x": ""}, ["E450"]),
        ("pytorch", "", {"1/model.pt": LFS}, ["E451"]),
        ("pytorch", 'cc_model_filenames { key: "8.0" value: "a.pt" }', {"1/a.pt": "x"}, []),
        ("pytorch", 'model_repository_agents { agents { name: "decrypt" } }', {"1/x": ""}, []),
        ("onnxruntime", "", {"1/model.onnx": LFS}, ["E451"]),
        ("tensorrt", "", {"1/x": ""}, ["E450"]),
        ("tensorrt", "", {"1/model.plan": "x"}, []),
        ("tensorrtllm", "", {"1/x": ""}, []),
        ("mine", "", {"1/x": ""}, []),
    ],
)
def test_files(
    backend: str,
    more: str,
    files: dict[str, str | bytes | Path],
    expected: list[str],
    tmp_path: Path,
) -> None:
    model = write(tmp_path / "model", config(backend, X, Y, more), files)
    assert [code for code in codes(model) if code.startswith("E45")] == expected


def test_a_config_alone_has_no_files(tmp_path: Path) -> None:
    write(tmp_path / "model", config("python", X, Y), {})
    assert codes(tmp_path / "model" / "config.pbtxt") == []


def test_an_ensemble_without_its_labels(tmp_path: Path) -> None:
    """Its version folder holds nothing by nature, and says nothing of what else is missing."""
    model, ensemble = tmp_path / "m", tmp_path / "e"
    for folder in (model, ensemble):
        (folder / "1").mkdir(parents=True)
        (folder / "1" / ".keep").touch()
    ports = 'input { name: "X" data_type: TYPE_FP32 dims: 1 }\n'
    (model / "config.pbtxt").write_text(
        f'backend: "onnxruntime"\n{ports}output {{ name: "Y" data_type: TYPE_FP32 dims: 1 }}\n'
    )
    (ensemble / "config.pbtxt").write_text(
        f'platform: "ensemble"\n{ports}'
        'output { name: "Y" data_type: TYPE_FP32 dims: 1 label_filename: "labels.txt" }\n'
        'ensemble_scheduling { step { model_name: "m" model_version: -1\n'
        'input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } } }\n'
    )
    assert "E426" in codes(tmp_path)
