"""What the embedded server sees of a repository whose stand-ins run on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.engine import overlay
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.repository import read

GPU = "instance_group { kind: KIND_GPU count: 1 }\n"
FORCE = 'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "no" } }'


def _model(repository: Path, name: str, config: str) -> Path:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.pt").write_text("weights")
    (folder / "config.pbtxt").write_text(config)
    return folder


def _engine(folder: Path, kind: Choice = Choice.embedded) -> Engine:
    home = folder / "triton" if kind is Choice.embedded else None
    if home is not None:
        (home / "backends" / "python").mkdir(parents=True)
    return Engine(kind, folder / "tritonserver", home=home, image="image")


def test_inputs_of_stand_ins_on_a_gpu_stay_there(tmp_path: Path) -> None:
    models = tmp_path / "models"
    _model(models, "on_gpu", f'backend: "pytorch"\n{GPU}')
    _model(models, "on_cpu", 'backend: "fil"\ninstance_group { kind: KIND_CPU }\n')
    _model(models, "python", f'backend: "python"\n{GPU}')
    configs = overlay.resident(_engine(tmp_path), read(models))
    assert list(configs) == ["on_gpu"]
    assert configs["on_gpu"]["config.pbtxt"] == f'backend: "pytorch"\n{GPU}{FORCE}\n'


def test_another_server_needs_nothing(tmp_path: Path) -> None:
    _model(tmp_path / "models", "on_gpu", f'backend: "pytorch"\n{GPU}')
    assert overlay.resident(_engine(tmp_path, Choice.docker), read(tmp_path / "models")) == {}


@pytest.mark.parametrize("word", ["yes", "no"])
def test_what_the_author_says_stands(tmp_path: Path, word: str) -> None:
    config = f'backend: "pytorch"\n{GPU}{FORCE.replace("no", word)}\n'
    _model(tmp_path / "models", "on_gpu", config)
    configs = overlay.resident(_engine(tmp_path), read(tmp_path / "models"))
    assert configs["on_gpu"]["config.pbtxt"] == config


def test_the_repository_itself_is_left_alone(tmp_path: Path) -> None:
    models, scratch = tmp_path / "models", tmp_path / "scratch"
    folder = _model(models, "on_gpu", f'backend: "pytorch"\n{GPU}')
    (folder / "configs").mkdir()
    (folder / "configs" / "gpu.pbtxt").write_text(f'backend: "pytorch"\n{GPU}')
    other = _model(models, "other", 'backend: "python"\n')
    before = {path: path.read_text() for path in models.rglob("*") if path.is_file()}
    scratch.mkdir()
    configs = overlay.resident(_engine(tmp_path), read(models))
    served = overlay.make(read(models), {}, configs, scratch)
    assert (served / "other").resolve() == other
    assert (served / "on_gpu" / "1").resolve() == folder / "1"
    for name in ("config.pbtxt", "configs/gpu.pbtxt"):
        assert (served / "on_gpu" / name).read_text().endswith(f"{FORCE}\n")
    assert {path: path.read_text() for path in models.rglob("*") if path.is_file()} == before
