"""Runs the parts, each in a process of its own, and writes what they found.

    python bench/gpu/run.py [--part NAME]... [--device gpu|cpu] [--small] [--budget SECONDS]

A part that fails, hangs or has no time left is recorded, and the rest goes on. What earlier calls
on this machine measured is not measured again, unless --part names it. Called by bench/gpu.sh.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "pipeline")]

from bench.gpu import report
from bench.gpu.parts import PARTS, Run
from ensemblegen.engine import machine

_LAST = 15
"""Seconds kept for the report."""


def main() -> int:
    options = _options()
    gpu = options.device == "gpu"
    if gpu and not machine.gpus():
        print("no NVIDIA GPU answers here; --device cpu --small is the dry run", file=sys.stderr)
        return 3
    out = Path(os.environ.get("OUT") or ROOT / "build/gpu").resolve()
    kept = options.home.resolve() / f"results-{options.device}{'-small' if options.small else ''}"
    for folder in (out, kept):
        folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.budget
    if options.only:
        run = Run(options.home, gpu, options.small, options.command, end)
        found = PARTS[options.only][0](run)
        (kept / f"{options.only}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        return 0
    left = _run_all(options, out, kept, end)
    for path in kept.glob("*.json"):
        (out / path.name).write_bytes(path.read_bytes())
    text = report.table(report.load(kept))
    (out / "table.md").write_text(text, "utf-8")
    print(text)
    if left:
        flags = " ".join(f"--part {name}" for name in left)
        print(f"\nno time was left for: {', '.join(left)}\nnext call: bash bench/gpu.sh {flags}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The GPU's numbers and proofs.")
    parser.add_argument("--part", action="append", choices=PARTS, help="this one; may be repeated")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--small", action="store_true", help="a tiny model: the dry run")
    parser.add_argument("--budget", type=float, default=510, help="seconds for all parts")
    parser.add_argument("--home", type=Path, default=Path("/tmp/ensemblegen-gpu"))  # noqa: S108
    parser.add_argument("--only", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--command", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_all(options: argparse.Namespace, out: Path, kept: Path, end: float) -> list[str]:
    """The parts for which there was no time."""
    left = []
    with (out / "log.txt").open("a", encoding="utf-8") as log:
        for name, (_, least) in PARTS.items():
            if options.part and name not in options.part:
                continue
            if not options.part and _done(kept / f"{name}.json"):
                print(f"{name}: kept from an earlier call", flush=True)
                continue
            remaining = end - time.monotonic() - _LAST
            if remaining < min(least, options.budget / 2):
                left.append(name)
                continue
            start = time.monotonic()
            words = _part(options, name, remaining, kept, log)
            print(f"{name}: {words} after {time.monotonic() - start:.0f} s", flush=True)
    return left


def _done(path: Path) -> bool:
    return path.is_file() and "error" not in json.loads(path.read_text("utf-8"))


def _part(options: argparse.Namespace, name: str, limit: float, kept: Path, log: Any) -> str:
    command = [sys.executable, "-u", str(Path(__file__).resolve()), "--only", name]
    command += ["--device", options.device, "--home", str(options.home)]
    # The part stops by itself a little earlier, and so keeps what it has.
    command += ["--budget", str(max(10.0, limit - 20))]
    command += ["--small"] if options.small else []
    command += ["--command", shlex.join(["bench/gpu.sh", *_own(sys.argv[1:])])]
    print(f"--- {name}", file=log, flush=True)
    with subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            # Its servers have guards that end them when it is gone.
            os.killpg(process.pid, signal.SIGKILL)
            status = None
    if status == 0:
        return "done"
    words = f"stopped after {limit:.0f} s" if status is None else f"exit code {status}, see log.txt"
    (kept / f"{name}.json").write_text(json.dumps({"error": words}) + "\n", "utf-8")
    return words


def _own(words: list[str]) -> list[str]:
    """The arguments of the user, without what bench/gpu.sh puts before them."""
    return words[2:] if words[:1] == ["--home"] else words


if __name__ == "__main__":
    sys.exit(main())
