"""The fan-out example on the real server finds and names what was drawn, box by box."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import http

from ensemblegen.cli.app import main
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensembles.detection.scenes import Scene, scene

OUTPUTS = ("BOXES", "LABELS", "SCORES", "COUNT")


@pytest.fixture(scope="module")
def example(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline with a classifier that is trained here; its pipeline.yaml."""
    from ensembles.detection.export import export

    folder = tmp_path_factory.mktemp("detection")
    source = root / "ensembles/detection"
    shutil.copy(source / "pipeline.yaml", folder)
    shutil.copytree(source / "steps", folder / "steps")
    assert export(folder / "artifacts") > 0.98
    return folder / "pipeline.yaml"


@pytest.fixture(scope="module")
def server(example: Path) -> Iterator[Server]:
    write(files(make_plan(example)), example.parent / "repository")
    with Server.start(example.parent / "repository") as running:
        yield running
        running.stop(kill=True)


def ask(server: Server, images: Any) -> dict[str, Any]:
    given = http.InferInput("image", list(images.shape), "UINT8")
    given.set_data_from_numpy(images)
    with http.InferenceServerClient(server.http) as client:
        result = client.infer("detection", [given])
    return {name: result.as_numpy(name) for name in OUTPUTS}


def test_what_was_drawn_is_found(server: Server) -> None:
    rng = np.random.default_rng(1)
    batches = [[scene(rng, 3, 4) for _ in range(1 + i % 5)] for i in range(40)]

    def answer(scenes: list[Scene]) -> dict[str, Any]:
        return ask(server, np.stack([each.image for each in scenes]))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(answer, batches))
    right = total = 0
    for scenes, found in zip(batches, answers, strict=True):
        most = max(len(each.boxes) for each in scenes)
        assert found["BOXES"].shape == (len(scenes), most, 4)
        for row, each in enumerate(scenes):
            count = len(each.boxes)
            assert found["COUNT"][row] == [count]
            assert [tuple(box) for box in found["BOXES"][row, :count]] == list(each.boxes)
            labels = [label.decode() for label in found["LABELS"][row]]
            assert labels[count:] == [""] * (most - count)
            assert (found["SCORES"][row, count:] == 0).all()
            right += sum(a == b for a, b in zip(labels, each.labels, strict=False))
            total += count
    assert total > 400
    assert right / total > 0.98


def test_equal_to_the_classifier_called_directly(server: Server, example: Path) -> None:
    import torch

    from ensembles.detection.steps.detect import crop

    module = torch.jit.load(str(example.parent / "artifacts/texture.pt"))
    drawn = scene(np.random.default_rng(3), 4, 4)
    found = ask(server, drawn.image[None])
    crops = np.stack([crop(drawn.image, box) for box in drawn.boxes])
    with torch.inference_mode():
        wanted = module(torch.from_numpy(crops)).numpy().max(axis=1)
    np.testing.assert_allclose(found["SCORES"][0], wanted, atol=1e-6)


def test_its_examples_hold(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["test", str(example)])
    assert "2 of 2 examples as expected" in capsys.readouterr().out
