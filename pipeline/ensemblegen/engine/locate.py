"""Where a tritonserver is: given by path, on PATH, in the nvidia-pytriton wheel, or in Docker.

Only the wheel's binaries are used; the Python package around them is never imported.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ensemblegen.errors import MachineError

EMBEDDED_RELEASE = "24.10"
"""The Triton release that the pinned wheel carries."""

_WHEEL = "nvidia-pytriton"
_INSTALL = "pip install 'ensemblegen[local]'"
_IMAGE = "nvcr.io/nvidia/tritonserver"


class Choice(str, Enum):
    """What the user asks for with --engine."""

    auto = "auto"
    embedded = "embedded"
    path = "path"
    docker = "docker"


@dataclass(frozen=True, slots=True)
class Engine:
    """A tritonserver that can be started; `home` is the folder of the embedded one's parts."""

    kind: Choice
    program: Path
    version: str | None = None
    home: Path | None = None
    image: str | None = None

    def __str__(self) -> str:
        if self.kind is Choice.docker:
            return f"docker image {self.image}"
        if self.kind is Choice.embedded:
            return f"embedded tritonserver (nvidia-pytriton {self.version})"
        return f"tritonserver at {self.program}"

    @property
    def libraries(self) -> Path | None:
        """The folder of the shared libraries that the wheel brings."""
        return self.home.parent.parent / "nvidia_pytriton.libs" if self.home else None

    @property
    def native(self) -> frozenset[str]:
        """The backends that come with this server."""
        if self.kind is Choice.docker:
            return frozenset(
                {"python", "pytorch", "fil", "onnxruntime", "tensorrt", "dali", "openvino"}
            )
        folder = (self.home or self.program.resolve().parent.parent) / "backends"
        if not folder.is_dir():
            return frozenset()
        return frozenset(each.name for each in folder.iterdir() if any(each.glob("libtriton_*.so")))


def find(choice: Choice = Choice.auto, server: Path | None = None, target: str = "24.10") -> Engine:
    """The server to use; MachineError says what to install where there is none."""
    if server is not None:
        return _given(server)
    finders = {
        Choice.path: (on_path,),
        Choice.embedded: (embedded,),
        Choice.docker: (lambda: docker(target),),
        Choice.auto: (on_path, embedded, lambda: _working_docker(target)),
    }[choice]
    for finder in finders:
        found = finder()
        if found is not None:
            return found
    raise _missing(choice)


def on_path() -> Engine | None:
    program = shutil.which("tritonserver")
    return _at(Path(program)) if program else None


def embedded() -> Engine | None:
    import importlib.metadata
    import importlib.util

    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        return None
    home = Path(spec.submodule_search_locations[0]) / "tritonserver"
    program = home / "bin" / "tritonserver"
    if not program.is_file():
        return None
    return Engine(Choice.embedded, program, importlib.metadata.version(_WHEEL), home)


def docker(target: str) -> Engine | None:
    program = shutil.which("docker")
    if program is None:
        return None
    return Engine(Choice.docker, Path(program), target, image=f"{_IMAGE}:{target}-py3")


def docker_fault(engine: Engine) -> str | None:
    """Why the docker program cannot start a container; None if its daemon answers."""
    try:
        tried = subprocess.run(
            [str(engine.program), "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return None
    return (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]


def _working_docker(target: str) -> Engine | None:
    """Many machines have the program and no daemon: then it is no server to fall back on."""
    found = docker(target)
    return found if found is not None and docker_fault(found) is None else None


def _given(server: Path) -> Engine:
    program = server / "bin" / "tritonserver" if server.is_dir() else server
    if not program.is_file():
        raise MachineError(f"there is no tritonserver at {server}")
    return _at(program)


def _at(program: Path) -> Engine:
    home = program.resolve().parent.parent
    if (home / "python_backend_stubs").is_dir():
        return Engine(Choice.embedded, program, None, home)
    return Engine(Choice.path, program)


def _missing(choice: Choice) -> MachineError:
    if choice is Choice.path:
        return MachineError("there is no tritonserver on PATH", f"{_INSTALL}, or --server PATH")
    if choice is Choice.docker:
        return MachineError("there is no docker on PATH", f"{_INSTALL}, or --engine embedded")
    return MachineError("there is no tritonserver on this machine", _INSTALL)
