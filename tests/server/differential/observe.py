"""What the real server does with an ensemble: refuse it, or answer it in each way it is asked."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import queue
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from google.protobuf import text_format

from ensemblegen.engine.server import Options, Server
from ensemblegen.model_config import ModelConfig
from tests.server.differential.requests import Configs, Expected, Request, requests

IDLE = """\
backend: "python"
input { name: "X" data_type: TYPE_FP32 dims: 1 }
output { name: "Y" data_type: TYPE_FP32 dims: 1 }
"""
IDLE_CODE = """\
class TritonPythonModel:
    def execute(self, requests):
        raise NotImplementedError
"""
POLLED = "failed to poll from model repository"
MAX_FAILURES = 6
HANG = "no answer"
CRASH = "the server ended"


@dataclass(frozen=True, slots=True)
class Failure:
    request: Request
    words: str


@dataclass(frozen=True, slots=True)
class Observation:
    refusal: str = ""
    """Empty if the server loaded it."""
    failures: tuple[Failure, ...] = ()
    asked: int = 0
    """How many requests were sent."""

    @property
    def verdict(self) -> str:
        if self.refusal:
            return "refused"
        if any(failure.request.complete for failure in self.failures):
            return "fails"
        return "subsets fail" if self.failures else "serves"

    @property
    def words(self) -> str:
        if self.refusal or not self.failures:
            return self.refusal
        first = min(self.failures, key=lambda failure: not failure.request.complete)
        return f"{first.request}: {first.words}"


class Bench:
    """A server that has a repository beside it; started again after a hang."""

    def __init__(self, scratch: Path, patience: float = 2.0) -> None:
        self.scratch = scratch
        self.patience = patience
        self.starts = 0
        self._numbers = itertools.count()
        self._server: Server | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._source: Path | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def serve(self, source: Path) -> None:
        """Take a server to the repository `source`, with nothing of it loaded yet."""
        self.stop()
        self._source = source
        folder = self.scratch / f"run{next(self._numbers)}"
        idle = folder / "repository" / "idle"
        (idle / "1").mkdir(parents=True)
        (idle / "config.pbtxt").write_text(IDLE)
        (idle / "1" / "model.py").write_text(IDLE_CODE)
        self._log = folder / "log"
        extra = ("--model-control-mode=explicit", "--load-model=idle", "--allow-metrics=false")
        options = Options(log_file=self._log, extra=extra)
        self._server = Server.start(folder / "repository", options)
        self._folder = folder
        self.starts += 1
        for model in source.iterdir():
            if model.is_dir():
                shutil.copytree(model, folder / "repository" / model.name)
        host, _, port = self._server.http.partition(":")
        self._connection = http.client.HTTPConnection(host, int(port))

    def stop(self) -> None:
        if self._server is not None:
            self._connection.close()  # type: ignore[union-attr]
            self._server.stop(kill=True)
            self._server = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def observe(self, name: str, configs: Configs) -> Observation:
        refusal = self._loaded(name)
        if refusal:
            return Observation(refusal)
        failures: list[Failure] = []
        asked = 0
        for request in requests(name, configs):
            words = self._ask(name, request)
            asked += 1
            if words:
                failures.append(Failure(request, words))
            if words in (HANG, CRASH):
                self._restart()
                return Observation("", tuple(failures), asked)
            if len(failures) >= MAX_FAILURES:
                break
        if not failures and not self._unloaded(name):
            failures.append(Failure(request, CRASH))
            self._restart()
        return Observation("", tuple(failures), asked)

    def _loaded(self, name: str) -> str:
        """The words of a refusal; a server that ended over earlier requests gets a second go."""
        for _ in range(2):
            try:
                return self._load(name)
            except (http.client.HTTPException, OSError):
                self._restart()
        return CRASH

    def _unloaded(self, name: str) -> bool:
        try:
            self._post(f"/v2/repository/models/{quote(name)}/unload", {}, 60)
        except (http.client.HTTPException, OSError):
            return False
        return True

    def _restart(self) -> None:
        assert self._source is not None
        self.serve(self._source)

    def _load(self, name: str) -> str:
        before = self._log.stat().st_size
        status, answer = self._post(f"/v2/repository/models/{quote(name)}/load", {}, 60)
        if status == http.client.OK:
            return ""
        words = str(answer.get("error", answer))
        return self._said(before) or words if POLLED in words else words

    def _said(self, offset: int) -> str:
        """The log is written a moment after the answer is sent."""
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            with self._log.open("rb") as file:
                file.seek(offset)
                lines = file.read().decode("utf-8", "replace").splitlines()
            said = [line for line in lines if line.startswith(("E", "[lib")) or "Poll fail" in line]
            if any("Poll failed" in line for line in said):
                return " | ".join(line.partition("] ")[2] or line for line in said)
            time.sleep(0.01)
        return ""

    def _ask(self, name: str, request: Request) -> str:
        """What is wrong with the answer; "" if it is right."""
        body = {
            "parameters": {"answers": request.answers},
            "inputs": [
                {
                    "name": each,
                    "shape": given.shape,
                    "datatype": given.dtype,
                    "data": [_value(given)] * math.prod(given.shape),
                }
                for each, given in request.inputs.items()
            ],
            "outputs": [{"name": each} for each in request.outputs],
        }
        try:
            status, answer = self._post(f"/v2/models/{quote(name)}/infer", body)
        except TimeoutError:
            return HANG
        except (http.client.HTTPException, OSError):
            return CRASH
        if status == http.client.NOT_IMPLEMENTED:
            return self._stream(name, request)
        if status != http.client.OK:
            return str(answer.get("error", answer))
        return _wrong(request, answer.get("outputs", []))

    def _stream(self, name: str, request: Request) -> str:
        """Decoupled ensembles answer streams only."""
        from tritonclient import grpc

        assert self._server is not None
        heard: queue.Queue[Any] = queue.Queue()
        with grpc.InferenceServerClient(self._server.grpc) as client:
            client.start_stream(partial(_put, heard))
            client.async_stream_infer(
                name,
                [_input(each, given) for each, given in request.inputs.items()],
                outputs=[grpc.InferRequestedOutput(each) for each in request.outputs],
                parameters={"answers": request.answers},
                enable_empty_final_response=True,
            )
            return self._heard(request, heard)

    def _heard(self, request: Request, heard: queue.Queue[Any]) -> str:
        answers = 0
        while True:
            try:
                result, error = heard.get(timeout=self.patience)
            except queue.Empty:
                return HANG
            if error is not None:
                return str(error)
            response = result.get_response()
            if response.outputs:
                answers += 1
                outputs = [
                    {
                        "name": each.name,
                        "datatype": each.datatype,
                        "shape": list(each.shape),
                        "data": result.as_numpy(each.name).ravel().tolist(),
                    }
                    for each in response.outputs
                ]
                words = _wrong(request, outputs)
                if words:
                    return words
            if response.parameters["triton_final_response"].bool_param:
                return "" if answers else "no response in the stream"

    def _post(self, path: str, body: Any, patience: float = 0) -> tuple[int, dict[str, Any]]:
        connection = self._connection
        assert connection is not None
        connection.timeout = patience or self.patience
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        except BaseException:
            connection.close()
            raise
        try:
            return response.status, json.loads(text) if text else {}
        except json.JSONDecodeError:
            return response.status, {"error": text}


def configs(folder: Path) -> dict[str, Any]:
    """By name, those that protobuf can read."""
    found = {}
    for path in folder.glob("*/config.pbtxt"):
        message = ModelConfig()
        try:
            text_format.Parse(path.read_text(), message)
        except text_format.ParseError:
            continue
        found[path.parent.name] = message
    return found


def _wrong(request: Request, outputs: Iterable[dict[str, Any]]) -> str:
    given = {each["name"]: each for each in outputs}
    for name, expected in request.outputs.items():
        if expected is None:
            continue  # a repeated input that was left out: Triton leaves it out, too
        if name not in given:
            return f"'{name}' is missing"
        each = given[name]
        if each["datatype"] != expected.dtype:
            return f"'{name}' is {each['datatype']} instead of {expected.dtype}"
        if tuple(each["shape"]) != expected.shape:
            return f"'{name}' has the shape {each['shape']} instead of {list(expected.shape)}"
        if any(_number(value) != expected.value for value in each["data"]):
            return f"'{name}' has the value of another tensor"
    return ""


def _number(value: Any) -> int:
    return int(value.decode() if isinstance(value, bytes) else value)


def _value(given: Expected) -> Any:
    if given.dtype == "BYTES":
        return str(given.value)
    return bool(given.value) if given.dtype == "BOOL" else given.value


def _input(name: str, given: Expected) -> Any:
    import numpy as np
    from tritonclient import grpc
    from tritonclient.utils import triton_to_np_dtype

    tensor = grpc.InferInput(name, list(given.shape), given.dtype)
    value = str(given.value).encode() if given.dtype == "BYTES" else given.value
    tensor.set_data_from_numpy(np.full(given.shape, value, triton_to_np_dtype(given.dtype)))
    return tensor


def _put(heard: queue.Queue[Any], result: Any, error: Any) -> None:
    heard.put((result, error))
