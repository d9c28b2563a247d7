"""How fast an environment is packed: ours against `conda_pack.pack` as it comes, on one prefix.

    python bench/pack.py [--prefix PATH] [--package scipy ...] [--rounds 5]

Without --prefix it installs a Python of this machine (an offline conda channel is made of it) and
pip's packages, about 250 MB, into a temporary folder. The two take turns; prints seconds (minimum
and median), sizes, and the ratio that should stay: ours at least 2.5 times as fast.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ensemblegen.environments import conda
from ensemblegen.environments.archive import examine
from ensemblegen.environments.pack import pack_conda
from ensemblegen.environments.progress import silent
from tests.environments import channel

PACKAGES = ("numpy<2", "scipy", "treelite", "regex", "scikit-learn", "pandas")
MB = 1_000_000


def installed(folder: Path, packages: list[str]) -> Path:
    """A conda environment below `folder`, of this machine's newest Python and `packages`."""
    interpreter = channel.find()[-1]
    url = channel.build(folder / "channel", [interpreter.executable])
    virtual = {"__glibc": "2.35", "__linux": "5.10", "__unix": "0"}
    specs = (f"python {interpreter.minor}.*",)
    request = conda.Request((url,), specs, "linux-64", virtual, offline=False)
    prefix, cache = folder / "env", folder / "cache"
    found = conda.solve(request, cache, silent)
    conda.install(found, prefix, cache, silent, offline=False)
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python3"), "install"]
    options = ["--quiet", "--no-compile", "--only-binary", ":all:"]
    subprocess.run([*pip, *options, *packages], check=True)
    return prefix


def default(prefix: Path, archive: Path) -> None:
    import conda_pack  # type: ignore[import-untyped]

    conda_pack.pack(prefix=str(prefix), output=str(archive), force=True)


def ours(prefix: Path, archive: Path) -> None:
    pack_conda(prefix, archive, {}, silent)


def timed(pack: Callable[[Path, Path], None], prefix: Path, archive: Path) -> float:
    start = time.perf_counter()
    pack(prefix, archive)
    return time.perf_counter() - start


def compare(prefix: Path, folder: Path, rounds: int) -> None:
    ways = {"conda-pack": default, "ensemblegen": ours}
    files = {name: folder / f"{name}.tar.gz" for name in ways}
    for name, pack in ways.items():
        pack(prefix, files[name])  # warm
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, pack in ways.items():
            seconds[name].append(timed(pack, prefix, files[name]))
    contents = examine(files["ensemblegen"], silent)
    print(f"{contents.size / MB:.0f} MB in {contents.files} files")
    for name, times in seconds.items():
        size = files[name].stat().st_size / MB
        shown = f"min {min(times):6.3f} s   median {statistics.median(times):6.3f} s"
        print(f"{name:<12} {shown}   {size:6.1f} MB")
    ratios = [a / b for a, b in zip(seconds["conda-pack"], seconds["ensemblegen"], strict=True)]
    print(f"ensemblegen against conda-pack: {statistics.median(ratios):.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time packing.")
    parser.add_argument("--prefix", type=Path, help="a conda environment to pack")
    parser.add_argument("--package", action="append", help="for pip, instead of the usual ones")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix = options.prefix or installed(folder, options.package or list(PACKAGES))
        compare(prefix, folder, options.rounds)


if __name__ == "__main__":
    main()
