"""Ask an environment's own Python whether a server could use the environment.

The stub that the server starts is linked to one libpython, and finds the environment's libraries
before its own: what is wrong there shows as a load that never ends, or as packages of another
Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ensemblegen.environments import elf
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.launch import tied
from ensemblegen.environments.progress import Event, Report

_TIMEOUT = 120.0
_TAIL = 8  # lines of what a failed process said
_LIBPYTHON = re.compile(r"libpython3\.\d+\.so\.1\.0")
_NUMPY = "triton_python_backend_utils imports it: add `numpy` to the environment"
_NUMPY_1 = "up to 24.10 the server hands numpy 2 arrays of wrong values: ask for `numpy<2`"

# One JSON line before each import, so that a crash has a name, and one with what came of it.
# What modules print goes to stderr.
_PROBE = """
import importlib, json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
def say(**what):
    out.write(json.dumps(what) + "\\n")
    out.flush()
say(python="%d.%d" % sys.version_info[:2])
for name in sys.argv[1:]:
    say(importing=name)
    try:
        module = importlib.import_module(name)
        say(name=name, version=str(getattr(module, "__version__", "")))
    except BaseException as error:
        text = str(error).strip() or repr(error)
        say(name=name, error="%s: %s" % (type(error).__name__, text))
say(done=True)
out.flush()
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a server asks of an environment. `python`: "3.10". `numpy2`: whether numpy 2 will do.
    `stub`: the program that the server starts in it, None if that is not at hand.
    """

    python: str
    numpy2: bool
    modules: tuple[str, ...]
    stub: Path | None


def faults_of(prefix: Path, demand: Demand, report: Report, work: Path) -> tuple[Fault, ...]:
    """All that keeps a server from using the environment in `prefix`, as faults of kind "verify".

    Runs its `bin/python3`, with a home in the folder `work`. Where that is a link to a Python of
    the server that this machine does not have, only numpy is looked at, by its metadata.
    """
    prefix = prefix.absolute()
    python = prefix / "bin" / "python3"
    outside = not python.resolve().is_relative_to(prefix.resolve())
    libraries = () if outside else tuple(_libpython(prefix, demand))
    if outside and not python.exists():
        return (*_numpy(_numpy_on_disk(prefix, demand), demand), *_versions(prefix, demand))
    return (*libraries, *_versions(prefix, demand), *_imports(python, demand, report, work))


def _fault(text: str, hint: str | None = None) -> Fault:
    return Fault("verify", text, hint)


# Libraries ----------------------------------------------------------------------------------


def _libpython(prefix: Path, demand: Demand) -> Iterator[Fault]:
    """The stub's libpython must be the environment's, or it finds another one, or none at all."""
    expected = f"libpython{demand.python}.so.1.0"
    stub = _elf(demand.stub) if demand.stub else None
    needed = [each for each in stub.needed if _LIBPYTHON.fullmatch(each)] if stub else [expected]
    for name in needed or [expected]:
        if name != expected:
            yield _fault(f"the stub {demand.stub} is for {name}, not for Python {demand.python}")
        elif not (prefix / "lib" / name).exists():
            there = sorted(each.name for each in (prefix / "lib").glob("libpython3.*.so.1.0"))
            found = f"; it has {', '.join(there)}" if there else ""
            hint = (
                f"the environment needs a shared Python {demand.python}: `python {demand.python}.*`"
            )
            yield _fault(f"the server's stub needs lib/{name}{found}", hint)
    if stub is not None and not needed:
        yield _fault(f"the stub {demand.stub} brings its own Python, not the environment's")


def _versions(prefix: Path, demand: Demand) -> Iterator[Fault]:
    """Libraries that the stub takes from the environment, as the server puts its `lib` first."""
    if demand.stub is None:
        return
    for library, needs in sorted(_elf(demand.stub).needs.items()):
        path = prefix / "lib" / library
        if not path.exists():
            continue
        try:
            missing = needs - _elf(path).offers
        except Fault as fault:
            yield fault
            continue
        if missing:
            text = f"lib/{library} is too old for the server's stub, which needs "
            hint = "ask for a newer `libstdcxx-ng`" if library == "libstdc++.so.6" else None
            yield _fault(text + ", ".join(sorted(missing)), hint)


def _elf(path: Path) -> elf.Elf:
    """Raises Fault for what is no ELF file."""
    try:
        return elf.read(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _fault(f"{path}: {reason}") from error


# Modules ------------------------------------------------------------------------------------


def _imports(python: Path, demand: Demand, report: Report, work: Path) -> Iterator[Fault]:
    names = ("numpy", *(each for each in demand.modules if each != "numpy"))
    said: list[Mapping[str, Any]] = []
    try:
        ending = _run(python, names, said, report, work)
    except OSError as error:
        yield _fault(f"bin/python3 does not start: {error.strerror or error}")
        return
    results = {each["name"]: each for each in said if "name" in each}
    for each in said:
        if each.get("python", demand.python) != demand.python:
            yield _fault(f"it has Python {each['python']}, the server's is {demand.python}")
    yield from _numpy(results.get("numpy", {}), demand)
    for name in names[1:]:
        if "error" in results.get(name, {}):
            yield _fault(f"{name} cannot be imported: {results[name]['error']}")
    if not any("done" in each for each in said):
        at = said[-1].get("importing") if said else None
        doing = f"importing {at}" if at else "starting bin/python3"
        yield _fault(f"{doing} {ending}")


def _numpy(result: Mapping[str, Any], demand: Demand) -> Iterator[Fault]:
    if "error" in result:
        yield _fault(f"numpy cannot be imported: {result['error']}", _NUMPY)
    elif not demand.numpy2 and re.match(r"[2-9]", result.get("version", "")):
        yield _fault(f"it has numpy {result['version']}, the server needs numpy 1", _NUMPY_1)


def _numpy_on_disk(prefix: Path, demand: Demand) -> dict[str, str]:
    packages = prefix / "lib" / f"python{demand.python}" / "site-packages"
    for found in sorted(packages.glob("numpy-*.dist-info")):
        return {"version": found.name.split("-")[1].removesuffix(".dist")}
    return {"error": f"there is none in {packages.relative_to(prefix)}"}


def _run(
    python: Path, names: tuple[str, ...], said: list[Mapping[str, Any]], report: Report, work: Path
) -> str:
    """Import `names`; what the process says is added to `said`. Returns how it ended, in words.

    OSError where it does not start.
    """
    report(Event("check", 0, len(names)))
    timed_out = threading.Event()
    with (
        tempfile.TemporaryFile() as errors,  # modules may write more than a pipe holds
        tempfile.TemporaryDirectory(dir=work) as home,  # some modules want to write there
        subprocess.Popen(
            _command(python, names, home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            start_new_session=True,
        ) as process,
        _killed(process, timed_out),
    ):
        for line in process.stdout or ():
            with contextlib.suppress(ValueError):
                said.append(json.loads(line))
            if said and "errno" in said[-1]:
                number = said[-1]["errno"]
                raise OSError(number, os.strerror(number))
            if said and "done" in said[-1]:
                break  # what a module started may hold the pipe open
            report(Event("check", sum("name" in each for each in said), len(names)))
        status = process.wait()
        tail = _tail(errors)
    return "\n".join([_ending(status, timed_out=timed_out.is_set()), *tail])


def _command(python: Path, names: tuple[str, ...], home: str) -> list[str]:
    # This Python would load the environment's libraries with these variables.
    variables = _variables(python.parent.parent, home)
    return tied([str(python), "-I", "-B", "-c", _PROBE, *names], variables)


def _tail(errors: IO[bytes]) -> list[str]:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - (1 << 16)))
    return errors.read().decode(errors="replace").strip().splitlines()[-_TAIL:]


@contextlib.contextmanager
def _killed(process: subprocess.Popen[bytes], timed_out: threading.Event) -> Iterator[None]:
    """The process and what it started are gone afterwards, and at the latest after the timeout."""

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def expire() -> None:
        timed_out.set()
        kill()

    timer = threading.Timer(_TIMEOUT, expire)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        kill()


def _ending(status: int, *, timed_out: bool) -> str:
    if timed_out:
        return f"did not end within {_TIMEOUT:.0f} s"
    if status < 0:
        return f"crashed with {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _variables(prefix: Path, home: str) -> dict[str, str]:
    """The server's for the stub, and nothing of ours. RAPIDS looks for a GPU when it is imported,
    which the machine that builds need not have.
    """
    return {
        "PATH": f"{prefix / 'bin'}:/usr/bin:/bin",
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAPIDS_NO_INITIALIZE": "1",
    }
