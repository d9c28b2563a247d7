"""Before anything is measured: the server answers each request, with all of its outputs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Any

from ensemblegen.bench.requests import Payload, build
from ensemblegen.bench.senders import RefusedError, connected
from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.errors import InputError, Problem


def sizes(
    protocol: Protocol, address: str, interface: Interface, payloads: Sequence[Payload]
) -> dict[str, int]:
    """Bytes of each output, the most over all payloads; InputError where one is not answered."""
    sender = connected(protocol, address)
    most = {each.name: 0 for each in interface.outputs}
    try:
        for payload in payloads:
            body = sender.send(build(protocol, interface, payload).whole)
            found = _http(body) if protocol is Protocol.http else _grpc(body)
            for name, size in most.items():
                if name not in found:
                    raise _problem(f"'{interface.model}' answers without its output '{name}'")
                most[name] = max(size, found[name])
    except RefusedError as error:
        raise _problem(f"'{interface.model}' refuses a request: {error}") from None
    finally:
        sender.close()
    return most


def _http(body: bytes) -> dict[str, int]:
    # All outputs are binary, so the JSON before them ends where its first value does.
    header, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    return {
        str(each["name"]): int(each.get("parameters", {}).get("binary_data_size", 0))
        for each in header.get("outputs", [])
    }


def _grpc(body: bytes) -> dict[str, int]:
    service: Any = importlib.import_module("tritonclient.grpc.service_pb2")
    answer = service.ModelInferResponse.FromString(body)
    raw = answer.raw_output_contents
    return {each.name: len(data) for each, data in zip(answer.outputs, raw, strict=True)}


def _problem(message: str) -> InputError:
    return InputError([Problem("E706", message)])
