"""The fraud example, compiled for cpu and gpu: every config and step.json as last looked at.

The checkpoint is made by the libraries that are installed here; tests/converters looks at it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.placement import Choice

GOLDEN = Path(__file__).resolve().parent / "golden" / "fraud"
TEXTS = (".pbtxt", "step.json")
MEMBERS = ("fraud_decide", "fraud_encode", "fraud_trees")


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What is generated, by device and path; the model is converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        plans = {
            device: make_plan(root / "ensembles/fraud/pipeline.yaml", Choice(device=device))
            for device in ("cpu", "gpu")
        }
    return {
        device: {
            path: content.decode()
            for path, content in files(plan).items()
            if isinstance(content, bytes) and path.endswith(TEXTS)
        }
        for device, plan in plans.items()
    }


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_tree(device: str, made: dict[str, dict[str, str]], update_golden: bool) -> None:
    folder = GOLDEN / device
    if update_golden:
        for path, text in made[device].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    standing = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert made[device] == standing


def test_the_word_becomes_a_checkpoint(made: dict[str, dict[str, str]]) -> None:
    config = made["cpu"]["fraud_trees/config.pbtxt"]
    assert '"treelite_checkpoint"' in config
    assert {path.partition("/")[0] for path in made["cpu"]} == {"fraud", *MEMBERS}
