"""Whether models are ready, asked over HTTP.

Asked model by model: `/v2/health/ready` says yes although an ensemble was rejected.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

_TIMEOUT = 2.0


def not_ready(host: str, port: int, models: list[str]) -> list[str]:
    """Those of `models` that do not answer as ready."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    waiting = list(models)
    try:
        while waiting:
            connection.request("GET", f"/v2/models/{quote(waiting[0])}/ready")
            response = connection.getresponse()
            response.read()
            if response.status != http.client.OK:
                break
            waiting.pop(0)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return waiting


def config(host: str, port: int, model: str) -> dict[str, Any]:
    """The ModelConfig of a ready model as JSON."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", f"/v2/models/{quote(model)}/config")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
