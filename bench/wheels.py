"""What a GPU machine without a network lacks for the embedded Triton, in pieces to carry.

    python bench/wheels.py [--python PREFIX] [--output .wheels] [--piece-mib 56]

Run where there is a network. Makes two archives of installed packages for CPython 3.12 on Linux
x86-64, cuts each into pieces of at most 56 MiB (a call of the device tool carries 64, this checkout
among them), and writes `manifest.json` with the sha256 of every piece and archive:

    base   Triton (nvidia-pytriton: server, Python backend, its 3.12 stub), numpy 1.26, treelite,
           the client and ensemblegen's own dependencies; and a CPython 3.12 with a shared
           libpython, which the stub links against and Debian's python3 is built without
    cupy   CuPy 13.6 for CUDA 13: CuPy 14 needs numpy 2, which the stub of Triton 24.10 misreads

torch and transformers are the machine's own (bench/gpu/place.py lets our interpreter see them). On
the machine bench/gpu.sh keeps the pieces of each call, and unpacks once it has them all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PYTHON = "3.12"
PLATFORMS = ("2_35", "2_34", "2_31", "2_28", "2_27", "2_24", "2_17")
ARCHIVES = {
    "base": (
        "annotated-doc==0.0.7",
        "annotated-types==0.7.0",
        "certifi==2026.10.18",
        "click==8.5.1",
        "grpcio==1.85.1",
        "iniconfig==2.3.1",
        "markdown-it-py==4.3.0",
        "mdurl==0.1.2",
        "ml-dtypes==0.5.4",
        "numpy==1.26.4",
        "nvidia-pytriton==0.7.0",
        "packaging==26.3",
        "pluggy==1.7.0",
        "protobuf==6.33.6",
        "pydantic==2.14.3",
        "pydantic-core==2.50.4",
        "pygments==2.21.0",
        "pytest==9.2.0",
        "python-rapidjson==1.25",
        "pyyaml==6.0.3",
        "rich==15.0.0",
        "scipy==1.17.1",
        "shellingham==1.5.4",
        "tokenizers==0.23.3",
        "treelite==4.8.1",
        "tritonclient==2.73.0",
        "typer==0.29.2",
        "typing-extensions==4.16.0",
        "typing-inspection==0.4.5",
        "urllib3==2.8.0",
    ),
    "cupy": ("cupy-cuda13x==13.6.0", "fastrlock==0.8.4"),
}
"""Exact versions with all that they need but for what the machine has; nothing is resolved."""

_UNUSED = (
    "**/__pycache__",
    "numpy/**/tests",
    "scipy/**/tests",
    "bin",
    # Stubs for other Pythons; the one for 3.13 brings a libpython of its own.
    "pytriton/tritonserver/python_backend_stubs/3.8",
    "pytriton/tritonserver/python_backend_stubs/3.9",
    "pytriton/tritonserver/python_backend_stubs/3.1[013]",
    "nvidia_pytriton.libs/libpython3-*.13.so.1.0",
)
_PYTHON_UNUSED = (
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "turtledemo",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Packages for a GPU machine without a network.")
    parser.add_argument("--output", type=Path, default=Path(".wheels"))
    parser.add_argument("--piece-mib", type=int, default=56)
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.base_prefix).parent / "3.12.1",
        help="the prefix of a CPython 3.12 built with --enable-shared (pyenv's, uv's, conda's)",
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob("*.[0-9][0-9]"):
        old.unlink()
    archives: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for archive, requirements in ARCHIVES.items():
            folder = Path(name) / archive
            install(requirements, folder / "site")
            if archive == "base":
                copy_python(options.python, folder / "python")
            packed = Path(name) / f"{archive}.tar.xz"
            pack(folder, packed)
            pieces = cut(packed, archive, options.output, options.piece_mib << 20)
            archives[archive] = {
                "sha256": digest(packed),
                "bytes": packed.stat().st_size,
                "requirements": list(requirements),
                "pieces": pieces,
            }
    manifest = {"python": PYTHON, "archives": archives}
    (options.output / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    print("\n".join(calls(options.output, archives)))


def install(requirements: tuple[str, ...], folder: Path) -> None:
    """Wheels for the other machine, unpacked, without what is never used there."""
    tags = [f"manylinux_{version}_x86_64" for version in PLATFORMS]
    tags += ["manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64", "any"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", f"--python-version={PYTHON}"]
    command += ["--implementation=cp", "--target", str(folder)]
    command += [f"--platform={tag}" for tag in tags]
    subprocess.run([*command, *requirements], check=True)
    for pattern in _UNUSED:
        for path in list(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy_python(prefix: Path, target: Path) -> None:
    """A CPython that runs where it is put, as it finds itself from its executable."""
    library = prefix / "lib" / f"libpython{PYTHON}.so.1.0"
    if not library.is_file():
        raise SystemExit(f"{library} is not there: give --python a CPython {PYTHON} that has one")
    (target / "bin").mkdir(parents=True)
    (target / "lib").mkdir()
    shutil.copy2(prefix / "bin" / f"python{PYTHON}", target / "bin" / "python3")
    shutil.copy2(library, target / "lib")
    shutil.copytree(
        prefix / "lib" / f"python{PYTHON}",
        target / "lib" / f"python{PYTHON}",
        ignore=shutil.ignore_patterns("__pycache__", "config-*", "*.a", *_PYTHON_UNUSED),
    )


def pack(folder: Path, target: Path) -> None:
    with lzma.open(target, "wb", preset=6) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False)


def cut(packed: Path, archive: str, folder: Path, size: int) -> list[dict[str, object]]:
    """The pieces as files `<archive>.00`, `<archive>.01`; their names, sizes and digests."""
    pieces: list[dict[str, object]] = []
    with packed.open("rb") as stream:
        for number, data in enumerate(iter(lambda: stream.read(size), b"")):
            name = f"{archive}.{number:02}"
            (folder / name).write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            pieces.append({"name": name, "bytes": len(data), "sha256": sha256})
    return pieces


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def calls(folder: Path, archives: dict[str, Any]) -> Iterator[str]:
    """What to carry in which call: one piece and the manifest each."""
    names = [str(each["name"]) for one in archives.values() for each in one["pieces"]]
    total = sum(one["bytes"] for one in archives.values())
    yield f"{len(names)} pieces, {total / (1 << 20):.0f} MiB: {len(names)} calls of the device tool"
    yield f"keep them out of git (echo '/{folder.name}/' >> .git/info/exclude); then, a call each:"
    for name in names:
        yield f"  carry {folder.name}/manifest.json {folder.name}/{name}: bash bench/gpu.sh"
    yield "the call that completes `base` goes on to measure; later calls carry nothing"


if __name__ == "__main__":
    main()
