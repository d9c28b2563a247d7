"""Puts the pieces that bench/wheels.py made in their place, on the machine without a network.

    python3 bench/gpu/place.py --pieces .wheels --home /tmp/ensemblegen-gpu

Keeps each piece beside what came in earlier calls. Once an archive is whole it is unpacked, once
the base is there an interpreter is made; its path is the only thing printed to standard output,
all else goes to standard error. Exits with 4 while pieces are missing, 1 where nothing works.

That interpreter sees our packages first and the machine's own site-packages (torch, transformers)
behind them, so that numpy is ours, 1.26, and torch the machine's. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

INCOMPLETE = 4
_PROBE = """
import ctypes, ssl, numpy, torch, treelite, tokenizers, tritonclient.grpc, pydantic
assert numpy.__version__.startswith("1.26"), numpy.__file__
torch.from_numpy(numpy.ones(2)).numpy()
from ensemblegen.engine import locate, machine
locate.find(locate.Choice.embedded, None, locate.EMBEDDED_RELEASE)
assert machine.libpython(), "no shared libpython"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Unpack what bench/wheels.py made.")
    parser.add_argument("--pieces", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    manifest = keep(options.pieces, options.home)
    if manifest is None:
        say(f"no pieces in {options.pieces} and none kept in {options.home}: see bench/wheels.py")
        return INCOMPLETE
    for name, archive in manifest["archives"].items():
        missing = unpack(options.home, name, archive)
        if missing:
            say(f"{name}: still missing {', '.join(missing)}")
            if name == "base":
                return INCOMPLETE
    python = interpreter(options.home)
    if python is None:
        return 1
    print(python)
    return 0


def keep(pieces: Path, home: Path) -> dict[str, Any] | None:
    """Move what this call brought to where the next one finds it; the manifest, if there is one."""
    for source in sorted(pieces.glob("*")) if pieces.is_dir() else ():
        target = home / source.name
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            shutil.copy2(source, target)
    file = home / "manifest.json"
    manifest: dict[str, Any] | None = None
    if file.is_file():
        manifest = json.loads(file.read_text("utf-8"))
    return manifest


def unpack(home: Path, name: str, archive: dict[str, Any]) -> list[str]:
    """Names of the pieces that are missing or broken; none once the archive is unpacked."""
    done = home / f"{name}.done"
    if done.is_file() and done.read_text("utf-8") == archive["sha256"]:
        return []
    wrong = [each["name"] for each in archive["pieces"] if not _whole(home, each)]
    if wrong:
        return wrong
    packed = home / f"{name}.tar.xz"
    with packed.open("wb") as stream:
        for piece in archive["pieces"]:
            stream.write((home / piece["name"]).read_bytes())
    with tarfile.open(packed, "r:xz") as tar:
        tar.extractall(home, filter="data")
    packed.unlink()
    done.write_text(archive["sha256"], "utf-8")
    return []


def _whole(home: Path, piece: dict[str, Any]) -> bool:
    file = home / piece["name"]
    if not file.is_file() or file.stat().st_size != piece["bytes"]:
        return False
    return hashlib.sha256(file.read_bytes()).hexdigest() == str(piece["sha256"])


def interpreter(home: Path) -> Path | None:
    """The first of two that works: on the machine's own Python, or on the one carried along.

    The machine's needs a shared libpython, which Triton's stub links against.
    """
    for name, base in (("own", Path(sys.executable)), ("carried", home / "python/bin/python3")):
        python = _environment(home, home / f"venv-{name}", base)
        if python is not None:
            return python
    return None


def _environment(home: Path, folder: Path, base: Path) -> Path | None:
    python = folder / "bin" / "python3"
    environment = os.environ | _paths(home)
    if not python.exists():
        made = _run([str(base), "-m", "venv", "--without-pip", str(folder)], environment)
        if made.returncode:
            say(f"no environment on {base}: {made.stderr.strip()}")
            return None
        packages = next(folder.glob("lib/python3*/site-packages"))
        # Read in the order of their lines: ours hide the machine's of the same name.
        lines = [home / "site", Path(__file__).resolve().parents[2] / "pipeline"]
        lines += [Path(sysconfig.get_path("purelib"))]
        (packages / "gpu.pth").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    probed = _run([str(python), "-c", _PROBE], environment)
    if probed.returncode:
        say(f"{python} does not do: {probed.stderr.strip()[-600:]}")
        return None
    return python


def _paths(home: Path) -> dict[str, str]:
    """The carried Python finds its libpython by this; the others are not disturbed by it."""
    known = os.environ.get("LD_LIBRARY_PATH", "")
    return {"LD_LIBRARY_PATH": ":".join(filter(None, [known, str(home / "python/lib")]))}


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
