"""Requests to what speaks SageMaker's protocol: a server on the network, or an endpoint.

Made once, as bytes; what sends them is in the load processes, and imports boto3 only there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
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


class EndpointCaller:
    """InvokeEndpoint through boto3; the connections of a process share one client."""

    def __init__(self, region: str, endpoint: str, target: str | None = None) -> None:
        self._said = (region, endpoint, target)
        self._aws: Aws | None = None

    def __reduce__(self) -> tuple[type[EndpointCaller], tuple[str, str, str | None]]:
        return EndpointCaller, self._said  # clients stay in the process that made them

    def connected(self) -> _Endpoint:
        region, endpoint, target = self._said
        with _MAKING:
            if self._aws is None:
                # What is measured is one attempt.
                self._aws = Aws(region, attempts=1, connections=PER_PROCESS)
                self._aws.client("sagemaker-runtime")
        return _Endpoint(self._aws, endpoint, target)


_MAKING = threading.Lock()


class _Endpoint:
    def __init__(self, aws: Aws, endpoint: str, target: str | None) -> None:
        self._aws = aws
        self._words: dict[str, Any] = {"EndpointName": endpoint}
        if target:
            self._words["TargetModel"] = target

    def send(self, request: bytes) -> bytes:
        kind, _, body = request.partition(_END)
        told = {**self._words, "ContentType": kind.decode(), "Accept": kind.decode(), "Body": body}
        try:
            answer = self._aws.call(Call("sagemaker-runtime", "invoke_endpoint", told))
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
