"""moto's AWS over a real socket, made stricter where it is laxer than AWS, and watched.

`strict` has what moto is taught for that.
"""

from __future__ import annotations

import http.client
import importlib
import io
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.deploy import strict

REGION = "eu-west-1"
ACCOUNT = "123456789012"
_CHANGING = (
    "Abort", "Add", "Complete", "Copy", "Create", "Delete", "Deregister", "Put", "Register",
    "Update", "Upload",
)  # fmt: skip


@dataclass
class Cloud:
    """A server, the changes that it was asked for, and what is to happen to them."""

    changes: list[str] = field(default_factory=list)
    refused: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Of an operation: the status, code and message of its answer."""
    kill: Callable[[], int | None] = lambda: None
    """Which process is ended by its next change."""
    kill_after: int | None = None
    """Which of the changes, counted from 1, is the last one of that process."""
    takes: int = 0
    """How often an endpoint is looked at before it is in service."""
    fails: str | None = None
    """Why the next endpoint fails, if it does."""
    container: str | None = None
    """host:port of what endpoints run; without one, moto answers for them."""
    url: str = ""

    def reset(self) -> None:
        self.changes, self.refused = [], {}
        self.kill_after, self.takes, self.fails, self.container = None, 0, None, None
        importlib.import_module("moto.backends")
        moto_api = importlib.import_module("moto.moto_api._internal.models")
        moto_api.moto_api_backend.reset()

    def client(self, service: str) -> Any:
        boto3 = importlib.import_module("boto3")
        return boto3.client(service, region_name=REGION, endpoint_url=self.url)

    def answer(self, app: Any, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        name = operation(environ, body)
        if name in self.refused:
            return _refusal(environ, self.refused[name], start)
        if name == "InvokeEndpoint" and self.container is not None:
            return _invoked(self.container, environ, body, start)
        changes = name.startswith(_CHANGING)
        answered = [*app(environ, start)]
        if changes:
            self.changes.append(name)
            if self.kill_after == len(self.changes) and (process := self.kill()):
                # It is done, and who asked for it never hears.
                os.kill(process, signal.SIGKILL)
        return answered


def operation(environ: dict[str, Any], body: bytes) -> str:
    """What a request asks for, in the words of AWS's API."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path.endswith("/invocations"):
        return "InvokeEndpoint"
    if "/operation/" in path:
        return str(path).rpartition("/")[2]
    action = parse_qs(body.decode("latin-1")).get("Action") if len(body) < 1 << 16 else None
    return action[0] if action else _s3(environ, path, query)


def _s3(environ: dict[str, Any], path: str, query: str) -> str:
    method = environ["REQUEST_METHOD"]
    copies = "HTTP_X_AMZ_COPY_SOURCE" in environ
    known = (
        ("UploadPart", method == "PUT" and "partNumber" in query),
        ("CopyObject", method == "PUT" and copies),
        ("PutObject", method == "PUT" and path.count("/") > 1),
        ("CompleteMultipartUpload", method == "POST" and "uploadId" in query),
        ("CreateMultipartUpload", method == "POST" and "uploads" in query),
        ("AbortMultipartUpload", method == "DELETE" and "uploadId" in query),
        ("DeleteObject", method == "DELETE"),
    )
    return next((name for name, fits in known if fits), f"{method.title()}Other")


def _refusal(environ: dict[str, Any], said: tuple[int, str, str], start: Any) -> list[bytes]:
    status, code, message = said
    if environ.get("HTTP_X_AMZ_TARGET"):
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    else:
        kind = "application/xml"
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    start(f"{status} refused", [("Content-Type", kind), ("Content-Length", str(len(text)))])
    return [text.encode()]


_TARGET = "X-Amzn-SageMaker-Target-Model"


def _invoked(container: str, environ: dict[str, Any], body: bytes, start: Any) -> list[bytes]:
    """As SageMaker's runtime does: the container's answer, or that it was refused, and how."""
    headers = {"Content-Type": environ["CONTENT_TYPE"]}
    target = environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL")
    if target:
        headers[_TARGET] = target
    connection = http.client.HTTPConnection(container, timeout=60)
    try:
        connection.request("POST", "/invocations", body, headers)
        answer = connection.getresponse()
        said, kind = answer.read(), answer.headers.get("Content-Type", "application/json")
    finally:
        connection.close()
    if answer.status == http.client.OK:
        start("200 OK", [("Content-Type", kind), ("Content-Length", str(len(said)))])
        return [said]
    told = {"OriginalStatusCode": answer.status, "OriginalMessage": said.decode(), "Message": "no"}
    text = json.dumps(told).encode()
    start("424 Failed Dependency", [
        ("Content-Type", "application/json"), ("Content-Length", str(len(text))),
        ("x-amzn-errortype", "ModelError"),
    ])  # fmt: skip
    return [text]


def start() -> tuple[Cloud, Callable[[], None]]:
    """A cloud that answers, and how to end it."""
    serving = importlib.import_module("werkzeug.serving")
    moto = importlib.import_module("moto.moto_server.werkzeug_app")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    cloud = Cloud()
    strict.teach(cloud)
    app = moto.DomainDispatcherApplication(moto.create_backend_app)

    def watched(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return cloud.answer(app, environ, start)

    server = serving.make_server("127.0.0.1", 0, watched, threaded=True,
                                 request_handler=moto.MotoRequestHandler)  # fmt: skip
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return cloud, end
