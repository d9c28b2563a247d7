"""What this machine can serve and what it lacks: facts gathered once, findings drawn from them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ensemblegen.engine import abilities, embedded, locate, machine, ports, regions
from ensemblegen.engine import repository as repositories
from ensemblegen.engine.abilities import Row
from ensemblegen.engine.locate import Engine
from ensemblegen.engine.server import require
from ensemblegen.engine.stand_ins import STAND_INS
from ensemblegen.errors import MachineError
from ensemblegen.members import KINDS

_LOCAL = "pip install 'ensemblegen[local]'"
_CLIENT = "pip install 'ensemblegen[client]'"
_HOST = "127.0.0.1"
_MIB = 1 << 20
_SHM = str(regions.FOLDER)
_STUB_REGION = 1  # MiB that each instance of a Python step takes of /dev/shm at least


class State(str, Enum):
    ok = "ok"
    warn = "warn"
    fail = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` is what to type or change, unless all is well."""

    subject: str
    state: State
    message: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """Of /dev/shm, in bytes; `left_over` counts regions whose server is gone."""

    total: int
    free: int
    left_over: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the findings are drawn from."""

    python: str
    interpreter: str | None
    numpy: str | None
    libpython: str | None
    embedded: Engine | None
    embedded_error: str | None
    on_path: Engine | None
    docker: Engine | None
    docker_error: str | None
    stub: bool
    versions: dict[str, str | None]
    protocols: dict[str, bool]
    cache: str | None
    loopback: str | None
    taken_ports: tuple[int, ...]
    shared_memory: SharedMemory | None
    gpus: tuple[str, ...]
    driver: bool
    cores: int


def gather() -> Facts:
    """Look at this machine; starts nothing but `tritonserver --help` and `docker version`."""
    inside = locate.embedded()
    docker = locate.docker(locate.EMBEDDED_RELEASE)
    libpython = machine.libpython()
    interpreter = machine.interpreter()
    return Facts(
        python=machine.python_version(),
        interpreter=str(interpreter) if interpreter.exists() else None,
        numpy=machine.version_of("numpy"),
        libpython=str(libpython) if libpython else None,
        embedded=inside,
        embedded_error=_embedded_error(inside),
        on_path=locate.on_path(),
        docker=docker,
        docker_error=locate.docker_fault(docker) if docker else None,
        stub=_has_stub(inside),
        versions={name: machine.version_of(name) for name in (*_distributions(), "tokenizers")},
        protocols={
            "http": all(map(machine.importable, ("aiohttp", "geventhttpclient"))),
            "grpc": machine.importable("grpc"),
        },
        cache=_cache_folder(),
        loopback=_loopback_error(),
        taken_ports=tuple(port for port in (8000, 8001, 8002) if not ports.free(_HOST, port)),
        shared_memory=_shared_memory(),
        gpus=tuple(machine.gpus()),
        driver=machine.driver(),
        cores=machine.cores(),
    )


def kinds(facts: Facts) -> tuple[Row, ...]:
    """How each kind of step runs on the server that would be chosen; nothing without a server."""
    docker = facts.docker if facts.docker_error is None else None
    engine = facts.on_path or facts.embedded or docker
    return tuple(abilities.of_kinds(KINDS, engine)) if engine is not None else ()


def findings(facts: Facts) -> tuple[Finding, ...]:
    """In the order in which they matter for a first `ensemblegen serve`."""
    serving_embedded = facts.on_path is None
    return (
        _server(facts),
        *(_embedded(facts) if facts.embedded and serving_embedded else ()),
        *_stand_ins(facts),
        *_protocols(facts),
        _loopback(facts),
        _memory(facts.shared_memory),
        _gpu(facts),
        _docker(facts),
    )


def _server(facts: Facts) -> Finding:
    if facts.on_path is not None:
        return Finding("tritonserver", State.ok, f"{facts.on_path} (its backends are native)")
    if facts.embedded is None:
        if facts.docker is not None and facts.docker_error is None:
            return Finding("tritonserver", State.ok, f"{facts.docker}, with --engine docker")
        return Finding("tritonserver", State.fail, "none on PATH, none in this Python", _LOCAL)
    if facts.embedded_error is not None:
        remedy = "pip install --force-reinstall nvidia-pytriton==0.7.0"
        return Finding("tritonserver", State.fail, facts.embedded_error, remedy)
    return Finding("tritonserver", State.ok, f"{facts.embedded}, Triton {locate.EMBEDDED_RELEASE}")


def _embedded(facts: Facts) -> tuple[Finding, ...]:
    return (_python(facts), _numpy(facts.numpy), _libpython(facts), _cache(facts.cache))


def _python(facts: Facts) -> Finding:
    if facts.interpreter is None:
        message = f"{facts.python}, but without a program named python3 beside it"
        return Finding("python", State.fail, message, "run ensemblegen from a virtual environment")
    if facts.stub and facts.python in embedded.STUBS:
        return Finding("python", State.ok, f"{facts.python}, with a stub in the embedded server")
    message = f"the embedded server has no usable stub for Python {facts.python}"
    remedy = f"use a virtual environment with one of Python {', '.join(embedded.STUBS)}"
    return Finding("python", State.fail, message, remedy)


def _numpy(version: str | None) -> Finding:
    if version is None:
        return Finding("numpy", State.fail, "not installed; the stub needs it", _LOCAL)
    if int(version.split(".")[0]) >= 2:
        message = f"{version}: the 24.10 stub reads numpy 2 arrays as garbage, without a word"
        return Finding("numpy", State.fail, message, "pip install 'numpy<2'")
    return Finding("numpy", State.ok, version)


def _libpython(facts: Facts) -> Finding:
    name = f"libpython{facts.python}.so.1.0"
    if facts.libpython is not None:
        return Finding("libpython", State.ok, f"{name} in {facts.libpython}")
    message = f"{name} is nowhere; the stub links against it"
    remedy = f"apt-get install libpython{facts.python}, or use conda's or uv's Python"
    return Finding("libpython", State.fail, message, remedy)


def _cache(folder: str | None) -> Finding:
    if folder is None:
        message = "no folder with a plain path to keep the backends in"
        return Finding("cache", State.fail, message, "set XDG_CACHE_HOME to a writable folder")
    return Finding("cache", State.ok, folder)


def _distributions() -> tuple[str, ...]:
    return tuple(each.distribution for each in STAND_INS.values())


def _stand_ins(facts: Facts) -> list[Finding]:
    # A server with native backends of its own does not need them.
    state = State.warn if facts.on_path is None else State.ok
    found = []
    for backend, each in STAND_INS.items():
        version = facts.versions.get(each.distribution)
        if version is not None:
            message = f"{version}, the stand-in for the {backend} backend"
            found.append(Finding(each.distribution, State.ok, message))
        else:
            message = f"not installed; the stand-in for the {backend} backend needs it"
            found.append(Finding(each.distribution, state, message, each.install))
    tokenizers = facts.versions.get("tokenizers")
    if tokenizers is None:
        message = "not installed; the built-in text steps need it"
        return [*found, Finding("tokenizers", State.warn, message, _LOCAL)]
    return [*found, Finding("tokenizers", State.ok, tokenizers)]


def _protocols(facts: Facts) -> list[Finding]:
    return [
        Finding(f"client {name}", State.ok, "tritonclient can talk it")
        if there
        else Finding(f"client {name}", State.warn, "tritonclient lacks what it needs", _CLIENT)
        for name, there in facts.protocols.items()
    ]


def _loopback(facts: Facts) -> Finding:
    if facts.loopback is not None:
        message = f"cannot listen on {_HOST}: {facts.loopback}"
        return Finding("network", State.fail, message, "allow programs to listen on loopback")
    if facts.taken_ports:
        taken = ", ".join(map(str, facts.taken_ports))
        return Finding("network", State.ok, f"loopback; {taken} in use, serve takes others")
    return Finding("network", State.ok, "loopback; 8000, 8001 and 8002 are free")


def _memory(memory: SharedMemory | None) -> Finding:
    if memory is None:
        message = f"there is no {_SHM}; Python steps pass their tensors there"
        return Finding(_SHM, State.fail, message, "mount a tmpfs there (Docker: --shm-size)")
    size = f"{memory.free // _MIB} of {memory.total // _MIB} MiB free"
    if memory.left_over:
        message = f"{size}; {memory.left_over} regions of servers that are gone"
        return Finding(_SHM, State.warn, message, "the next `ensemblegen serve` removes them")
    if memory.free < 64 * _STUB_REGION * _MIB:
        return Finding(_SHM, State.warn, size, "give it more (Docker: --shm-size=1g)")
    return Finding(_SHM, State.ok, size)


def _gpu(facts: Facts) -> Finding:
    if facts.gpus:
        return Finding("gpu", State.ok, "; ".join(facts.gpus))
    if facts.driver:
        message = "the driver is there, but shows no GPU"
        return Finding("gpu", State.warn, message, "look at nvidia-smi -L")
    message = f"none: compile with --device cpu ({facts.cores} cores)"
    return Finding("gpu", State.ok, message)


def _docker(facts: Facts) -> Finding:
    if facts.docker is None:
        return Finding("docker", State.ok, "not installed, and not needed")
    if facts.docker_error is not None:
        return Finding("docker", State.ok, f"not needed; no daemon answers: {facts.docker_error}")
    return Finding("docker", State.ok, f"usable, with --engine docker ({facts.docker.image})")


def _embedded_error(engine: Engine | None) -> str | None:
    if engine is None:
        return None
    try:
        tried = subprocess.run(
            [str(engine.program), "--help"],
            env=embedded.environment(engine),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the embedded server does not run: {error}"
    if "Usage: tritonserver" in tried.stdout + tried.stderr:
        return None
    last = (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]
    return f"the embedded server does not run: {last}"


def _has_stub(engine: Engine | None) -> bool:
    if engine is None or engine.home is None:
        return False
    return (engine.home / "python_backend_stubs" / machine.python_version()).is_dir()


def _cache_folder() -> str | None:
    try:
        return str(embedded.cache())
    except MachineError:
        return None


def _loopback_error() -> str | None:
    try:
        with socket.create_server((_HOST, 0)):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _shared_memory() -> SharedMemory | None:
    folder: Path = regions.FOLDER
    if not os.access(folder, os.W_OK):
        return None
    usage = shutil.disk_usage(folder)
    left_over = sum(len(names) for names in regions.left_over().values())
    return SharedMemory(usage.total, usage.free, left_over)


def of_repository(path: Path) -> Finding:
    """Whether the server that would be chosen can serve this repository here."""
    try:
        repository = repositories.read(path)
        engine = locate.find()
        require(engine, repository)
    except MachineError as error:
        return Finding("repository", State.fail, error.message, error.hint)
    count = len(repository.models)
    kinds = ", ".join(repository.backends)
    message = f"{count} model{'s' if count > 1 else ''} on {kinds}, served by the {engine}"
    if engine.kind is not locate.Choice.docker and not embedded.safe_for_stub(repository.path):
        message += ", through a link, for Triton hangs on a path such as this"
    return Finding("repository", State.ok, message)
