"""The config of a model that a running Triton serves, as that server has completed it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from google.protobuf import json_format

from ensemblegen.model_config import ModelConfig

TIMEOUT = 5.0
"""Seconds for each answer."""
_PORTS = {"http": 8000, "https": 443, "grpc": 8001}
_READY = "READY"


class UnreachableError(Exception):
    """The server cannot be asked, or has no answer; the message says why."""


class AbsentError(Exception):
    """The server does not serve the model; the message is in its words."""

    def __init__(self, message: str, others: tuple[str, ...]) -> None:
        super().__init__(message)
        self.others = others
        """What it serves."""


def config(server: str, model: str, version: int) -> Any:
    """The ModelConfig of `model`; `version` -1 is the latest that the server has ready.

    `server` is an address. Raises UnreachableError or AbsentError.
    """
    address = urlsplit(server)
    ask = _of_grpc if address.scheme == "grpc" else _of_http
    message = ModelConfig()
    json_format.ParseDict(ask(address, model, version), message, ignore_unknown_fields=True)
    return message


def is_address(server: str) -> bool:
    """Whether a server can be asked there: `http://host:8000`, `grpc://host:8001`."""
    try:
        address = urlsplit(server)
        return address.scheme in _PORTS and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def _of_http(address: SplitResult, model: str, version: int) -> dict[str, Any]:
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(
        str(address.hostname), address.port or _PORTS[address.scheme], timeout=TIMEOUT
    )
    base = f"{address.path.rstrip('/')}/v2"
    part = f"/versions/{version}" if version >= 0 else ""

    def ask(method: str, path: str) -> tuple[int, Any]:
        connection.request(method, base + path)
        response = connection.getresponse()
        body = response.read()
        try:
            return response.status, json.loads(body)
        except ValueError:
            words = f"{response.status} {response.reason}"
            raise UnreachableError(f"it is no Triton: it answers {words}") from None

    try:
        status, answer = ask("GET", f"/models/{quote(model, safe='')}{part}/config")
        if status == http.client.OK and isinstance(answer, dict):
            return answer
        _, index = ask("POST", "/repository/index")
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(_reason(error)) from error
    finally:
        connection.close()
    words = answer.get("error") if isinstance(answer, dict) else None
    raise _absent(model, str(words or f"status {status}"), index)


def _of_grpc(address: SplitResult, model: str, version: int) -> dict[str, Any]:
    from tritonclient import grpc  # loads grpc and numpy

    url = f"{address.hostname}:{address.port or _PORTS['grpc']}"
    client = grpc.InferenceServerClient(url)
    try:
        return _asked(
            client, model, str(version) if version >= 0 else "", grpc.InferenceServerException
        )
    finally:
        client.close()


def _asked(client: Any, model: str, version: str, refusal: type[Exception]) -> dict[str, Any]:
    options = {"as_json": True, "client_timeout": TIMEOUT}
    try:
        found: dict[str, Any] = client.get_model_config(model, version, **options)
    except refusal as error:
        words = _words(error)
        index = _index(lambda: client.get_model_repository_index(**options), refusal)
        if index is None:
            raise UnreachableError(words) from error
        raise _absent(model, words, index) from error
    return dict(found["config"])


def _index(ask: Callable[[], Any], refusal: type[Exception]) -> Any:
    """The models of the server; None where it does not say."""
    try:
        return ask().get("models", [])
    except refusal:
        return None


def _words(error: Any) -> str:
    return str(error.message() if hasattr(error, "message") else error)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _absent(model: str, words: str, index: Any) -> AbsentError:
    rows = [row for row in index if isinstance(row, dict)] if isinstance(index, list) else []
    mine = [row for row in rows if row.get("name") == model]
    waiting = [row for row in mine if row.get("state") != _READY]
    if mine and len(waiting) == len(mine):
        reason = next((row["reason"] for row in mine if row.get("reason")), "it is not loaded")
        return AbsentError(f"it is not ready there: {reason}", ())
    if mine:
        versions = sorted(str(row.get("version")) for row in mine if row.get("state") == _READY)
        return AbsentError(f"{words}; it has version {', '.join(versions)}", ())
    ready = {str(row.get("name")) for row in rows if row.get("state") == _READY}
    return AbsentError(words, tuple(sorted(ready)))
