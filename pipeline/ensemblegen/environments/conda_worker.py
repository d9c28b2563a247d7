"""Runs rattler for conda.py, in its own process: it may crash, and it must die with its parent.

before  one JSON request on stdin
after   lines of JSON on stdout: `event`s, and last one `result` or `error`

Only the standard library and rattler are imported here. It leaves by os._exit, because rattler's
threads now and then crash an interpreter that takes itself down in the ordinary way.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rattler import GenericVirtualPackage, InstallerReporter, RepoDataRecord

_PR_SET_PDEATHSIG = 1
_OFTEN = 0.05
"""Seconds between two events of one phase."""
_PATIENCE = {"solve": 120, "install": 3600}
"""Seconds for one request to a server; the largest package has more than 1 GB."""
_NOWHERE = "http://127.0.0.1:9"


class Line:
    """What the parent hears; rattler's own threads speak here, too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told: dict[str, float] = {}

    def send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]

    def event(self, phase: str, done: int, total: int | None, unit: str = "packages") -> None:
        """Not more often than anybody can see, but the end of a phase always."""
        now = time.monotonic()
        if done == total or now - self._told.get(phase, -1.0) >= _OFTEN:
            self._told[phase] = now
            self.send({"event": [phase, done, total, unit]})


def main() -> None:
    """Answer the one request."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    line = Line(os.dup(1))
    os.dup2(2, 1)  # what a library prints is no part of the answer
    request = json.loads(sys.stdin.buffer.read())
    if os.getppid() != request["parent"]:
        os._exit(1)  # it died before prctl could notice
    try:
        line.send({"result": asyncio.run(_answer(request, line))})
    except BaseException as error:  # noqa: BLE001 - pyo3's panic is no Exception
        line.send({"error": [type(error).__name__, str(error)]})
    os._exit(0)


async def _answer(request: Mapping[str, Any], line: Line) -> Any:
    if request["offline"]:
        _disconnect()
    if request["do"] == "solve":
        return await _solve(request, line)
    return await _install(request, line)


def _disconnect() -> None:
    """The installer has no word for offline; a proxy that is not there has its effect."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = _NOWHERE
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)


async def _solve(request: Mapping[str, Any], line: Line) -> list[dict[str, Any]]:
    from rattler import Client, Gateway, MatchSpec, SourceConfig, solve

    line.event("solve", 0, None)
    offline = request["offline"]
    gateway = Gateway(
        cache_dir=request["cache"],
        default_config=SourceConfig(
            cache_action="force-cache-only" if offline else "cache-or-fetch"
        ),
        client=Client.default_client(timeout=_PATIENCE["solve"]),
    )
    records = await solve(
        sources=request["channels"],
        # Texts would be read more strictly: not `python=3.10.*`, which conda writes itself.
        specs=[MatchSpec(each) for each in request["specs"]],
        gateway=gateway,
        platforms=[request["subdir"], "noarch"],
        virtual_packages=[_virtual(*each) for each in sorted(request["virtual"].items())],
        constraints=[MatchSpec(each) for each in request["constraints"]],
    )
    line.event("solve", len(records), len(records))
    return [_plain(each) for each in records]


def _virtual(name: str, version: str) -> GenericVirtualPackage:
    """An architecture goes into the build string, everything else into the version."""
    from rattler import BuildString, GenericVirtualPackage, PackageName, Version

    build = "0"
    if name == "__archspec":
        version, build = "1", version
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def _plain(record: RepoDataRecord) -> dict[str, Any]:
    """The fields of conda.CondaPackage."""
    noarch = record.noarch
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "build_number": record.build_number,
        "subdir": str(record.subdir),
        "file_name": record.file_name,
        "url": record.url,
        "channel": record.channel,
        "sha256": record.sha256.hex() if record.sha256 else None,
        "md5": record.md5.hex() if record.md5 else None,
        "size": record.size,
        "noarch": "python" if noarch.python else "generic" if noarch.generic else None,
        "depends": list(record.depends),
        "constrains": list(record.constrains),
        "python_site_packages_path": record.python_site_packages_path,
    }


async def _install(request: Mapping[str, Any], line: Line) -> None:
    from rattler import Client, PackageCache, ValidationMode, install

    packages = request["packages"]
    cache = PackageCache.new_layered(
        [request["cache"]],
        validation_mode=ValidationMode.full(),  # it trusts what was modified otherwise
    )
    await install(
        [_record(each) for each in packages],
        target_prefix=request["prefix"],
        package_cache=cache,
        reporter=_reporter(packages, line),
        client=Client.default_client(
            max_retries=0 if request["offline"] else 3, timeout=_PATIENCE["install"]
        ),
    )


def _record(package: Mapping[str, Any]) -> RepoDataRecord:
    from rattler import BuildString, PackageRecord, RepoDataRecord

    sha256, md5 = package["sha256"], package["md5"]
    record = PackageRecord(
        package["name"],
        package["version"],
        BuildString(package["build"]),
        package["build_number"],
        package["subdir"],
        noarch=package["noarch"],
        depends=package["depends"],
        constrains=package["constrains"],
        sha256=bytes.fromhex(sha256) if sha256 else None,
        md5=bytes.fromhex(md5) if md5 else None,
        size=package["size"],
        python_site_packages_path=package["python_site_packages_path"],
    )
    return RepoDataRecord(record, package["file_name"], package["url"], package["channel"])


def _reporter(packages: Sequence[Mapping[str, Any]], line: Line) -> InstallerReporter:
    """Bytes while packages come, packages while they are linked."""
    from rattler import InstallerReporter

    sizes = {each["name"]: each["size"] or 0 for each in packages}
    total = sum(sizes.values())

    class Reporter(InstallerReporter):
        def __init__(self) -> None:
            self.whole: list[int] = []
            self.there: dict[int, int] = {}
            self.linked = 0

        def _fetched(self, entry: int, size: int) -> None:
            self.there[entry] = size
            line.event("fetch", sum(self.there.values()), total, "bytes")

        def on_populate_cache_start(self, operation: int, package_name: str) -> int:  # noqa: ARG002
            self.whole.append(sizes.get(package_name, 0))
            return len(self.whole) - 1

        def on_download_start(self, cache_entry: int) -> int:
            return cache_entry

        def on_download_progress(
            self,
            download_idx: int,
            progress: int,
            total: int | None,  # noqa: ARG002
        ) -> None:
            self._fetched(download_idx, min(progress, self.whole[download_idx]))

        def on_populate_cache_complete(self, cache_entry: int) -> None:
            self._fetched(cache_entry, self.whole[cache_entry])

        def on_link_complete(self, index: int) -> None:  # noqa: ARG002
            self.linked += 1
            line.event("link", self.linked, len(packages))

    return Reporter()  # type: ignore[abstract] # methods with empty bodies are defaults


if __name__ == "__main__":
    main()
