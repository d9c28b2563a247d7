"""conda packages through rattler: which ones fit, and putting them into a prefix.

Needs no conda. rattler itself runs in a worker process (see conda_worker.py): it can crash, and
that must not take the build with it; and it can be killed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ensemblegen.environments.faults import Fault, FaultKind
from ensemblegen.environments.progress import Event, Report

_WORKER = Path(__file__).with_name("conda_worker.py")
_TAIL = 2000
"""Characters of the worker's stderr that a fault shows."""
_TOOL = "pip install 'ensemblegen[environments]'"
_OFFLINE = (
    "with --offline, what an earlier build fetched is used; "
    "a file:// channel, or a mirror of your own in `channels`, works, too"
)
_CACHED = "run it once without --offline: that keeps what is missing"

_SIGNS: tuple[tuple[str, FaultKind], ...] = (
    ("no space left on device", "space"),
    ("os error 28", "space"),
    ("disk quota exceeded", "space"),
    ("hash mismatch", "hash"),
    ("permission denied", "access"),
    ("read-only file system", "access"),
    ("could not find subdir", "channel"),
    ("status client error", "channel"),
    ("no repodata found", "channel"),
    ("no usable repodata cache", "network"),
    ("there is no cache available", "network"),
    ("cache is not up to date", "network"),
    ("error sending request", "network"),
    ("dns error", "network"),
    ("timed out", "network"),
    ("connection", "network"),
    ("server error", "network"),
    ("error decoding response body", "network"),
    ("no such file or directory", "channel"),
)
"""Parts of what rattler says, lower case; the first that fits decides."""
_CLASSES: Mapping[str, FaultKind] = {
    "ModuleNotFoundError": "tool",
    "ImportError": "tool",
    "SolverError": "unsolvable",
    "InvalidMatchSpecError": "unsolvable",
    "InvalidChannelError": "channel",
    "InvalidUrlError": "channel",
    "PanicException": "crash",
}


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """One file of a channel, and what its repodata says of it. Hashes are hexadecimal."""

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    file_name: str
    url: str
    channel: str
    sha256: str | None
    md5: str | None
    size: int | None
    noarch: str | None
    """`python`, `generic`, or None for packages of one platform."""
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    python_site_packages_path: str | None


_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and the machine that it must run on."""

    channels: tuple[str, ...]
    """Names, http(s):// or file:// URLs, absolute paths; the first that has a package wins."""
    specs: tuple[str, ...]
    subdir: str
    virtual: Mapping[str, str]
    """conda's virtual packages: `__glibc` to its version; `__archspec` to the architecture."""
    offline: bool
    constraints: tuple[str, ...] = ()
    """Specs that hold for packages which something else brings in."""


def validate(spec: str) -> str | None:
    """Why `spec` is no MatchSpec. None if it is one, and where rattler is not installed."""
    try:
        from rattler import MatchSpec
        from rattler.exceptions import InvalidMatchSpecError, InvalidPackageNameError
    except ImportError:
        return None
    try:
        MatchSpec(spec)
    except (InvalidMatchSpecError, InvalidPackageNameError) as error:
        return str(error).partition("\n")[0] or "it cannot be read"
    return None


def solve(request: Request, cache: Path, report: Report) -> tuple[CondaPackage, ...]:
    """The packages of the environment, sorted by name. Raises Fault."""
    answer = _ask(
        {
            "do": "solve",
            "cache": str(cache.absolute() / "repodata"),
            "channels": [each for word in request.channels for each in channels(word)],
            "specs": list(request.specs),
            "constraints": list(request.constraints),
            "subdir": request.subdir,
            "virtual": dict(request.virtual),
            "offline": request.offline,
        },
        report,
    )
    return tuple(sorted((_package(each) for each in answer), key=lambda each: each.name))


def install(
    packages: Sequence[CondaPackage], prefix: Path, cache: Path, report: Report, *, offline: bool
) -> None:
    """Fetch what the cache lacks, and link all into `prefix`. A fault leaves it half done."""
    _check_files(packages)
    _ask(
        {
            "do": "install",
            "cache": str(cache.absolute() / "pkgs"),
            "prefix": str(prefix.absolute()),
            "packages": [asdict(each) for each in packages],
            "offline": offline,
        },
        report,
    )


def channels(word: str) -> tuple[str, ...]:
    """What a word of `channels` stands for; two of conda's own words are not names of channels.

    https://docs.conda.io/projects/conda/en/latest/user-guide/configuration/settings.html
    """
    if word == "defaults":
        return _DEFAULTS
    if word == "nodefaults":
        return ()
    return (Path(word).as_uri(),) if word.startswith("/") else (word,)


def _package(data: Mapping[str, Any]) -> CondaPackage:
    lists = {name: tuple(data[name]) for name in ("depends", "constrains")}
    return CondaPackage(**{**data, **lists})


def _check_files(packages: Sequence[CondaPackage]) -> None:
    """Of what rattler finds in a folder; of what it downloads, it compares hashes itself."""
    with ThreadPoolExecutor() as pool:
        wrong = [each for each in pool.map(_difference, packages) if each is not None]
    if wrong:
        hint = "if the channel was rebuilt on purpose, run `ensemblegen env lock --renew`"
        raise Fault("hash", "\n".join(wrong), hint)


def _difference(package: CondaPackage) -> str | None:
    address = urlsplit(package.url)
    path = Path(unquote(address.path))
    expected = package.sha256 or package.md5
    if address.scheme != "file" or expected is None or not path.is_file():
        return None  # one that is gone may be in the cache still
    # md5 only where a channel has nothing better
    digest = hashlib.sha256() if package.sha256 else hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise Fault("access", f"{path}: {error.strerror}") from None
    found = digest.hexdigest()
    kind = "sha256" if package.sha256 else "md5"
    return None if found == expected else f"{path} has {kind} {found}, expected {expected}"


def _ask(request: Mapping[str, Any], report: Report) -> Any:
    """The worker's result. It never outlives this call, nor this process."""
    with tempfile.TemporaryFile() as errors, _worker(errors) as worker:
        message = {**request, "parent": os.getpid()}
        answer = _converse(worker, json.dumps(message).encode(), report)
        if answer is None:
            code = worker.wait()
            raise Fault("crash", _last_words(code, errors))
    if "error" in answer:
        raise _fault(*answer["error"], offline=request["offline"])
    return answer["result"]


@contextlib.contextmanager
def _worker(errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """In a session of its own, so that Ctrl-C reaches us alone and the end is in our hands."""
    worker = subprocess.Popen(
        [sys.executable, "-I", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd="/",  # rattler asks for its folder at import; ours may be gone
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _converse(
    worker: subprocess.Popen[bytes], message: bytes, report: Report
) -> dict[str, Any] | None:
    """The last line, which holds a result or an error; None if the worker ended without."""
    if worker.stdin is None or worker.stdout is None:
        return None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(message)
        worker.stdin.close()
    for line in worker.stdout:
        if not line.endswith(b"\n"):
            return None
        said: dict[str, Any] = json.loads(line)
        if "event" not in said:
            return said
        report(Event(*said["event"]))
    return None


def _last_words(code: int, errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
    tail = errors.read().decode(errors="replace").strip()
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    text = f"the process that runs rattler ended without an answer ({how})"
    return f"{text}:\n{tail}" if tail else text


def _fault(name: str, text: str, *, offline: bool) -> Fault:
    """What rattler raised, in its own words: its trees of conflicts are made for people."""
    kind, text = _CLASSES.get(name) or _kind(text), text.rstrip()
    if kind == "tool":
        return Fault(kind, f"py-rattler cannot be used: {text}", f"{_TOOL} brings it")
    if kind == "crash":
        return Fault(kind, f"{name}: {text}")
    return Fault(kind, text, _hint(kind, offline=offline))


def _kind(text: str) -> FaultKind:
    lower = text.lower()
    return next((kind for sign, kind in _SIGNS if sign in lower), "crash")


def _hint(kind: FaultKind, *, offline: bool) -> str | None:
    if kind == "network":
        return _CACHED if offline else _OFFLINE
    hints: dict[FaultKind, str] = {
        "channel": "the channel, its part for the platform, or the package is not there",
        "hash": "the file is not the one that was locked: a mirror or proxy may have changed it",
        "space": "the cache and the build need about three times the environment's size",
    }
    return hints.get(kind)
