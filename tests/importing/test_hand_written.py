"""The hand-written repositories, in ten dialects: import, compile, and the configs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from ensemblegen import normal
from ensemblegen.compile import make_plan
from ensemblegen.content import Linked
from ensemblegen.emit.files import files
from ensemblegen.importing.run import Options, run
from ensemblegen.model_config import ModelConfig
from tests.conftest import ROOT

HAND_WRITTEN = ROOT / "tests" / "hand_written"
NAMES = sorted(path.name for path in HAND_WRITTEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("copy", [False, True], ids=["by path", "copied"])
@pytest.mark.parametrize("name", NAMES)
def test_every_config_comes_back(name: str, copy: bool, tmp_path: Path) -> None:
    repository = HAND_WRITTEN / name
    done = run(repository, Options(tmp_path / "here", copy=copy, every=True))
    assert [each.message for each in done.problems] == []
    seen: set[str] = set()
    for each in done.pipelines:
        made = files(make_plan(tmp_path / "here" / each.file))
        models = {path.partition("/")[0] for path in made if path.endswith("/config.pbtxt")}
        seen |= models
        for path, content in made.items():
            model, _, inner = path.partition("/")
            original = repository / model / inner
            if inner == "config.pbtxt":
                raw = content.path.read_bytes() if isinstance(content, Linked) else content
                assert normal.differences(*completed(raw, original)) == []
            elif isinstance(content, Linked):
                assert content.path.read_bytes() == original.read_bytes()
        missing = {path for path in originals(repository, models) if path not in made}
        assert all(path.endswith(("config.pbtxt", *UNNEEDED)) for path in missing), missing
    assert seen == {path.parent.name for path in repository.glob("*/config.pbtxt")}


UNNEEDED = (
    "/.gitkeep",
    "/.keep",
    "/.gitignore",
    "/README",
    "/placeholder",
    "/empty",
    "/version.txt",
)
"""What keeps the version folder of an ensemble, which is never read, in git."""


def originals(repository: Path, models: set[str]) -> set[str]:
    return {
        path.relative_to(repository).as_posix()
        for path in repository.rglob("*")
        if path.is_file()
        and path.relative_to(repository).parts[0] in models
        and "__pycache__" not in path.parts
    }


def completed(raw: bytes, original: Path) -> tuple[Any, Any]:
    """Both as the server has them, read by protobuf's own parser."""
    folder = original.parent
    one = text_format.Parse(original.read_bytes(), ModelConfig())
    other = text_format.Parse(raw, ModelConfig())
    return tuple(normal.completed(each, folder.name, folder) for each in (one, other))
