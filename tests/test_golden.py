"""The examples, compiled for each of their devices: the whole repository as last looked at.

A golden holds what we generate. What is copied (the author's code, the artifacts) stands in it as
a link to its source, so that a golden is a repository like any other; the runtime's archive is
left out. An extra file fails, too. `pytest tests/test_golden.py --update-golden` rewrites them.
`golden/artifacts` holds small models of the right signatures: those of the flagship, made once by
the fixture `flagship_artifacts`, and those of other examples in folders of their own.
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

GOLDEN = Path(__file__).resolve().parent / "golden"
CHOICES = {
    "cpu": Choice(device="cpu"),
    "gpu": Choice(device="gpu"),
    "mixed": Choice(profile="mixed"),
}
TREES = {"readability": tuple(CHOICES), "sentiment": ("cpu", "mixed")}
"""By example, what it is compiled for."""
CASES = [(example, variant) for example, variants in TREES.items() for variant in variants]
ARTIFACTS = {"readability": GOLDEN / "artifacts", "sentiment": GOLDEN / "artifacts" / "sentiment"}


@pytest.fixture(scope="module")
def pipelines(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each example's pipeline.yaml beside its steps and small models of the right signatures."""
    return {name: _laid_out(root, tmp_path_factory.mktemp(name), name) for name in TREES}


def _laid_out(root: Path, folder: Path, name: str) -> Path:
    source = root / "ensembles" / name
    shutil.copy(source / "pipeline.yaml", folder)
    shelves = [root / "python_models", root / "conda", source / "steps"]
    for shelf in filter(Path.is_dir, shelves):
        (folder / shelf.name).symlink_to(shelf)
    (folder / "artifacts").symlink_to(ARTIFACTS[name])
    return folder / "pipeline.yaml"


@pytest.fixture(scope="module")
def pipeline(pipelines: dict[str, Path]) -> Path:
    """The flagship's."""
    return pipelines["readability"]


@pytest.mark.parametrize(("example", "variant"), CASES)
def test_tree(
    example: str, variant: str, pipelines: dict[str, Path], root: Path, update_golden: bool
) -> None:
    made = {
        path: _without_hashes(content) if path == "manifest.json" else content
        for path, content in files(make_plan(pipelines[example], CHOICES[variant])).items()
        if not path.endswith("/ensemblegen_runtime.zip")
    }
    folder = GOLDEN / example / variant
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


@pytest.mark.parametrize(("example", "variant"), CASES)
def test_the_checker_says_nothing(example: str, variant: str) -> None:
    assert verdict.reach(GOLDEN / example / variant, None).problems == ()


def _without_hashes(content: Content) -> bytes:
    """The manifest without what changes with every copied line."""
    assert isinstance(content, bytes)
    manifest = json.loads(content)
    manifest["files"] = {}
    return (json.dumps(manifest, indent=2) + "\n").encode()


def _rewrite(folder: Path, made: dict[str, Content], root: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shelves = ["pipeline/ensemblegen/runtime", "python_models", "tests/golden/artifacts"]
    shelves += [f"ensembles/{name}/steps" for name in TREES]
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
    for path in (path for name in TREES for path in (GOLDEN / name).rglob("*.py")):
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
