"""What of an installed file depends on the machine that installed it, put into one form.

The build folder becomes a constant, which `conda-unpack` knows; scripts find their interpreter on
PATH; installers' notes about their caches go; lists of hashes follow.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import posixpath
import re
from collections.abc import Mapping, Set
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

# In two pieces: were this file ever in a conda package, conda would replace the whole.
PLACEHOLDER = "/opt/anaconda1anaconda2" + "anaconda3"

# What pip, uv and conda write where the path is too long for a shebang line, and the short form.
_LONG = re.compile(
    rb"\A#!/bin/sh\n'''exec' [\"']?(?P<program>/[^\"'\n]*?)[\"']? \"\$0\" \"\$@\""
    rb"(?: #'''\n|\n' '''\n)"
)
_SHORT = re.compile(rb"\A#![ ]*(?P<program>/[^\n]*?/bin/[^ \n/]+)(?P<options>[^\n]*)\n")
_PYTHON = re.compile(r"python[0-9.]*")
_TOKEN = re.compile(r"/t/[^/]+(?=/)")

Digest = tuple[str, int]
"""SHA-256 in hexadecimal, and size in bytes."""


def is_dropped(path: str) -> bool:
    """Files that a server has no use for, or that differ from build to build."""
    name = posixpath.basename(path)
    return (
        name.endswith((".pyc", ".pyo", ".a"))
        or name == "uv_cache.json"  # when and where uv met a local wheel
        or path.endswith("site-packages/.lock")  # uv's, while it installs
        or "__pycache__" in path.split("/")
        or path in {"CACHEDIR.TAG", ".nonadmin"}
    )


def text(path: str, data: bytes, prefixes: tuple[bytes, ...], *, foreign: bool = False) -> bytes:
    """`data` without the build folder, in any of its spellings, if it is text.

    `foreign`: every Python that a script names is one of this machine.
    """
    if PurePosixPath(path).parent.name == "bin":
        data = _script(data, prefixes, foreign=foreign)
    if any(each in data for each in prefixes) and _is_text(data):
        for each in prefixes:
            data = data.replace(each, PLACEHOLDER.encode())
    return data


def _script(data: bytes, prefixes: tuple[bytes, ...], *, foreign: bool) -> bytes:
    found = _LONG.match(data) or _SHORT.match(data)
    if not found:
        return data
    program = found["program"]
    name = program.rpartition(b"/")[2]
    ours = any(program == each + b"/bin/" + name for each in prefixes)
    if foreign and _PYTHON.fullmatch(name.decode(errors="replace")):
        name = b"python3"
    elif not ours:
        return data
    options = found.groupdict().get("options") or b""
    return b"#!/usr/bin/env " + name + options + b"\n" + data[found.end() :]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def digest(data: bytes) -> Digest:
    return hashlib.sha256(data).hexdigest(), len(data)


def names_local_file(direct_url: bytes) -> bool:
    """Whether a `direct_url.json` names a file of this machine."""
    try:
        found = json.loads(direct_url)
    except ValueError:
        return False
    return isinstance(found, dict) and str(found.get("url", "")).startswith("file:")


def record(path: str, data: bytes, dropped: Set[str], changed: Mapping[str, Digest]) -> bytes:
    """A wheel's RECORD for what is really in the archive."""
    base = posixpath.dirname(posixpath.dirname(path))
    rows = list(csv.reader(io.StringIO(data.decode(errors="surrogateescape"), newline="")))
    kept = []
    for row in rows:
        named = posixpath.normpath(posixpath.join(base, row[0])) if row else ""
        if not row or named in dropped or is_dropped(named):
            continue
        kept.append([row[0], *_hashed(changed[named])] if named in changed else row)
    if kept == rows:
        return data
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(kept)
    return out.getvalue().encode(errors="surrogateescape")


def _hashed(of: Digest) -> tuple[str, str]:
    encoded = base64.urlsafe_b64encode(bytes.fromhex(of[0])).rstrip(b"=").decode()
    return f"sha256={encoded}", str(of[1])


def conda_meta(data: bytes, dropped: Set[str], changed: Mapping[str, Digest]) -> bytes:
    """A package's `conda-meta/*.json`, without paths, secrets and times of this machine."""
    meta: dict[str, Any] = json.loads(data)
    for key in ("requested_spec", "requested_specs", "indexed_timestamp", "auth"):
        meta.pop(key, None)
    for key in ("extracted_package_dir", "package_tarball_full_path"):
        if key in meta:
            meta[key] = ""
    for key in ("url", "channel"):
        meta[key] = _public(str(meta.get(key) or ""))
    if meta.get("link"):
        meta["link"] = {"source": "", "type": 1}  # how it was linked depends on the file system
    meta["files"] = [
        each for each in meta.get("files", ()) if each not in dropped and not is_dropped(each)
    ]
    paths = meta.get("paths_data", {}).get("paths", [])
    if paths:
        meta["paths_data"]["paths"] = [_installed(each, changed) for each in paths if _kept(each)]
    return json.dumps(meta, indent=1, sort_keys=True).encode()


def _kept(path: Mapping[str, Any]) -> bool:
    return not is_dropped(str(path.get("_path", "")))


def _installed(path: dict[str, Any], changed: Mapping[str, Digest]) -> dict[str, Any]:
    """What an entry says of its file, for the file in the archive."""
    if path.get("_path") in changed:
        hashed, size = changed[path["_path"]]
        path = {**path, "sha256": hashed, "size_in_bytes": size}
    elif "sha256_in_prefix" in path or path.get("prefix_placeholder"):
        path = {key: value for key, value in path.items() if key != "size_in_bytes"}
    return {key: value for key, value in path.items() if key != "sha256_in_prefix"}


def _public(url: str) -> str:
    """A channel's address as all may see it; local ones are nobody else's."""
    parts = urlsplit(url)
    if parts.scheme == "file" or url.startswith("/"):
        return ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, _TOKEN.sub("", parts.path), "", ""))
