"""Programs that die with us: nobody else would end one that hangs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

_LAUNCHER = """\
import ctypes, json, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    try:
        os.execve(sys.argv[3], sys.argv[3:], json.loads(sys.argv[2]) or os.environ)
    except OSError as error:
        print(json.dumps({"errno": error.errno}), flush=True)
        raise
"""
"""PR_SET_PDEATHSIG, which holds across execve. Where that fails, a line says why."""


def tied(command: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
    """The command that runs `command`, a path and its arguments, for as long as this process lives.

    `variables` are its own, where this Python could not start with them: others see arguments, so
    what is secret goes into the environment of the process that is started.
    """
    own = json.dumps(dict(variables or {}))
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), own, *command]
