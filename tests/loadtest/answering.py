"""A server of SageMaker's protocol that answers slowly, and what says what it takes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ensemblegen import manifest
from ensemblegen.manifest import Manifest, ManifestPipeline, ManifestTensor
from ensemblegen.types import DType

PAUSE = 0.02
"""Seconds of a request, of which one is answered at a time."""
TAKES = ManifestTensor("x", DType.FP32, (2,))
GIVES = ManifestTensor("y", DType.FP32, (1,))


class _Answers(BaseHTTPRequestHandler):
    """A server of /invocations with one request at a time in its hands, as one instance has."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.seen.append((self.path, dict(self.headers), body))
        with server.turn:
            time.sleep(PAUSE)
        refused = server.refuses_after is not None and len(server.seen) > server.refuses_after
        status, answer = (500, b'{"error":"out of order"}') if refused else (200, b"{}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: Any) -> None:
        """Nothing: tests read what commands print."""


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """The server, with the requests that it has `seen` and its `address`."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.seen, server.turn, server.refuses_after = [], threading.Lock(), None
    server.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def described(
    folder: Path,
    takes: ManifestTensor = TAKES,
    gives: ManifestTensor = GIVES,
) -> Path:
    """A manifest of a pipeline that is called `score`; nothing of it is served."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = ManifestPipeline("score", "pipeline.yaml", "cpu", 8, (takes,), (gives,))
    made = Manifest(ensemblegen="0", target="24.10", pipelines=(pipeline,), models=())
    (folder / manifest.NAME).write_text(json.dumps(manifest.to_json(made)))
    return folder
