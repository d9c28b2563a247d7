"""What a server says of itself, over HTTP or gRPC: configs, statistics, trace and memory settings.

Both give the same JSON, but for 64-bit numbers, which gRPC's are words.
"""

from __future__ import annotations

import http.client
import importlib
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from ensemblegen.client import interface
from ensemblegen.errors import MachineError

_TIMEOUT = 20.0


class Control(Protocol):
    """Calls that are not inference; MachineError where the server does not do as asked."""

    def server(self) -> str:
        """Name and version."""

    def config(self, model: str) -> dict[str, Any]: ...

    def statistics(self) -> list[dict[str, Any]]:
        """One entry a model and version."""

    def trace(self, settings: Mapping[str, Any]) -> None: ...

    def register(self, region: str, key: str, size: int) -> None:
        """Let requests name a region of the system's shared memory."""

    def unregister(self, region: str) -> None: ...


def control(protocol: interface.Protocol, address: str) -> Control:
    return _Http(address) if protocol is interface.Protocol.http else _Grpc(address)


class _Http:
    def __init__(self, address: str) -> None:
        self._address = address

    def server(self) -> str:
        found = self._call("GET", "/v2")
        return f"{found.get('name')} {found.get('version')}"

    def config(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"/v2/models/{quote(model)}/config")
        return found

    def statistics(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/v2/models/stats").get("model_stats", [])
        return found

    def trace(self, settings: Mapping[str, Any]) -> None:
        self._call("POST", "/v2/trace/setting", settings)

    def register(self, region: str, key: str, size: int) -> None:
        place = {"key": key, "offset": 0, "byte_size": size}
        self._call("POST", f"/v2/systemsharedmemory/region/{region}/register", place)

    def unregister(self, region: str) -> None:
        self._call("POST", f"/v2/systemsharedmemory/region/{region}/unregister")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        host, _, port = self._address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text)
            answer = connection.getresponse()
            found = json.loads(answer.read() or b"{}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise MachineError(f"no Triton answers at {self._address}: {error}") from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise MachineError(f"{path}: {found.get('error', answer.status)}")
        return found


class _Grpc:
    def __init__(self, address: str) -> None:
        self._library: Any = importlib.import_module("tritonclient.grpc")
        self._client = self._library.InferenceServerClient(address)

    def server(self) -> str:
        found = self._call("get_server_metadata", as_json=True)
        return f"{found.get('name')} {found.get('version')}"

    def config(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("get_model_config", model, as_json=True)
        inner: dict[str, Any] = found.get("config", found)
        return inner

    def statistics(self) -> list[dict[str, Any]]:
        found = self._call("get_inference_statistics", as_json=True)
        listed: list[dict[str, Any]] = found.get("model_stats", [])
        return listed

    def trace(self, settings: Mapping[str, Any]) -> None:
        self._call("update_trace_settings", settings=dict(settings))

    def register(self, region: str, key: str, size: int) -> None:
        self._call("register_system_shared_memory", region, key, size)

    def unregister(self, region: str) -> None:
        self._call("unregister_system_shared_memory", region)

    def _call(self, name: str, *words: Any, **more: Any) -> Any:
        try:
            return getattr(self._client, name)(*words, **more)
        except Exception as error:  # noqa: BLE001 - the library's own, and gRPC's
            message = getattr(error, "message", None)
            text = message() if callable(message) else str(error)
            raise MachineError(f"{name}: {text}") from None
