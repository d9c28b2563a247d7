"""The image classifier, compiled for cpu and gpu: its tree, and every generated text in it.

What is copied (the author's code, the artifacts, our runtime) stands in `tree.txt` by its path
alone; what is generated stands as it is. The graph is one with the right ends and nothing in
between. `pytest --update-golden` rewrites them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ensemblegen.artifacts import dali_definition
from ensemblegen.compile import make_plan
from ensemblegen.content import Content
from ensemblegen.emit.files import files
from ensemblegen.placement import Choice
from ensemblegen.words import DEVICES
from tests.artifacts import tensorflow_wire as wire

GOLDEN = Path(__file__).resolve().parent / "golden" / "image_classification"
GENERATED = (".pbtxt", "step.json", "definition.json")
_GRAPH = wire.graph(
    [
        wire.node("input", "Placeholder", types={"dtype": wire.FLOAT}, sizes=[-1, 299, 299, 3]),
        wire.node(
            "InceptionV3/Predictions/Softmax", "Softmax", ["input"], {"T": wire.FLOAT}, [-1, 16]
        ),
    ]
)


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Content]]:
    """What is compiled, by device."""
    folder = tmp_path_factory.mktemp("image_classification")
    for name in ("pipeline.yaml", "decode.py", "top_k.py"):
        shutil.copy(root / "ensembles/image_classification" / name, folder)
    artifacts = folder / "artifacts"
    (artifacts / "pictures").mkdir(parents=True)
    (artifacts / "inception_v3.graphdef").write_bytes(_GRAPH)
    (artifacts / "labels.txt").write_text("red circle\n")
    for name in ("red_circle", "blue_star", "yellow_triangle"):
        (artifacts / "pictures" / f"{name}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENSEMBLEGEN_CACHE", str(folder / "cache"))
        plans = {each: make_plan(folder / "pipeline.yaml", Choice(device=each)) for each in DEVICES}
    return {device: files(plan) for device, plan in plans.items()}


@pytest.mark.parametrize("device", DEVICES)
def test_tree(device: str, made: dict[str, dict[str, Content]], update_golden: bool) -> None:
    texts = {"tree.txt": "".join(f"{path}\n" for path in made[device])}
    for path, content in made[device].items():
        if path.endswith(GENERATED):
            assert isinstance(content, bytes), path
            texts[path] = content.decode()
    folder = GOLDEN / device
    if update_golden:
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    standing = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert texts == standing


def test_what_is_copied(root: Path, made: dict[str, dict[str, Content]]) -> None:
    """Our entry as it is for each device, and the author's function."""
    decode = made["gpu"]
    version = "image_classification_decode/1"
    entry = dali_definition.ENTRY.read_bytes()
    assert decode[f"{version}/cpu.py"] == decode[f"{version}/gpu.py"] == entry
    source = root / "ensembles/image_classification/decode.py"
    assert decode[f"{version}/definition/decode.py"] == source.read_bytes()


def test_the_device_changes_configs_alone(made: dict[str, dict[str, Content]]) -> None:
    changed = {path for path in made["cpu"] if made["cpu"][path] != made["gpu"][path]}
    assert changed == {
        "image_classification_classify/config.pbtxt",
        "image_classification_decode/config.pbtxt",
        "image_classification_name/config.pbtxt",
        "manifest.json",
    }
