"""One connection to a server: bytes of a request out, bytes of the answer in.

Nothing is decoded, so that what is measured is the server; only whether it was an answer.
"""

from __future__ import annotations

import importlib
import json
import socket
from dataclasses import dataclass
from typing import Any, Protocol

from ensemblegen.client import interface

_TIMEOUT = 120.0
_PIECE = 1 << 16
_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


ID = b"0" * 16
"""The id of a request that nobody looks for, and the room for one that somebody does."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request, and where its id is."""

    whole: bytes
    place: int

    def numbered(self, number: int) -> bytes:
        digits = b"%0*d" % (len(ID), number)
        return b"".join((self.whole[: self.place], digits, self.whole[self.place + len(ID) :]))


class RefusedError(Exception):
    """The request was not answered; the message is the server's, or the connection's."""


class Sender(Protocol):
    def send(self, request: bytes) -> bytes:
        """The body of the answer; RefusedError where there is none."""

    def close(self) -> None: ...


class Caller(Protocol):
    """Another way to a server than the two protocols; goes to load processes as it is."""

    def connected(self) -> Sender: ...


def connected(protocol: interface.Protocol, address: str) -> Sender:
    """A sender to `host:port`; HTTP connects at the first request."""
    return _Http(address) if protocol is interface.Protocol.http else _Grpc(address)


class _Http:
    """A kept connection. What Triton answers has a Content-Length, always."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> bytes:
        try:
            status, body = self._exchange(request)
        except (OSError, ValueError) as error:
            self.close()
            raise RefusedError(f"connection: {error or type(error).__name__}") from None
        if status != b"200":
            raise RefusedError(_message(body) or f"HTTP {status.decode('ascii', 'replace')}")
        return body

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, timeout=_TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        return _answer(self._socket)


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Status and body of an HTTP/1.1 answer; ValueError where it breaks off."""
    got = b""
    end = -1
    while end < 0:
        piece = connection.recv(_PIECE)
        if not piece:
            raise ValueError("closed by the server")
        got += piece
        end = got.find(b"\r\n\r\n")
    body = got[end + 4 :]
    lacking = _length(got[:end]) - len(body)
    if lacking <= 0:
        return got[9:12], body
    rest = bytearray(lacking)
    view = memoryview(rest)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ValueError("closed by the server")
        view = view[count:]
    return got[9:12], body + rest


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()


class _Grpc:
    """A channel with a connection of its own, without (de)serialisers: bytes pass as they are."""

    def __init__(self, address: str) -> None:
        grpc: Any = importlib.import_module("grpc")
        # What is measured is one attempt.
        options = (
            *_UNLIMITED,
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        )
        self._error = grpc.RpcError
        self._channel = grpc.insecure_channel(address, options=options)
        self._call = self._channel.unary_unary(_METHOD)

    def send(self, request: bytes) -> bytes:
        try:
            body: bytes = self._call(request, timeout=_TIMEOUT)
        except self._error as error:
            raise RefusedError(str(error.details() or error.code())) from None
        return body

    def close(self) -> None:
        self._channel.close()
