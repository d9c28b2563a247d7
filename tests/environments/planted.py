"""Small environments, archives and ELF files made by hand, as they should be or just not."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ACTIVATE = b'export CONDA_PREFIX="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"\n'
FILES: Mapping[str, bytes] = {
    "bin/activate": ACTIVATE,
    "bin/python3.11": b"\x7fELF",
    "lib/libpython3.11.so.1.0": b"\x7fELF",
    "lib/python3.11/os.py": b"sep = '/'\n" * 300,
    "lib/python3.11/site-packages/Foo_Bar-2.0.dist-info/METADATA": b"Name: foo.bar\n",
    "conda-meta/python-3.11.7-h955ad1f_0.json": b"{}",
}
LINKS: Mapping[str, str] = {"bin/python3": "python3.11", "bin/python": "python3"}


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    info.mode = 0o755 if "bin/" in name else 0o644
    return info, data


Entry = tuple[tarfile.TarInfo, bytes]


def entries(
    files: Mapping[str, bytes] = FILES, links: Mapping[str, str] = LINKS, top: str = ""
) -> list[Entry]:
    return [
        *(entry(top + name, data) for name, data in files.items()),
        *(entry(top + name, b"", tarfile.SYMTYPE, target) for name, target in links.items()),
    ]


def tar(content: Sequence[Entry], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for info, data in content:
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def folder(at: Path, files: Mapping[str, bytes] = FILES, links: Mapping[str, str] = LINKS) -> Path:
    for name, data in files.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)
    for name, target in links.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).symlink_to(target)
    return at


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def __call__(self, text: str) -> int:
        self.data += text.encode() + b"\0"
        return len(self.data) - len(text.encode()) - 1


def elf(
    needed: Sequence[str] = (),
    needs: Mapping[str, Sequence[str]] | None = None,
    offers: Sequence[str] = (),
) -> bytes:
    """An ELF file of a dynamic section and no code, loaded at an address that is no offset."""
    text = _Strings()
    tags = [(1, text(each)) for each in needed]
    verneed = _verneed(needs or {}, text)
    verdef = _verdef(offers, text)
    start, base = 64 + 2 * 56, 0x400000
    at_needs = start + len(text.data)
    at_offers = at_needs + len(verneed)
    tags += [(5, base + start), (0x6FFFFFFE, base + at_needs), (0x6FFFFFFF, len(needs or {}))]
    tags += [(0x6FFFFFFC, base + at_offers), (0x6FFFFFFD, len(offers) + 1), (0, 0)]
    at_dynamic = at_offers + len(verdef)
    dynamic = b"".join(struct.pack("<qQ", *each) for each in tags)
    end = at_dynamic + len(dynamic)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 3, 62, 1, 0, 64, 0)
    head += struct.pack("<IHHHHHH", 0, 64, 56, 2, 64, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 4, 0, base, base, end, end, 4096)
    head += struct.pack(
        "<IIQQQQQQ", 2, 4, at_dynamic, base + at_dynamic, 0, len(dynamic), len(dynamic), 8
    )
    return head + text.data + verneed + verdef + dynamic


def _verneed(needs: Mapping[str, Sequence[str]], text: _Strings) -> bytes:
    out = b""
    for library, versions in needs.items():
        size = 16 + 16 * len(versions)
        out += struct.pack("<HHIII", 1, len(versions), text(library), 16, size)
        for version in versions:
            out += struct.pack("<IHHII", 0, 0, 2, text(version), 16)
    return out


def _verdef(offers: Sequence[str], text: _Strings) -> bytes:
    out = b""
    for index, name in enumerate(["itself.so", *offers]):
        out += struct.pack("<HHHHIII", 1, int(index == 0), index + 1, 1, 0, 20, 28)
        out += struct.pack("<II", text(name), 0)
    return out
