"""The flagship, compiled for cpu, gpu and mixed: every generated file as last looked at.

A golden holds what we generate. What is copied (the runtime, the author's code, the artifacts)
stands in TREE by its path and is compared to its source instead. An extra file fails, too.
`pytest tests/test_golden.py --update-golden` rewrites them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ensemblegen.compile import make_plan
from ensemblegen.content import Content, Linked
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.placement import Choice

GOLDEN = Path(__file__).resolve().parent / "golden" / "readability"
CHOICES = {
    "cpu": Choice(device="cpu"),
    "gpu": Choice(device="gpu"),
    "mixed": Choice(profile="mixed"),
}
GENERATED = (".pbtxt", "step.json", "manifest.json")


@pytest.fixture(scope="module")
def pipeline(
    root: Path, flagship_artifacts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The flagship's pipeline.yaml beside small models of the right signatures."""
    folder = tmp_path_factory.mktemp("readability")
    shutil.copy(root / "ensembles/readability/pipeline.yaml", folder)
    for shelf in ("python_models", "conda"):
        (folder / shelf).symlink_to(root / shelf)
    (folder / "artifacts").symlink_to(flagship_artifacts)
    return folder / "pipeline.yaml"


@pytest.mark.parametrize("variant", CHOICES)
def test_tree(variant: str, pipeline: Path, update_golden: bool) -> None:
    made = files(make_plan(pipeline, CHOICES[variant]))
    generated = {path: _text(path, content) for path, content in made.items()
                 if path.endswith(GENERATED)}  # fmt: skip
    generated["TREE"] = "".join(f"{path}\n" for path in sorted(made))
    folder = GOLDEN / variant
    if update_golden:
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in generated.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    expected = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert generated == expected


def _text(path: str, content: Content) -> str:
    assert isinstance(content, bytes)
    if path != "manifest.json":
        return content.decode()
    manifest = json.loads(content)
    manifest["files"] = "see TREE"  # hashes of what is copied change with every copied line
    return json.dumps(manifest, indent=2) + "\n"


def test_copies_are_verbatim(root: Path, pipeline: Path) -> None:
    made = files(make_plan(pipeline))
    copied = {path: content for path, content in made.items() if not path.endswith(GENERATED)}
    runtime = root / "pipeline/ensemblegen/runtime"
    for path, content in copied.items():
        model, _, inner = path.partition("/1/")
        if isinstance(content, Linked):
            assert content.path.parent == pipeline.parent / "artifacts"
        elif inner == "model.py":
            assert content == (runtime / "entry.py").read_bytes()
        elif inner.startswith("ensemblegen_runtime/"):
            assert content == (runtime / inner.split("/")[1]).read_bytes()
        elif model == "readability":
            assert inner == "README"
        else:
            assert content == (root / "python_models" / inner).read_bytes(), path


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
