"""Tensors in the system's shared memory: inputs written once, room for each answer in flight."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ensemblegen.bench.control import Control
from ensemblegen.bench.requests import Payload, Place
from ensemblegen.engine import regions
from ensemblegen.errors import MachineError

_OURS = "bench"
_ALIGNED = 64
_ROOM = 1.25
"""Text may come out longer another time; so much room is left for it."""
_TRIES, _PAUSE = 20, 0.1


def room(size: int) -> int:
    """Bytes to keep for an output that was `size` bytes long when it was tried."""
    return _up(max(int(size * _ROOM), _ALIGNED))


@contextmanager
def inputs(server: Control, payloads: Sequence[Payload]) -> Iterator[list[dict[str, Place]]]:
    """A region with the bytes of all payloads: for each the places of its tensors."""
    name = _name()
    places: list[dict[str, Place]] = []
    offset = 0
    for payload in payloads:
        found = {}
        for tensor in payload.tensors:
            found[tensor.name] = Place(name, offset, len(tensor.data))
            offset += _up(len(tensor.data))
        places.append(found)
    with _region(server, name, offset) as memory:
        for payload, found in zip(payloads, places, strict=True):
            for tensor in payload.tensors:
                start = found[tensor.name].offset
                memory[start : start + len(tensor.data)] = tensor.data
        yield places


@contextmanager
def outputs(
    server: Control, sizes: Mapping[str, int], connections: int
) -> Iterator[list[dict[str, Place]]]:
    """A region with room for the outputs of every connection: for each its places."""
    name = _name()
    each = sum(sizes.values())
    places = []
    for number in range(connections):
        offset = number * each
        found = {}
        for output, size in sizes.items():
            found[output] = Place(name, offset, size)
            offset += size
        places.append(found)
    with _region(server, name, each * connections):
        yield places


@contextmanager
def _region(server: Control, name: str, size: int) -> Iterator[mmap.mmap]:
    size = max(size, _ALIGNED)
    path = regions.FOLDER / name
    prefix = name.removesuffix(_OURS)
    lock = regions.hold(prefix)  # so that what a killed run leaves, the next server removes
    try:
        with _mapped(path, size) as memory:
            server.register(name, f"/{name}", size)
            try:
                yield memory
            finally:
                _forget(server, name)
    finally:
        regions.remove(prefix)
        if lock is not None:
            os.close(lock)


@contextmanager
def _mapped(path: Path, size: int) -> Iterator[mmap.mmap]:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError as error:
        raise MachineError(f"shared memory cannot be made: {path}: {error.strerror}") from None
    try:
        # Not only promised: a write into memory that is not there would end the process.
        os.posix_fallocate(handle, 0, size)
        memory = mmap.mmap(handle, size)
    except OSError as error:
        message = f"no room for {size} bytes of shared memory: {error.strerror}"
        raise MachineError(message, "smaller --batch or --concurrency") from None
    finally:
        os.close(handle)
    with memory:
        yield memory


def _forget(server: Control, name: str) -> None:
    """Requests that Ctrl-C gave up use a region until the server has answered them."""
    for _ in range(_TRIES):
        try:
            server.unregister(name)
        except MachineError:
            time.sleep(_PAUSE)
        else:
            return


def _name() -> str:
    return f"{regions.new_prefix()}{_OURS}"


def _up(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
