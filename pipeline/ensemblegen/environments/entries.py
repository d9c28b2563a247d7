"""Read a tar from its beginning to its end, and believe nothing: one entry after the other.

Python's tarfile takes a damaged header in the middle for the end; Triton does not.
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from ensemblegen.environments.faults import Fault
from ensemblegen.environments.tarball import refusals

Kind = Literal["file", "folder", "link", "hard link"]

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
    b"hsqs": "squashfs",
    b"\x04\x22\x4d\x18": "lz4",
}
_KINDS: dict[bytes, Kind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
}
_SPECIAL = {
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}
_REPACK = "make it with `conda-pack --output environment.tar.gz`, or with gzip from its tar"
_AGAIN = "it was not written or copied to its end: make it or fetch it again"


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` is as written; `chunks` is to be called before the next entry, or not at all."""

    name: str
    kind: Kind
    size: int
    executable: bool
    target: str
    chunks: Callable[[], Iterator[bytes]]

    def read(self) -> bytes:
        return b"".join(self.chunks())


def of(path: Path, told: Callable[[int], None]) -> Iterator[Entry]:
    """The entries of a tar or tar.gz; `told` hears how many of its bytes are read.

    Raises Fault "archive" for what is not one or is damaged, "access" for what cannot be read.
    """
    with refusals(path), path.open("rb") as raw:
        first = raw.read(_CHUNK)
        raw.seek(0)
        _check_format(path, first)
        zipped = first.startswith(_GZIP)
        stream = _Forward(_unzipped(raw) if zipped else raw, lambda: told(raw.tell()))
        with _damage(path, stream):
            yield from _entries(path, stream)


def _check_format(path: Path, first: bytes) -> None:
    if not first:
        raise Fault("archive", f"{path.name} is empty", _AGAIN)
    for magic, name in _OTHERS.items():
        if first.startswith(magic):
            text = f"{path.name} is packed with {name}; Triton reads tar.gz and tar only"
            raise Fault("archive", text, _REPACK)
    if not first.startswith(_GZIP) and not _is_header(first[: tarfile.BLOCKSIZE]):
        raise Fault("archive", f"{path.name} is neither a tar.gz nor a tar", _REPACK)


def _is_header(block: bytes) -> bool:
    with contextlib.suppress(tarfile.HeaderError):
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        return True
    return False


def _unzipped(raw: BinaryIO) -> BinaryIO:
    try:
        from isal import igzip
    except ImportError:
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))
    reader: Any = igzip.IGzipFile
    return cast("BinaryIO", reader(fileobj=raw, mode="rb"))


@contextlib.contextmanager
def _damage(path: Path, stream: _Forward) -> Iterator[None]:
    """What the readers raise, as a Fault that says where."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, _bad_isal()) as error:
        after = f", in or after {stream.entry}" if stream.entry else ""
        short = isinstance(error, EOFError) or "unexpected end" in str(error)
        what = "ends too early" if short else f"is damaged ({error})"
        raise Fault("archive", f"{path.name} {what}{after}", _AGAIN) from error


def _bad_isal() -> type[Exception]:
    try:
        from isal.igzip_lib import IsalError
    except ImportError:
        return EOFError
    return cast("type[Exception]", IsalError)


def _entries(path: Path, stream: _Forward) -> Iterator[Entry]:
    with tarfile.TarFile(
        fileobj=cast("BinaryIO", stream), encoding="utf-8", errors="surrogateescape"
    ) as tar:
        while info := tar.next():
            stream.entry = info.name
            yield _entry(path, tar, info, stream)
    if len(stream.header) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("unexpected end of data")
    if any(stream.header):
        raise tarfile.ReadError("an entry's header is not readable")
    while rest := stream.read(_CHUNK):  # the checksum is behind the padding
        if any(rest):
            raise tarfile.ReadError("something follows after its end")


def _entry(path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo, stream: _Forward) -> Entry:
    kind = _KINDS.get(info.type)
    if kind is None:
        what = _SPECIAL.get(info.type, f"of type {info.type!r}")
        raise Fault("archive", f"{path.name}: {info.name} is {what}", "leave it out")
    if {"path", "linkpath"} & set(info.pax_headers) and not (info.name + info.linkname).isascii():
        text = (
            f"{path.name}: {info.name} is not ASCII, and the server cannot convert its pax header"
        )
        raise Fault("archive", text, "let ensemblegen build it, or use `tar --format=gnu`")

    def chunks() -> Iterator[bytes]:
        with _damage(path, stream):
            file = tar.extractfile(info) if kind == "file" else None
            while file and (data := file.read(_CHUNK)):
                yield data

    executable = bool(info.mode & 0o111)
    return Entry(info.name, kind, info.size, executable, info.linkname, chunks)


class _Forward:
    """A stream that is only ever read forward, as the file that tarfile wants.

    `header`: the last block of the size of a header that was read.
    """

    def __init__(self, stream: BinaryIO, told: Callable[[], None]) -> None:
        self._stream = stream
        self._told = told
        self._place = 0
        self.header = b"\0"
        self.entry = ""

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        while place > self._place and self.read(min(place - self._place, _CHUNK)):
            pass
        if place != self._place:
            raise tarfile.ReadError("unexpected end of data")
        return place

    def read(self, size: int) -> bytes:
        """All of `size` bytes, but at the end of the stream."""
        data = self._stream.read(size)
        self._place += len(data)
        if size == tarfile.BLOCKSIZE:
            self.header = data
        elif size > tarfile.BLOCKSIZE:
            self._told()
        return data
