"""Requests to what speaks SageMaker's protocol: a server on the network, or an endpoint.

Made once, as bytes; what sends them is in the load processes, and imports boto3 only there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemblegen.bench.load import PER_PROCESS
from ensemblegen.bench.senders import RefusedError, Request
from ensemblegen.bench.worker import Job
from ensemblegen.client import invocation
from ensemblegen.client.interface import Interface
from ensemblegen.client.protocol import TARGET
from ensemblegen.client.tensors import Array
from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.call import Call
from ensemblegen.errors import EnsemblegenError, InputError, Problem

_END = b"\n"
"""Between the content type and the body of a request to an endpoint."""


def bodies(interface: Interface, items: Sequence[Mapping[str, Array]]) -> list[tuple[bytes, str]]:
    """One request a row, with its content type."""
    made = []
    for item in items:
        batched = {name: array[np.newaxis] for name, array in item.items()}
        made.append(invocation.body(interface, batched if interface.batched else item))
    return made


def invocations(
    interface: Interface, items: Sequence[Mapping[str, Array]], target: str | None
) -> tuple[Request, ...]:
    """Whole requests to `/invocations`."""
    wanted = f"{TARGET}: {target}\r\n" if target else ""
    return tuple(
        Request(
            (
                "POST /invocations HTTP/1.1\r\nHost: endpoint\r\n"
                f"Content-Type: {kind}\r\n{wanted}Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body,
            0,
        )
        for body, kind in bodies(interface, items)
    )


def calls(interface: Interface, items: Sequence[Mapping[str, Array]]) -> tuple[Request, ...]:
    """Content type and body in one, as an endpoint's sender takes them."""
    return tuple(Request(kind.encode() + _END + body, 0) for body, kind in bodies(interface, items))


@dataclass(frozen=True, slots=True)
class EndpointCaller:
    """InvokeEndpoint through boto3; the connections of a process share one client."""

    region: str
    endpoint: str
    target: str | None = None

    def connected(self) -> _Endpoint:
        return _Endpoint(self)


_CLIENTS: dict[str, Aws] = {}
_MAKING = threading.Lock()


def _aws(region: str) -> Aws:
    """Of this process; what is measured is one attempt."""
    with _MAKING:
        if region not in _CLIENTS:
            made = Aws(region, attempts=1, connections=PER_PROCESS)
            made.client("sagemaker-runtime")
            _CLIENTS[region] = made
        return _CLIENTS[region]


class _Endpoint:
    def __init__(self, caller: EndpointCaller) -> None:
        self._caller = caller
        self._words: dict[str, Any] = {"EndpointName": caller.endpoint}
        if caller.target:
            self._words["TargetModel"] = caller.target

    def send(self, request: bytes) -> bytes:
        kind, _, body = request.partition(_END)
        told = {**self._words, "ContentType": kind.decode(), "Accept": kind.decode(), "Body": body}
        try:
            aws = _aws(self._caller.region)
            answer = aws.call(Call("sagemaker-runtime", "invoke_endpoint", told))
            found: bytes = answer["Body"].read()
        except EnsemblegenError as error:
            raise RefusedError(str(error)) from None
        return found

    def close(self) -> None:
        """The client is that of all connections."""


def require_answers(job: Job, interface: Interface) -> None:
    """InputError E706 where the first request is refused: then there is nothing to measure."""
    sender = job.sender()
    try:
        sender.send(job.requests[0][0].whole)
    except RefusedError as error:
        message = f"'{interface.model}' refuses a request: {error}"
        raise InputError([Problem("E706", message)]) from None
    finally:
        sender.close()
