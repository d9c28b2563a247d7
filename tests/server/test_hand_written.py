"""The hand-written repositories, side by side on the real server, answer what they promise.

`requests.json` beside the models holds requests as the HTTP protocol has them, and the outputs.
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ensemblegen.engine.server import Server
from ensemblegen.model_config import ModelConfig
from tests.conftest import ROOT

HAND_WRITTEN = ROOT / "tests" / "hand_written"
NAMES = sorted(path.name for path in HAND_WRITTEN.iterdir() if path.is_dir())
UNSERVED = "catalog_vectors"
"""Its backend is not in the embedded server, nor are its weights here."""

CASES = [
    pytest.param(each["model"], each["request"], each["outputs"], id=f"{name}-{each['model']}")
    for name in NAMES
    for each in json.loads((HAND_WRITTEN / name / "requests.json").read_text())
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All of them in one server, which completes what their configs leave out."""
    together = tmp_path_factory.mktemp("hand_written") / "all"
    for name in NAMES:
        shutil.copytree(
            HAND_WRITTEN / name,
            together,
            symlinks=True,
            ignore=shutil.ignore_patterns(UNSERVED, "__pycache__"),
            dirs_exist_ok=True,
        )
    with Server.start(together) as running:
        yield running
        running.stop(kill=True)


@pytest.mark.parametrize(("model", "request_body", "outputs"), CASES)
def test_answers(
    model: str, request_body: dict[str, Any], outputs: dict[str, Any], served: Server
) -> None:
    answered = infer(served, model, request_body)
    assert {each["name"] for each in answered} == set(outputs)
    for each in answered:
        expected = outputs[each["name"]]
        assert each["shape"] == expected["shape"]
        if each["datatype"] in ("FP32", "FP64"):
            np.testing.assert_allclose(each["data"], expected["data"], rtol=1e-5, atol=1e-5)
        else:
            assert each["data"] == expected["data"]


def infer(server: Server, model: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    asked = urllib.request.Request(
        f"http://{server.http}/v2/models/{model}/infer",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)["outputs"]
    return found


def test_every_ensemble_is_asked() -> None:
    asked = {each.values[0] for each in CASES}
    assert ensembles() <= asked


def test_no_two_share_a_dialect() -> None:
    """What makes each of them worth having is still in it."""
    texts = {
        name: b"".join(path.read_bytes() for path in sorted((HAND_WRITTEN / name).rglob("*.pbtxt")))
        for name in NAMES
    }
    assert [name for name in NAMES if b"\r\n" in texts[name]] == ["windows"]
    assert [name for name in NAMES if b"<\n" in texts[name]] == ["angles"]
    assert b"model_version: -0x1" in texts["comments"]
    assert not re.search(rb"^name:", texts["platform_names"], re.MULTILINE)
    assert b"\n" not in texts["one_line"]
    assert (HAND_WRITTEN / "two_ensembles/catalog_tokens_old/config.pbtxt").is_symlink()


def ensembles() -> set[str]:
    from google.protobuf import text_format

    configs = [path for name in NAMES for path in (HAND_WRITTEN / name).glob("*/config.pbtxt")]
    return {
        path.parent.name
        for path in configs
        if text_format.Parse(path.read_bytes(), ModelConfig()).platform == "ensemble"
    }
