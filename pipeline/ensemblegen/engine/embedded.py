"""What the embedded server needs around it: a backend directory, and an environment to run in."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from ensemblegen.engine import abilities, machine
from ensemblegen.engine.abilities import Way
from ensemblegen.engine.locate import Engine
from ensemblegen.engine.repository import Repository
from ensemblegen.engine.stand_ins import STAND_INS
from ensemblegen.errors import MachineError

_BACKENDS = Path(__file__).parent / "backends"
_INSTALL = "pip install 'ensemblegen[local]'"
_SAFE = re.compile(r"[A-Za-z0-9_./+\-=@,:]+")
_LAST_RESORT = "/tmp"  # noqa: S108 - where TMPDIR itself has a path that cannot be used

STUBS = ("3.8", "3.9", "3.10", "3.11", "3.12")
"""Python versions that have both a stub in the wheel and a numpy 1.x."""


def require(engine: Engine, repository: Repository) -> None:
    """Refuse what is known to fail, or to answer garbage, before anything is started."""
    _require_backends(engine, repository)
    _require_stub(engine)
    _require_numpy()
    if machine.libpython() is None:
        raise MachineError(
            f"this Python has no shared libpython{machine.python_version()}.so.1.0, "
            "which Triton's stub links against",
            "use a Python built with --enable-shared: Debian's package "
            f"libpython{machine.python_version()}, conda's, or uv's",
        )
    if not machine.interpreter().exists():
        raise MachineError(
            f"there is no {machine.interpreter()}: Triton finds its Python by that name",
            "run ensemblegen from a virtual environment",
        )


def backend_directory(engine: Engine) -> Path:
    """The folder for --backend-directory: made once for its content, safe to race for."""
    assert engine.home is not None  # noqa: S101 - an embedded engine has one
    python = engine.home / "backends" / "python"
    stub = engine.home / "python_backend_stubs" / machine.python_version()
    files = {f"python/{each.name}": each for each in _files(python)}
    files |= {f"python/{each.name}": each for each in _files(stub)}
    # Beside its own folder, a stand-in finds modules in that of the python backend only.
    files |= {f"python/{each.name}": each for each in _files(_BACKENDS)}
    for name in STAND_INS:
        files |= {f"{name}/{each.name}": each for each in _files(_BACKENDS / name)}
    folder = cache() / _fingerprint(files)
    if not folder.is_dir():
        _make(folder, files)
    return folder


def cache_directory(engine: Engine) -> Path:
    """Where its caches are, for --cache-directory; by itself it would look in /opt."""
    assert engine.home is not None  # noqa: S101 - an embedded engine has one
    return engine.home / "caches"


def environment(engine: Engine) -> dict[str, str]:
    """The environment variables of the server, hence of its stubs."""
    assert engine.libraries is not None  # noqa: S101 - an embedded engine has them
    given = dict(os.environ)
    libpython = machine.libpython()
    libraries = [str(engine.libraries), str(libpython or ""), given.get("LD_LIBRARY_PATH", "")]
    return given | {
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        # Triton takes the first python3 on PATH for the stubs' interpreter.
        "PATH": f"{machine.interpreter().parent}:{given.get('PATH', '')}",
        # The stub reads these up to Python 3.10; from 3.11 it is isolated from such variables.
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        # Threads that spin while they wait starve the other stubs on a machine they share.
        "OMP_WAIT_POLICY": given.get("OMP_WAIT_POLICY", "passive"),
    }


def _require_backends(engine: Engine, repository: Repository) -> None:
    for model in repository.models:
        if model.ensemble:
            continue
        ability = abilities.of_backend(model.backend, engine)
        if ability.way is Way.none:
            raise MachineError(f"'{model.name}' cannot run: {ability.what}", ability.remedy)


def _require_stub(engine: Engine) -> None:
    version = machine.python_version()
    stub = (engine.home or Path()) / "python_backend_stubs" / version
    if version not in STUBS or not stub.is_dir():
        raise MachineError(
            f"the embedded server has no usable stub for Python {version}",
            f"use one of Python {', '.join(STUBS)}",
        )


def _require_numpy() -> None:
    found = machine.version_of("numpy")
    if found is None:
        raise MachineError("numpy is not installed, which Triton's stub needs", _INSTALL)
    if int(found.split(".")[0]) >= 2:
        raise MachineError(
            f"numpy {found} is installed; the stub of Triton 24.10 reads numpy 2 arrays as garbage",
            "pip install 'numpy<2'",
        )


def _files(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.iterdir()) if each.is_file()]


def _fingerprint(files: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        if path.suffix == ".py":
            content = path.read_bytes()
        else:
            state = path.stat()
            content = f"{path} {state.st_size} {state.st_mtime_ns}".encode()
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def _make(folder: Path, files: dict[str, Path]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as scratch:
        made = Path(scratch, "backends")
        for name, path in files.items():
            # Copies: the server refuses a backend library that is a link to somewhere else.
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise


def cache() -> Path:
    """The folder for prepared backend directories: a private one, in a path safe for the stub."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    own = f"ensemblegen-{os.getuid()}"
    private = [Path(folder, own) for folder in (tempfile.gettempdir(), _LAST_RESORT)]
    for folder in (Path(home, "ensemblegen", "engine"), *private):
        if _usable(folder):
            return folder
    raise MachineError(
        "there is no folder to keep the backends in", "set XDG_CACHE_HOME to a writable folder"
    )


def _usable(folder: Path) -> bool:
    if not safe_for_stub(folder):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid()


def temporary_folder() -> Path:
    """A new folder in a path safe for the stub; the caller removes it."""
    for folder in (tempfile.gettempdir(), _LAST_RESORT):
        if safe_for_stub(Path(folder)) and os.access(folder, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="ensemblegen-", dir=folder))
    raise MachineError(
        "there is no folder for temporary files whose path Triton's stub can use",
        "set TMPDIR to a writable folder of letters, digits and . _ - + = @ , :",
    )


def safe_for_stub(path: Path) -> bool:
    """Whether Triton can start a stub there.

    Triton 24.10 puts the path unquoted into `bash -c`, and waits without end for a stub that the
    shell did not start; nor does it manage paths that are not ASCII.
    """
    return _SAFE.fullmatch(str(path)) is not None
