"""Runs in the author's Python: one request in, one converted model out.

before  one JSON request on stdin; the working folder is the pipeline's
after   the file `request["result"]`, and one line of JSON on stdout: `facts`, or a `fault`

Only the standard library is imported until the request says what it needs.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from .faults import Fault
from .reads import Reads

_CONVERTERS = {
    "sklearn": "forest",
    "cuml": "forest",
    "xgboost": "forest",
    "lightgbm": "forest",
    "transformers": "transformer",
    "module": "network",
}
"""The module of this package for each word, whose `convert(request)` gives facts."""


def main() -> None:
    """Answer the one request. What anybody prints meanwhile is no part of the answer."""
    line = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    answer = json.dumps(_answer(request)).encode() + b"\n"
    while answer:
        answer = answer[os.write(line, answer) :]
    sys.stderr.flush()
    os._exit(0)  # libraries with threads now and then crash an interpreter that ends


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    reads = Reads(Path.cwd(), request["result"])
    sys.addaudithook(reads)
    try:
        converter = importlib.import_module(f".{_CONVERTERS[request['word']]}", __name__)
        facts = converter.convert(request)
    except Fault as fault:
        return {"fault": [fault.kind, fault.message, fault.hint]}
    except Exception as error:  # noqa: BLE001 - whatever it is, the compiler says it
        traceback.print_exc()
        return {"crash": traceback.format_exception_only(type(error), error)[-1].strip()}
    return {"facts": facts, "read": reads.files()}
