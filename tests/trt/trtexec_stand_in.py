"""A program in the place of trtexec: it checks its arguments, and writes a plan of its own making.

This is the one place where something stands in for the real thing: TensorRT does not exist on
machines without a GPU, and what is tested here is what we pass to it and do with what it leaves.
Whether the real trtexec takes the same words is not shown by it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_SPEC = re.compile(r"[^,:*']+(:[^,:*']+)*:\d+(x\d+)*")
_FLAGS = {"--fp16", "--bf16", "--int8", "--fp8", "--best", "--skipInference"}
_VALUES = {"--onnx", "--saveEngine", "--memPoolSize", "--profile"}
_SHAPES = {"--minShapes", "--optShapes", "--maxShapes"}


def main(words: list[str]) -> int:
    sys.stdout.write(f"&&&& RUNNING TensorRT.trtexec [TensorRT v100500] # trtexec {words}\n")
    sys.stdout.flush()
    if words == ["--help"]:
        return 0
    given = dict(word.partition("=")[::2] for word in words)
    wrong = fault(given)
    if wrong is not None:
        sys.stdout.write(f"[I] parsed\n[E] {wrong}\n&&&& FAILED TensorRT.trtexec\n")
        return 1
    if "STAND_IN_IDLES" not in os.environ:
        plan = b"ftrt" + repr(sorted(given)).encode() + bytes(64)
        Path(given["--saveEngine"]).write_bytes(plan)
    sys.stdout.write("&&&& PASSED TensorRT.trtexec\n")
    return 0


def fault(given: dict[str, str]) -> str | None:
    for name, value in given.items():
        if name in _SHAPES and not all(_SPEC.fullmatch(each) for each in value.split(",")):
            return f"{name}: {value}"
        if name not in _FLAGS | _VALUES | _SHAPES and not name.startswith("--builder"):
            return f"Unknown option: {name}"
    if not Path(given["--onnx"]).read_bytes():
        return "the model is empty"
    return "Error[4]: no kernel fits" if "STAND_IN_FAILS" in os.environ else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
