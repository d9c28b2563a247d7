"""Free ports for a server."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from ensemblegen.errors import MachineError


@dataclass(frozen=True, slots=True)
class Ports:
    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A number must be had; None stands for any; `usual` are tried first where free."""

    http: int | None = None
    grpc: int | None = None
    metrics: int | None = None
    usual: bool = False

    @property
    def fixed(self) -> bool:
        return None not in (self.http, self.grpc, self.metrics)


_USUAL = (8000, 8001, 8002)


def choose(host: str, wanted: Wanted) -> Ports:
    """Three ports that are free now; another program may take one before the server does."""
    with contextlib.ExitStack() as held:
        numbers = []
        for given, usual in zip((wanted.http, wanted.grpc, wanted.metrics), _USUAL, strict=True):
            if given is not None:
                held.enter_context(_required(host, given))
                numbers.append(given)
            else:
                bound = held.enter_context(_any(host, usual if wanted.usual else 0))
                numbers.append(bound.getsockname()[1])
        return Ports(*numbers)


def free(host: str, port: int) -> bool:
    try:
        _bind(host, port).close()
    except OSError:
        return False
    return True


def _required(host: str, port: int) -> socket.socket:
    try:
        return _bind(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MachineError(
            f"port {port} on {host} cannot be used: {reason}",
            "choose another, or leave the option out to take a free one",
        ) from None


def _any(host: str, preferred: int) -> socket.socket:
    with contextlib.suppress(OSError):
        return _bind(host, preferred)
    return _bind(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As servers do; without it the last server's closed connections would block the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
