"""Projects with environments, an offline channel for them, and `ensemblegen` as a user runs it."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import ensemblegen
from tests.environments import channel
from tests.environments.channel import Noarch
from tests.environments.interpreters import Interpreter

DEADLINE = 120
"""Seconds after which a process that does not end counts as hanging."""
_PIPELINE = Path(ensemblegen.__file__).resolve().parent.parent


def interpreter() -> Interpreter:
    """The one of the default target, 3.10, if this machine has it; raises NoInterpreter."""
    return next(iter(sorted(channel.find(), key=lambda each: each.minor != "3.10")))


def small_channel(folder: Path, python: Interpreter) -> Path:
    """Python, and stand-ins for numpy that only have a version: what is built is small."""
    stand_ins = [
        Noarch("numpy", version, modules={"numpy": f"__version__ = {version!r}\n"})
        for version in ("1.26.4", "2.1.0")
    ]
    broken = Noarch("broken", "1.0", modules={"broken": "import is_not_there\n"})
    older = Noarch("older", "1.0", ("numpy 1.*",), {"older": ""})
    channel.build(folder, [python.executable], packages=[*stand_ins, broken, older])
    return folder


def declare(
    folder: Path, where: Path, minor: str, *specs: str, name: str = "a", more: str = ""
) -> Path:
    """`conda/<name>.yaml` in `folder` with this Python, numpy 1 if nothing else is asked for."""
    path = folder / "conda" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"python={minor}.*", *(specs or ("numpy=1.26.4",))]
    dependencies = "".join(f"  - {each}\n" for each in lines)
    path.write_text(f"channels: [{where}]\ndependencies:\n{dependencies}{more}")
    return path


def wheel(folder: Path, name: str, version: str, modules: Mapping[str, str]) -> str:
    """A wheel of pure Python; the requirement that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    home = f"{name}-{version}.dist-info"
    files = {f"{module}.py": text for module, text in modules.items()}
    files[f"{home}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{home}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = []
    for place, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        lines.append(f"{place},sha256={digest.rstrip('=')},{len(text.encode())}\n")
    files[f"{home}/RECORD"] = "".join([*lines, f"{home}/RECORD,,\n"])
    with zipfile.ZipFile(path, "w") as made:
        for place, text in files.items():
            made.writestr(zipfile.ZipInfo(place), text)
    return f"{name} @ {path.as_uri()}"


def overwrite(path: Path, data: bytes) -> None:
    """Write to a file that nobody is to write to, by its own inode: other names of it change."""
    path.chmod(0o644)
    path.write_bytes(data)


def start(cache: Path, *words: str | Path) -> subprocess.Popen[str]:
    """`ensemblegen` in a process group of its own, with `cache` as its cache folder."""
    environment = {**os.environ, "ENSEMBLEGEN_CACHE": str(cache), "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(_PIPELINE)
    environment["COLUMNS"] = "400"
    return subprocess.Popen(
        [sys.executable, "-m", "ensemblegen", *map(str, words)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(cache: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`ensemblegen`, to its end."""
    with start(cache, *words) as process:
        try:
            out, error = process.communicate(timeout=DEADLINE)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(list(map(str, words)), process.returncode, out, error)


def left(cache: Path, ignored: Sequence[str] = (".lock",)) -> list[str]:
    """The names in the store but for locks, which are empty files that stay."""
    envs = cache / "envs"
    return sorted(
        path.name for path in envs.iterdir() if not path.name.endswith(tuple(ignored))
    ) if envs.is_dir() else []  # fmt: skip
