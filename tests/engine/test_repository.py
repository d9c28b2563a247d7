"""What an engine reads from configs before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ensemblegen.engine.repository import read
from ensemblegen.errors import InputError
from ensemblegen.manifest import Manifest, ManifestModel, to_json


def _model(repository: Path, name: str, config: str, **profiles: str) -> None:
    folder = repository / name
    (folder / "configs").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    for profile, text in profiles.items():
        (folder / "configs" / f"{profile}.pbtxt").write_text(text)


def test_reads_what_matters(tmp_path: Path) -> None:
    _model(
        tmp_path,
        "net",
        'platform: "pytorch_libtorch" instance_group { kind: KIND_GPU gpus: [ 0, 1 ] count: 2 }',
        cpu='backend: "pytorch" instance_group { kind: KIND_CPU }',
    )
    _model(
        tmp_path,
        "step",
        'backend: "python" newer_field: 3 parameters { key: "EXECUTION_ENV_PATH" '
        'value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }',
    )
    _model(tmp_path, "whole", 'name: "whole" platform: "ensemble"')
    models = (ManifestModel("net", "net", "libtorch", "pytorch", "gpu", batch_bytes=64),)
    manifest = Manifest("0", "24.10", (), models)
    (tmp_path / "manifest.json").write_text(json.dumps(to_json(manifest)))
    repository = read(tmp_path)
    net, step, whole = repository.models
    assert (net.batch_bytes, step.batch_bytes) == (64, 0)
    assert (net.backend, net.gpu, net.profiles) == ("pytorch", True, ("cpu",))
    assert (net.instances, step.instances) == (4, 1), "so many on each GPU"
    assert step.environment == "$$TRITON_MODEL_DIRECTORY/env.tar.gz"
    assert whole.ensemble
    assert repository.backends == ("python", "pytorch")
    assert not any(model.gpu for model in read(tmp_path, "cpu").models)
    assert [model.name for model in read(tmp_path, only=("step", "net")).models] == ["net", "step"]


@pytest.mark.parametrize(
    ("config", "profile", "message"),
    [
        (None, None, "holds no model"),
        ('backend: "python', None, "cannot be read"),
        ('backend: "python"', "gpu", "no model of .* has configs/gpu.pbtxt"),
    ],
)
def test_refusals(tmp_path: Path, config: str | None, profile: str | None, message: str) -> None:
    if config is not None:
        _model(tmp_path, "net", config)
    with pytest.raises(InputError, match=message):
        read(tmp_path, profile)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        read(tmp_path / "absent")
