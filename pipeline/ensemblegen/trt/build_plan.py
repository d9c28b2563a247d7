"""Build the TensorRT plan of the model in whose folder this lies: `python3 build_plan.py`.

ensemblegen puts it there where a repository was compiled without trtexec. Run it on the machine
that serves: a plan is for one kind of GPU and one version of TensorRT. It needs Python and trtexec,
and nothing of ensemblegen; trtexec.json beside it holds the command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

NAME, ORDER = "build_plan.py", "trtexec.json"
PROGRAM = "trtexec"
_BESIDE = "/usr/src/tensorrt/bin"
"""Where NVIDIA's packages and images put it, mostly not on PATH."""
_SAVE = "--saveEngine="
_PARTIAL = ".partial"


class BuildError(Exception):
    """There is no plan; the message says why."""


def find() -> str | None:
    """The path of trtexec."""
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=_BESIDE)


def content() -> bytes:
    """This file, as it goes into repositories."""
    return Path(__file__).read_bytes()


def run(program: str, arguments: Sequence[str], folder: Path, log: IO[bytes] | None) -> Path:
    """Run trtexec in `folder`; the plan that `--saveEngine` names is there whole, or not at all.

    Its words go to `log`, or where ours go.
    """
    plan = folder / next(word for word in arguments if word.startswith(_SAVE))[len(_SAVE) :]
    partial = plan.with_name(plan.name + _PARTIAL)
    words = [f"{_SAVE}{partial}" if word.startswith(_SAVE) else word for word in arguments]
    try:
        status = subprocess.run(
            [program, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
            stderr=None if log is None else subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
        if status:
            raise BuildError(f"{PROGRAM} ended with exit code {status}")
        if not partial.is_file() or not partial.stat().st_size:
            raise BuildError(f"{PROGRAM} ended well and wrote no plan")
        os.replace(partial, plan)  # noqa: PTH105 - this file stands alone
    except OSError as error:
        raise BuildError(f"{error.filename or program}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return plan


def main() -> int:
    """Build the plan; 0 if it is there then, 3 if this machine cannot."""
    folder = Path(__file__).resolve().parent
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    program = find()
    if program is None:
        sys.stderr.write(f"there is no {PROGRAM} here; {order['container']} has it\n")
        return 3
    try:
        plan = run(program, order["command"][1:], folder, None)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(f"{plan}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
