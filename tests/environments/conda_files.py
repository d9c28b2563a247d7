"""Conda packages and channels as files, by the standard library alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
_FORMAT = 4  # part of every key: what was packed by older code is not used again


@dataclass(frozen=True, slots=True)
class Content:
    """A file of a package: its bytes, or where its link leads; `text` has the placeholder."""

    data: bytes = b""
    link: str | None = None
    executable: bool = False

    @property
    def text(self) -> bool:
        return PLACEHOLDER.encode() in self.data and b"\0" not in self.data


Files = dict[str, Content]
Index = dict[str, Any]


def index_of(name: str, version: str, build_string: str, depends: Sequence[str]) -> Index:
    number = int(build_string.rpartition("_")[2] if build_string.startswith("py") else 0)
    return {
        "arch": "x86_64", "platform": "linux", "subdir": "linux-64", "name": name,
        "version": version, "build": build_string, "build_number": number,
        "depends": list(depends), "license": "unknown",
    }  # fmt: skip


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stem(index: Index) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}"


def cached(inputs: object, index: Index, files: Callable[[], Files]) -> Path:
    """The folder of the package made of `inputs`; two that make it at once make the same."""
    text = json.dumps([_FORMAT, inputs], sort_keys=True)
    store = cache() / f"{stem(index)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not store.is_dir():
        with tempfile.TemporaryDirectory(dir=cache()) as work:
            write(Path(work), index, files())
            Path(work, "index.json").write_text(json.dumps(index))
            publish(Path(work), store)
    return store


def publish(work: Path, store: Path) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    made = work / "made"
    made.mkdir()
    for path in work.iterdir():
        if path != made:
            path.rename(made / path.name)
    try:
        made.rename(store)
    except OSError:  # another process was first
        if not store.is_dir():
            raise


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home, "ensemblegen-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(folder: Path, index: Index, files: Files) -> None:
    """A .conda file: two tars in a zip that does not compress."""
    paths = [_path_entry(name, files[name]) for name in sorted(files)]
    info = {"index.json": index, "paths.json": {"paths": paths, "paths_version": 1}}
    if index.get("noarch"):
        noarch = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        info["link.json"] = noarch
    described = {
        f"info/{name}": Content(json.dumps(value, indent=1, sort_keys=True).encode())
        for name, value in info.items()
    }
    with zipfile.ZipFile(folder / f"{stem(index)}.conda", "w") as archive:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem(index)}.tar.zst", _zstandard(_tar(files))),
            (f"info-{stem(index)}.tar.zst", _zstandard(_tar(described))),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)  # of 1980


def _path_entry(name: str, content: Content) -> dict[str, Any]:
    entry = {
        "_path": name,
        "path_type": "hardlink" if content.link is None else "softlink",
        "sha256": hashlib.sha256(content.data).hexdigest(),
        "size_in_bytes": len(content.data),
    }
    if content.text:
        entry |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
    return entry


def _tar(files: Files) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(files):
            content = files[name]
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content.executable else 0o644
            entry.size = len(content.data)
            if content.link is not None:
                entry.type, entry.linkname = tarfile.SYMTYPE, content.link
            archive.addfile(entry, io.BytesIO(content.data))
    return stream.getvalue()


def _zstandard(data: bytes) -> bytes:
    """A frame of stored blocks: needs no library, and no version of one changes a byte."""
    size = 128 << 10
    out = [b"\x28\xb5\x2f\xfd", b"\x00\x58"]  # no length, no checksum; a window of 2 MB
    for start in range(0, len(data), size):
        block = data[start : start + size]
        last = start + size >= len(data)
        out += [(len(block) << 3 | last).to_bytes(3, "little"), block]
    return b"".join(out)


def place(folder: Path, index: Index, package: Path) -> None:
    """A copy, as tests damage packages, under its final name at once."""
    name = f"{stem(index)}.conda"
    target = folder / index["subdir"] / name
    target.parent.mkdir(parents=True, exist_ok=True)
    data = (package / name).read_bytes()
    record = index | {
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    _replace(target, data)
    _replace(target.with_suffix(".json"), json.dumps(record).encode())


def write_repodata(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = {
        f"{path.stem}.conda": json.loads(path.read_text())
        for path in sorted(folder.glob("*.json"))
        if path.name != "repodata.json"
    }
    repodata = {
        "info": {"subdir": folder.name},
        "packages": {},
        "packages.conda": records,
        "repodata_version": 1,
    }
    _replace(folder / "repodata.json", json.dumps(repodata, indent=1, sort_keys=True).encode())


def _replace(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def run(command: Sequence[str]) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"{command[0]}: {answer.stderr[-2000:]}")
