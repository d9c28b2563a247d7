"""The repository of planted mistakes serves once the twelve are mended: nothing else is wrong."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

from ensemblegen.engine.server import Server
from tests.conftest import ROOT

PLANTED = ROOT / "tests" / "planted" / "repository"
ENVIRONMENT = """\
parameters {
  key: "EXECUTION_ENV_PATH"
  value { string_value: "envs/triage.tar.gz" }  # planted: relative-environment
}
"""
MENDED = (
    ("triage/config.pbtxt", '"triage_clean"', '"triage_clean" model_version: -1'),
    ("triage/config.pbtxt", "featurs", "features"),
    ("triage_bert/config.pbtxt", "TYPE_INT64", "TYPE_INT32"),
    ("triage_bert/config.pbtxt", "max_batch_size: 8", "max_batch_size: 32"),
    ("triage_clean/config.pbtxt", "microsecond:", "microseconds:"),
    ("triage_features/1/model.py", '"body"', '"text"'),
    ("triage_forest/config.pbtxt", "dims: [ 1 ]", "dims: [ 1 ] reshape { shape: [ 1 ] }"),
    ("triage_join/config.pbtxt", ENVIRONMENT, ""),
    ("triage_tokens/config.pbtxt", "TYPE_BYTES", "TYPE_STRING"),
    ("triage_tokens/config.pbtxt", '"false"', '"no"'),
)
"""And the version folder; the key that stands twice is harmless, since both say the same."""


def test_mended(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(PLANTED, repository)
    for file, wrong, right in MENDED:
        path = repository / file
        text = path.read_text()
        assert wrong in text
        path.write_text(text.replace(wrong, right))
    (repository / "triage" / "1").mkdir()
    with Server.start(repository) as server:
        answer = infer(server, ["urgent!", "hi"], ["network is down", "thanks a lot for it"])
        server.stop(kill=True)
    assert answer["TEAM"] == ["billing", "sales"]
    assert answer["PRIORITY"][0] > answer["PRIORITY"][1]  # type: ignore[operator]


def infer(server: Server, subjects: list[str], bodies: list[str]) -> dict[str, list[object]]:
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [len(texts), 1], "data": texts}
        for name, texts in (("SUBJECT", subjects), ("BODY", bodies))
    ]
    url = f"http://{server.http}/v2/models/triage/infer"
    asked = urllib.request.Request(url, json.dumps({"inputs": inputs}).encode())
    with urllib.request.urlopen(asked, timeout=30) as response:  # noqa: S310
        outputs = json.load(response)["outputs"]
    return {each["name"]: each["data"] for each in outputs}
