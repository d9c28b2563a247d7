"""A packaged pipeline on an endpoint of a cloud on this machine, whose container is a real Triton.

What stands for AWS is moto; what answers is the embedded server behind its own SageMaker adaptor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.engine.ports import Wanted, choose
from ensemblegen.sagemaker.endpoint import Endpoint, Options, variables
from tests.commands import run
from tests.deploy.cloud import REGION, Cloud
from tests.deploy.conftest import EMPTY, SETTINGS, cloud, moto, one_loader, stands

__all__ = ["cloud", "moto", "one_loader"]


@pytest.fixture(scope="module")
def loudspeaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled repository, its archive, and how that is to be deployed."""
    folder = tmp_path_factory.mktemp("deployed")
    assert run("init", str(folder / "loudspeaker")) == 0
    pipeline = str(folder / "loudspeaker/pipeline.yaml")
    assert run("compile", pipeline, "-o", str(folder / "repository")) == 0
    words = ("package", "sagemaker", str(folder / "repository"))
    assert run(*words, "-o", str(folder / "model.tar.gz")) == 0
    (folder / "sagemaker.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def container(loudspeaker: Path) -> Iterator[str]:
    archive = loudspeaker / "model.tar.gz"
    port = choose("127.0.0.1", Wanted()).http
    with Endpoint.single(archive, Options(port=port, variables=variables(archive))) as endpoint:
        yield endpoint.address


def test_deployed_asked_loaded_and_deleted(
    cloud: Cloud, container: str, loudspeaker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str) -> Any:
        capsys.readouterr()
        assert run(*words, "--format", "json") == 0
        return json.loads(capsys.readouterr().out)

    cloud.container = container
    settings = ("--config", str(loudspeaker / "sagemaker.yaml"))
    repository = str(loudspeaker / "repository")
    told("deploy", "sagemaker", str(loudspeaker / "model.tar.gz"), *settings)
    (model,) = stands(cloud)["models"]
    described = cloud.client("sagemaker").describe_model(ModelName=model)
    variables = described["PrimaryContainer"]["Environment"]
    assert variables["SAGEMAKER_TRITON_DEFAULT_MODEL_NAME"] == "loudspeaker"
    inputs = ("--input", "text=good morning", "--input", "times=3")
    answer = told("deploy", "invoke", repository, *settings, *inputs)
    assert answer["outputs"] == {"LOUD": "GOOD MORNING!!!", "LENGTH": 15}
    for place in (("--endpoint", "readability", "--region", REGION), ("--sagemaker", container)):
        found = told("loadtest", repository, *place, "--phase", "2:0:6", "--input", "generated")
        (row,) = found["configurations"]
        assert row["failed"] == 0
        assert row["answered"] > 0
    told("deploy", "delete", *settings)
    assert stands(cloud) == EMPTY
