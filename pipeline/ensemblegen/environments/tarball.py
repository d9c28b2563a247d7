"""Write a gzip'ed tar whose bytes depend on its content alone, with all cores.

No clock, owner, umask or inode goes in. The stream is one gzip member of blocks of one size, each
compressed on its own with the end of the block before it as dictionary, so the number of threads
changes how long it takes and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from ensemblegen.environments.faults import Fault

_BLOCK = 1 << 20
_WINDOW = 1 << 15  # how far back deflate can refer
_LEVEL = 2  # level 3 takes twice as long for archives 2 % smaller
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no operating system
_THREADS = 16
_PADDING = bytes(tarfile.BLOCKSIZE)

Packed = tuple[bytes, int, int]
"""A block compressed, its CRC-32, and its length before."""


class Tarball:
    """The entries of one archive, in the order in which they are given."""

    def __init__(self, stream: Blocks) -> None:
        self._stream = stream

    def file(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """A regular file of these bytes."""
        self._stream.write(_header(name, size=len(data), executable=executable))
        self._stream.write(data)
        self._pad(len(data))

    def copy(self, name: str, source: Path) -> None:
        """A regular file with the content of `source`; raises Fault if it changes meanwhile."""
        with source.open("rb") as file:
            status = os.fstat(file.fileno())
            executable = bool(status.st_mode & 0o111)
            self._stream.write(_header(name, size=status.st_size, executable=executable))
            left = status.st_size
            while left and (data := file.read(min(left, _BLOCK))):
                self._stream.write(data)
                left -= len(data)
        if left:
            raise Fault("access", f"{source} changed while it was packed")
        self._pad(status.st_size)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._stream.write(_header(name, kind=tarfile.SYMTYPE, target=target, executable=True))

    def folder(self, name: str) -> None:
        """A folder; only empty ones need an entry."""
        self._stream.write(_header(name, kind=tarfile.DIRTYPE, executable=True))

    def end(self) -> None:
        """What ends a tar: two empty blocks."""
        self._stream.write(_PADDING * 2)

    def _pad(self, size: int) -> None:
        if rest := size % tarfile.BLOCKSIZE:
            self._stream.write(_PADDING[rest:])


class Blocks:
    """A gzip stream onto `file`, written by one thread, in order; `close` ends it."""

    def __init__(self, file: BinaryIO, threads: int) -> None:
        try:
            from isal import isal_zlib
        except ImportError:
            hint = "pip install isal"
            raise Fault("tool", "packing needs the Python package isal", hint) from None
        self._zlib = isal_zlib
        self._file = file
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="igzip")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="igzip-write")
        self._ahead = 2 * threads + 2
        self._running: deque[Future[None]] = deque()
        self._buffer = bytearray()
        self._window = b""
        self._crc = self._size = 0
        file.write(_HEADER)

    def write(self, data: bytes) -> None:
        """Take `data`; waits where the compressors are far behind."""
        view = memoryview(data)
        while view:
            room = _BLOCK - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == _BLOCK:
                self._submit(bytes(self._buffer))
                self._buffer.clear()

    def close(self) -> None:
        """Write what is left, and the checksum."""
        if self._buffer:
            self._submit(bytes(self._buffer))
        while self._running:
            self._running.popleft().result()
        self._file.write(self._zlib.compressobj(_LEVEL, wbits=-15).flush())
        self._file.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))
        self.stop()

    def stop(self) -> None:
        """Forget what is not compressed yet."""
        self._writer.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, block: bytes) -> None:
        packed = self._pool.submit(self._compress, block, self._window)
        self._running.append(self._writer.submit(self._finish, packed))
        self._window = block[-_WINDOW:]
        if len(self._running) > self._ahead:
            self._running.popleft().result()

    def _compress(self, block: bytes, window: bytes) -> Packed:
        zlib = self._zlib
        before = {"zdict": window} if window else {}
        compressor = zlib.compressobj(_LEVEL, wbits=-15, **before)
        packed = compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed, zlib.crc32(block), len(block)

    def _finish(self, block: Future[Packed]) -> None:
        packed, crc, size = block.result()
        self._file.write(packed)
        self._crc = self._zlib.crc32_combine(self._crc, crc, size)
        self._size += size


@contextlib.contextmanager
def create(path: Path, threads: int | None = None) -> Iterator[Tarball]:
    """The archive `path`, on the disk with mode 0644 afterwards; not there if this fails.

    Raises Fault "space" for a full disk and "access" for what may not be read or written.
    """
    with refusals(path), path.open("wb") as file:
        try:
            stream = Blocks(file, threads or min(len(os.sched_getaffinity(0)), _THREADS))
            try:
                tarball = Tarball(stream)
                yield tarball
                tarball.end()
                stream.close()
            finally:
                stream.stop()
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """What the disk refuses while `path` is made, as a Fault."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = f"free some space below {path.parent}"
            raise Fault("space", f"the disk is full: {error.filename or path}", hint) from error
        text = f"{error.filename or path}: {error.strerror or error}"
        raise Fault("access", text) from error


def _header(
    name: str,
    *,
    size: int = 0,
    executable: bool = False,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
) -> bytes:
    """GNU's format: libarchive passes its names on as they are, where those of a pax header must
    be converted to the server's locale, which fails for others than ASCII in the C locale.
    """
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = size, kind, target
    entry.mode = 0o755 if executable else 0o644
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
