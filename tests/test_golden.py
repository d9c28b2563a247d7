"""The flagship, compiled for cpu, gpu and mixed: the whole repository as last looked at.

A golden holds what we generate. What is copied (the author's code, the artifacts) stands in it as
a link to its source, so that a golden is a repository like any other; the runtime's archive is
left out. An extra file fails, too. `pytest tests/test_golden.py --update-golden` rewrites them.
`golden/artifacts` holds small models of the right signatures, made once by the fixture
`flagship_artifacts`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ensemblegen import verdict
from ensemblegen.compile import make_plan
from ensemblegen.content import Content, Linked, sha256
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.placement import Choice

GOLDEN = Path(__file__).resolve().parent / "golden" / "readability"
CHOICES = {
    "cpu": Choice(device="cpu"),
    "gpu": Choice(device="gpu"),
    "mixed": Choice(profile="mixed"),
}


@pytest.fixture(scope="module")
def pipeline(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flagship's pipeline.yaml beside small models of the right signatures."""
    folder = tmp_path_factory.mktemp("readability")
    shutil.copy(root / "ensembles/readability/pipeline.yaml", folder)
    for shelf in ("python_models", "conda"):
        (folder / shelf).symlink_to(root / shelf)
    (folder / "artifacts").symlink_to(GOLDEN.parent / "artifacts")
    return folder / "pipeline.yaml"


@pytest.mark.parametrize("variant", CHOICES)
def test_tree(variant: str, pipeline: Path, root: Path, update_golden: bool) -> None:
    made = {
        path: _without_hashes(content) if path == "manifest.json" else content
        for path, content in files(make_plan(pipeline, CHOICES[variant])).items()
        if not path.endswith("/ensemblegen_runtime.zip")
    }
    folder = GOLDEN / variant
    if update_golden:
        _rewrite(folder, made, root)
    standing = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    assert sorted(standing) == sorted(made)
    for path, content in made.items():
        if isinstance(content, bytes):
            assert content.decode() == standing[path].read_text(encoding="utf-8"), path
        else:
            assert sha256(content) == sha256(Linked(standing[path])), path


@pytest.mark.parametrize("variant", CHOICES)
def test_the_checker_says_nothing(variant: str) -> None:
    assert verdict.reach(GOLDEN / variant, None).problems == ()


def _without_hashes(content: Content) -> bytes:
    """The manifest without what changes with every copied line."""
    assert isinstance(content, bytes)
    manifest = json.loads(content)
    manifest["files"] = {}
    return (json.dumps(manifest, indent=2) + "\n").encode()


def _rewrite(folder: Path, made: dict[str, Content], root: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shelves = ("pipeline/ensemblegen/runtime", "python_models", "tests/golden/artifacts")
    sources = {
        sha256(Linked(path)): path
        for shelf in shelves
        for path in sorted((root / shelf).rglob("*"))
        if path.is_file() and path.stat().st_size
    }
    for inner, content in made.items():
        path = folder / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        source = sources.get(sha256(content))
        if source is not None:
            path.symlink_to(os.path.relpath(source, path.parent))
        else:
            assert isinstance(content, bytes), inner
            path.write_bytes(content)


def test_copies_are_links_to_their_sources() -> None:
    """So that a golden changes with what we generate, not with what we copy."""
    for path in GOLDEN.rglob("*.py"):
        assert path.is_symlink(), path
        assert path.resolve().name == {"model.py": "entry.py"}.get(path.name, path.name)


def test_the_device_changes_nothing_else(pipeline: Path) -> None:
    """Between cpu and gpu only config.pbtxt and the manifest differ: placement, not content."""
    made = {name: files(make_plan(pipeline, choice)) for name, choice in CHOICES.items()}
    assert set(made["cpu"]) == set(made["gpu"]) == set(made["mixed"])
    for path in made["cpu"]:
        contents = [made[name][path] for name in CHOICES]
        if any(content != contents[0] for content in contents):
            assert path == "manifest.json" or path.endswith("/config.pbtxt")
            assert path != "readability/config.pbtxt"


def test_written_twice_is_byte_identical(pipeline: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(files(make_plan(pipeline)), tmp_path / name)
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
