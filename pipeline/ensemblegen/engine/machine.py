"""Facts about this machine that decide whether and how a server can run here."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")


def interpreter() -> Path:
    """The `python3` whose packages the stubs see: the one beside ours, links not followed."""
    return Path(sys.executable).parent / "python3"


def python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution, found without importing it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def libpython() -> Path | None:
    """The folder of the shared libpython of this interpreter, which the stub links against."""
    name = f"libpython{python_version()}.so.1.0"
    folders = [
        sysconfig.get_config_var("LIBDIR"),
        _under(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("MULTIARCH")),
        str(Path(sys.base_prefix, "lib")),
        sysconfig.get_config_var("LIBPL"),
        "/usr/lib64",
        "/usr/local/lib",
    ]
    for folder in folders:
        if folder and Path(folder, name).is_file():
            return Path(folder)
    return _from_loader(name)


def gpus() -> list[str]:
    """The NVIDIA GPUs as `nvidia-smi` names them; empty where the driver is missing."""
    if not driver():
        return []
    program = shutil.which("nvidia-smi")
    if program is None:
        return ["unnamed"] if any(Path(node).exists() for node in _GPU_NODES) else []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]


def gpu_memory() -> int | None:
    """Bytes of the smallest GPU; None where `nvidia-smi` does not say."""
    program = shutil.which("nvidia-smi") if driver() else None
    if program is None:
        return None
    query = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    sizes = [int(word) for word in listed.stdout.split() if word.isdigit()]
    return min(sizes) << 20 if sizes else None


def driver() -> bool:
    """Whether NVIDIA's driver library can be loaded and a device node is there."""
    if not any(Path(node).exists() for node in _GPU_NODES):
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _under(folder: str | None, name: str | None) -> str | None:
    return str(Path(folder, name)) if folder and name else None


def _from_loader(name: str) -> Path | None:
    program = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if program is None:
        return None
    listed = subprocess.run([program, "-p"], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        words = line.split()
        if words and words[0] == name and Path(words[-1]).is_file():
            return Path(words[-1]).parent
    return None
