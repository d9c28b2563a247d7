"""What our reader of config.pbtxt accepts and refuses is what the real server does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ensemblegen.engine import embedded, failure, locate
from ensemblegen.pbtxt.read import read
from ensemblegen.targets import Target
from tests.pbtxt.dialects import ACCEPTED, REFUSED

_UNREADABLE = "failed to read text proto"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model for each text, of which none can be loaded: the server ends by itself."""
    folder = tmp_path_factory.mktemp("dialects")
    for i, text in enumerate((*ACCEPTED, *REFUSED)):
        model = folder / f"m{i:03}"
        model.mkdir()
        (model / "config.pbtxt").write_bytes(text)
    return folder


@pytest.fixture(scope="module")
def refused(folder: Path) -> set[str]:
    """The models whose text the server could not parse."""
    engine = locate.find(locate.Choice.embedded, None, locate.EMBEDDED_RELEASE)
    command = [
        str(engine.program),
        f"--model-repository={folder}",
        f"--backend-directory={embedded.backend_directory(engine)}",
        "--disable-auto-complete-config",
        "--allow-http=false",
        "--allow-grpc=false",
        "--allow-metrics=false",
    ]
    done = subprocess.run(
        command, env=embedded.environment(engine), capture_output=True, timeout=120, check=False
    )
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    found = failure.reasons(lines)
    assert len(found) == len(ACCEPTED) + len(REFUSED), "the server was asked about each"
    return {model for model, reason in found.items() if _UNREADABLE in reason}


def test_the_server_accepts_and_refuses_as_the_table_says(refused: set[str]) -> None:
    texts = dict(enumerate((*ACCEPTED, *REFUSED)))
    surprising = [
        text for i, text in texts.items() if (f"m{i:03}" in refused) is not (i >= len(ACCEPTED))
    ]
    assert surprising == []


def test_we_accept_and_refuse_as_the_server_does(folder: Path, refused: set[str]) -> None:
    different = []
    for model in sorted(folder.iterdir()):
        config = read(model / "config.pbtxt", Target("24.10"))
        ours = any(problem.severity == "error" for problem in config.problems)
        if ours is not (model.name in refused):
            different.append((model.joinpath("config.pbtxt").read_bytes(), config.problems))
    assert different == []
