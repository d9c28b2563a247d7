"""Python packages through uv: hashed requirements for the target, and putting them into a place.

Only wheels: what has to be built would be built for this machine, not for the server's.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ensemblegen.environments import secrets
from ensemblegen.environments.faults import Fault, FaultKind
from ensemblegen.environments.launch import tied
from ensemblegen.environments.progress import Event, Report
from ensemblegen.environments.scratch import scratch

_INDEXES = ("-i", "--index-url")
_VALUED = (*_INDEXES, "--extra-index-url", "-f", "--find-links")
_PRE = "--pre"
_REFUSED = {
    "-e": "editable packages cannot be packed; name a wheel instead: `name @ file:///...whl`",
    "-r": "lines of other files are not read; write them here",
    "-c": "constraints of other files are not read; write the versions here",
}
_LONG = {"--editable": "-e", "--requirement": "-r", "--constraint": "-c"}
_WHEEL = "put it in an index, or name it with its URL: `name @ file:///...whl`"
_LOGIN = "it would be committed with a password or token; uv reads ~/.netrc"
_MANYLINUX = (17, 28, *range(31, 41))
"""Of glibc 2.x: those that uv knows."""
_KEPT = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
    *("UV_KEYRING", "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP"),
    *("UV_REQUEST_TIMEOUT", "UV_CONCURRENT", "UV_EXCLUDE_NEWER", "UV_OFFLINE"),
)
"""How variables begin that say where packages are; others would change what is built."""
_OUR_FILE = re.compile(r"\S*/scratch/[^/\s]+/requirements\.(?:in|txt)")
_SIGNS: tuple[tuple[str, FaultKind], ...] = (
    ("no space left on device", "space"),
    ("disk quota exceeded", "space"),
    ("hash mismatch", "hash"),
    ("permission denied", "access"),
    ("read-only file system", "access"),
    ("network was disabled", "network"),
    ("network connectivity is disabled", "network"),
    ("error sending request", "network"),
    ("dns error", "network"),
    ("timed out", "network"),
    ("operation timeout", "network"),
    ("connection refused", "network"),
    ("connection reset", "network"),
    ("server error", "network"),
    ("--require-hashes", "hash"),
    ("no solution found", "unsolvable"),
    ("no usable wheels", "unsolvable"),
    ("wheel filename", "unsolvable"),
    ("has no compatible", "unsolvable"),
    ("building source distributions is disabled", "unsolvable"),
    ("not found", "unsolvable"),
    ("failed to parse", "unsolvable"),
    ("does not match", "unsolvable"),
    ("not compatible", "unsolvable"),
    ("incompatible", "unsolvable"),
    ("failed to read", "channel"),
    ("invalid url", "channel"),
    ("status client error", "channel"),
)
"""Parts of what uv says, lower case; the first that fits decides."""


@dataclass(frozen=True, slots=True)
class PipPackage:
    """One package of a lock. Hashes are of all its files where an index tells them, else of one."""

    name: str
    """Normalised: lower case, with `-`."""
    requirement: str
    """`numpy==1.26.4`, or `name @ url`."""
    hashes: tuple[str, ...]
    """`sha256:...`, sorted."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and the machine that it must run on."""

    lines: tuple[str, ...]
    """Of a `pip:` section, options among them."""
    python: str
    glibc: str
    constraints: tuple[str, ...]
    offline: bool


def validate(line: str) -> str | None:
    """Why a line of a `pip:` section is not usable; None if it is. Opens no file."""
    text = line.strip()
    if not text:
        return "it is empty"
    return _wrong_option(text) if text.startswith("-") else _wrong_requirement(text)


def options(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines that say where to look, not what for."""
    return tuple(each.strip() for each in lines if each.strip().startswith("-"))


def lock(request: Request, cache: Path, report: Report) -> tuple[PipPackage, ...]:
    """The packages that fit, with what they need, sorted by name. Raises Fault."""
    asked = options(request.lines)
    if len(asked) == len(request.lines):
        return ()
    report(Event("pip"))
    with scratch(cache) as folder:
        wanted, limits = folder / "requirements.in", folder / "constraints.txt"
        _write(wanted, (*_in_file(asked), *(e for e in request.lines if e.strip() not in asked)))
        _write(limits, request.constraints)
        text = _uv(
            [
                *("pip", "compile", "--generate-hashes", "--no-header", "--no-annotate"),
                *("--only-binary", ":all:", "--constraints", str(limits)),
                *_machine(request.python, request.glibc),
                *(("--prerelease", "allow") if _PRE in asked else ()),
                str(wanted),
            ],
            _Surroundings(cache, folder, asked, request.offline),
        )
    found = sorted(_packages(text), key=lambda each: each.name)
    report(Event("pip", len(found), len(found)))
    return tuple(found)


def install(  # noqa: PLR0913 - two kinds of place
    packages: Sequence[PipPackage],
    lines: Sequence[str],
    cache: Path,
    report: Report,
    *,
    offline: bool,
    python: Path | None = None,
    target: tuple[Path, str, str] | None = None,
) -> None:
    """Just these files, into the environment of the interpreter `python`, or into a folder.

    `target` is the folder, the Python and the glibc that will use it. Of `lines`, only options
    count. Raises Fault, and leaves what it has done.
    """
    if not packages:
        return
    report(Event("pip", 0, len(packages)))
    asked = options(lines)
    with scratch(cache) as folder:
        wanted = folder / "requirements.txt"
        hashed = (" ".join([e.requirement, *_hash_options(e)]) for e in packages)
        _write(wanted, (*_in_file(asked), *hashed))
        _uv(
            [
                *("pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *("--no-compile-bytecode", "--break-system-packages", "--link-mode", "hardlink"),
                *_place(python, target),
                *("--requirements", str(wanted)),
            ],
            _Surroundings(cache, folder, asked, offline),
        )
    if target is not None:
        (target[0] / ".lock").unlink(missing_ok=True)  # uv's own, and no part of the environment
    report(Event("pip", len(packages), len(packages)))


def _wrong_option(text: str) -> str | None:
    name, _, value = text.partition("=") if text.startswith("--") else (text[:2], "", text[2:])
    if " " in name:
        name, _, value = text.partition(" ")
    name, value = _LONG.get(name, name), value.strip()
    if name in _REFUSED:
        return _REFUSED[name]
    if text == _PRE:
        return None
    if name not in _VALUED:
        return f"of pip's options, only {', '.join((*_VALUED, _PRE))} are known here"
    return _wrong_place(name, value)


def _wrong_place(name: str, value: str) -> str | None:
    """Of an index, or of a folder of wheels."""
    if not value or " " in value:
        return f"{name} takes one value"
    if not (urlsplit(value).scheme or value.startswith("/")):
        return f"{name} needs a URL or an absolute path"
    if secrets.held(value, variables=True):
        return f"{_LOGIN}, or write ${{USER}}:${{TOKEN}}@ for variables of the shell"
    return None


def _wrong_requirement(text: str) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    if text.startswith((".", "/", "~", "file:")) or "/" in text.partition("@")[0].split(":")[0]:
        kind = "a wheel given by its path" if text.endswith(".whl") else "a local folder or file"
        return f"{kind} is not found on other machines; {_WHEEL}"
    if re.match(r"^(git|hg|svn|bzr)\+|^https?://", text):
        return "a URL needs its package's name in front: `name @ https://...whl`"
    if text.endswith(".whl") and "@" not in text:
        return f"a wheel given by its path is not found on other machines; {_WHEEL}"
    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        return str(error).partition("\n")[0]
    return _wrong_url(wanted.name, wanted.url) if wanted.url else None


def _wrong_url(package: str, url: str) -> str | None:
    """Variables do not help here: uv replaces them in the URL that goes into the lock."""
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    path = urlsplit(url).path
    if not path.endswith(".whl"):
        return "only wheels are installed, and this would have to be built"
    if secrets.held(url) or "${" in url:
        return _LOGIN
    file = unquote(path.rpartition("/")[2])
    try:
        name = parse_wheel_filename(file)[0]
    except InvalidWheelFilename:
        return f"'{file}' is no name of a wheel, which is NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
    return None if name == canonicalize_name(package) else f"it is a wheel of '{name}'"


def _machine(python: str, glibc: str) -> tuple[str, ...]:
    major, _, minor = glibc.partition(".")
    known = [each for each in _MANYLINUX if each <= int(minor or 0)]
    arch = "aarch64" if platform.machine() == "aarch64" else "x86_64"
    tag = f"{arch}-manylinux_{major}_{max(known, default=_MANYLINUX[0])}"
    return ("--python", sys.executable, "--python-version", python, "--python-platform", tag)


def _place(python: Path | None, target: tuple[Path, str, str] | None) -> tuple[str, ...]:
    if (python is None) == (target is None):
        raise ValueError("either an interpreter or a target folder")
    if target is not None:
        return ("--target", str(target[0].absolute()), *_machine(target[1], target[2]))
    return ("--python", str(python and python.absolute()))


def _in_file(asked: Sequence[str]) -> tuple[str, ...]:
    """Without --pre, which uv knows on the command line only."""
    return tuple(each for each in asked if each != _PRE)


def _hash_options(package: PipPackage) -> Iterator[str]:
    if not package.hashes:
        raise Fault("hash", f"{package.requirement} has no hash in the lock")
    return (f"--hash={each}" for each in package.hashes)


def _packages(text: str) -> Iterator[PipPackage]:
    """What uv writes: a requirement a line, with its hashes on continued lines."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = (each.strip() for each in line.split(" --hash="))
        if not requirement or requirement.startswith(("#", "-")):
            continue
        name = canonicalize_name(Requirement(requirement).name)
        yield PipPackage(name, requirement, tuple(sorted(hashes)))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Of one run of uv."""

    cache: Path
    scratch: Path
    asked: tuple[str, ...]
    offline: bool

    def variables(self) -> dict[str, str]:
        """Ours, without what would change the result; the file's own index wins over the user's."""
        ours = os.environ.items()
        kept = {
            name: value
            for name, value in ours
            if name.startswith(_KEPT) or not name.startswith(("UV_", "PYTHON", "VIRTUAL_ENV"))
        }
        if any(each.startswith(_INDEXES) for each in self.asked):
            for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
                kept.pop(name, None)
        elif not kept.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX_URL"}:
            address = _pip_index()
            if address is not None:
                kept["UV_DEFAULT_INDEX"] = address
        kept["TMPDIR"] = str(self.scratch)  # it leaves files of its own there
        return kept


def _pip_index() -> str | None:
    """Where pip is told to look instead of PyPI: uv does not ask, and a mirror may be all there is.

    Of pip's further places (extra-index-url, find-links) nothing is taken: a lock that needs them
    should say so, in the file that others have, too.
    """
    told = os.environ.get("PIP_INDEX_URL")
    if told:
        return told
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [
        *(Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", home / "pip/pip.conf"),
        Path(sys.prefix, "pip.conf"),
        *(Path(each) for each in [os.environ.get("PIP_CONFIG_FILE")] if each),
    ]
    config = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):
        config.read(files, encoding="utf-8")
    for section in ("install", "global"):
        if config.has_option(section, "index-url"):
            return config.get(section, "index-url")
    return None


def _uv(arguments: Sequence[str], surroundings: _Surroundings) -> str:
    """What uv prints. It never outlives this call, nor this process."""
    command = [
        _uv_path(),
        *("--no-config", "--color", "never", "--no-progress", "--no-python-downloads"),
        *("--cache-dir", str(surroundings.cache.absolute() / "uv")),
        *(("--offline",) if surroundings.offline else ()),
        *arguments,
    ]
    uv = subprocess.Popen(
        tied(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",  # no project of the author's is to be found
        env=surroundings.variables(),
        start_new_session=True,
    )
    try:
        said, told = (each.decode(errors="replace") for each in uv.communicate())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(uv.pid, signal.SIGKILL)
        uv.wait()
    if uv.returncode != 0:
        raise _fault(uv.returncode, told, offline=surroundings.offline)
    return said


def _uv_path() -> str:
    try:
        from uv import find_uv_bin

        return os.fsdecode(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        hint = "pip install 'ensemblegen[environments]' brings it"
        raise Fault("tool", "uv is not installed", hint)
    return found


def _fault(code: int, told: str, *, offline: bool) -> Fault:
    """In the words of uv, from where it says what is wrong."""
    begins = re.search(r"^error: ", told, re.MULTILINE)
    text = _OUR_FILE.sub("the pip section", told[begins.end() :] if begins else told).strip()
    lower = text.lower()
    kind: FaultKind = next((kind for sign, kind in _SIGNS if sign in lower), "crash")
    if not text:
        text = f"uv ended with {f'signal {-code}' if code < 0 else f'exit status {code}'}"
    if kind == "network":
        hint = "run it once without --offline: that keeps what is missing"
        if not offline:
            hint = "set UV_DEFAULT_INDEX to a mirror that can be reached, or use --offline"
        return Fault(kind, text, hint)
    if kind == "hash":
        return Fault(kind, text, "if it is the right file, run `ensemblegen env lock --renew`")
    return Fault(kind, text)
