"""Each case of `tests/triton_cases` on the real server: refused in these words, or loaded."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.engine.server import Options, Server
from tests.conftest import ROOT

CASES = ROOT / "tests" / "triton_cases"
TABLE: dict[str, dict[str, str]] = json.loads((CASES / "cases.json").read_text())
POLL_FAILED = "failed to poll from model repository"
MODEL = """\
class TritonPythonModel:
    def execute(self, requests):
        raise NotImplementedError
"""


@dataclass
class Bench:
    """One server in explicit mode; a case is put into its repository, loaded, taken away."""

    server: Server
    folder: Path
    log: Path

    def refusal(self, case: str) -> str:
        """What the server says against `pipeline`; empty if it is served."""
        models = sorted(path for path in (CASES / case).iterdir() if path.is_dir())
        for model in models:
            shutil.copytree(model, self.folder / model.name)
        before = self.log.stat().st_size
        status, answer = self.post("pipeline/load")
        if status != http.client.OK:
            answer += self.said_since(before) if POLL_FAILED in answer else ""
        served = self.post("pipeline/ready", "GET", "/v2/models/")[0] == http.client.OK
        assert served == (status == http.client.OK)
        for model in reversed(models):
            shutil.rmtree(self.folder / model.name)
            self.post(f"{model.name}/unload")
        self.until_unloaded({model.name for model in models})
        return "" if served else answer

    def post(
        self, what: str, method: str = "POST", where: str = "/v2/repository/models/"
    ) -> tuple[int, str]:
        host, _, port = self.server.http.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(method, where + what)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def said_since(self, offset: int) -> str:
        """The log is written a moment after the answer is sent."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with self.log.open("rb") as file:
                file.seek(offset)
                text = file.read().decode()
            if "Poll failed for model directory" in text:
                return text
            time.sleep(0.02)
        raise AssertionError("the server said nothing")

    def until_unloaded(self, names: set[str]) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            index: list[dict[str, Any]] = json.loads(self.post("index", where="/v2/repository/")[1])
            states = {each["name"]: each.get("state") for each in index}
            if not any(states.get(name) in ("READY", "LOADING", "UNLOADING") for name in names):
                return
            time.sleep(0.02)
        raise AssertionError(f"still there: {states}")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("cases") / "repository"
    (folder / "idle" / "1").mkdir(parents=True)
    (folder / "idle" / "config.pbtxt").write_text(
        'backend: "python"\n'
        'input { name: "X" data_type: TYPE_FP32 dims: 1 }\n'
        'output { name: "Y" data_type: TYPE_FP32 dims: 1 }\n'
    )
    (folder / "idle" / "1" / "model.py").write_text(MODEL)
    log = folder.parent / "log"
    extra = ("--model-control-mode=explicit", "--load-model=idle")
    with Server.start(folder, Options(log_file=log, extra=extra)) as server:
        yield Bench(server, folder, log)
        server.stop(kill=True)


@pytest.mark.parametrize("case", TABLE)
def test_case(case: str, bench: Bench) -> None:
    refusal = bench.refusal(case)
    expected = TABLE[case]
    if expected["verdict"] == "ok":
        assert not refusal
    else:
        assert expected["says"] in refusal
