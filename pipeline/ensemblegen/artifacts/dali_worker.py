"""Serializes a DALI pipeline for dali_definition.py, in its own process: it is the author's code.

before  a version folder as the server would see it, named in the arguments with the devices
after   `<name>.dali` for each name, or `fault.json` with what went wrong, in the folder `out`

Run by path; the modules beside it are named after the libraries whose files they read, and must
not be found in their place.
"""

from __future__ import annotations

import sys

sys.path[:] = [each for each in sys.path if each != __file__.rpartition("/")[0]]

import importlib.util  # noqa: E402
import json  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from types import ModuleType  # noqa: E402


def main(folder: Path, out: Path) -> None:
    sys.dont_write_bytecode = True
    try:
        _without_traces()
        both = _module(folder / "dali.py").takes_device()
        for name in ("cpu", "gpu") if both else ("dali",):
            # Without a GPU a pipeline for one can be written down, but not built.
            made = _module(folder / f"{name}.py").pipeline(device_id=None)
            (out / f"{name}.dali").write_bytes(made.serialize())
    except BaseException as error:  # noqa: BLE001 - whatever the author's code raises is told
        (out / "fault.json").write_text(json.dumps(_fault(error, folder)), encoding="utf-8")


def _without_traces() -> None:
    """No paths and lines of code in what is serialized: it is to be the same everywhere."""
    try:
        from nvidia.dali._utils import dali_trace
    except ImportError:  # before 1.37 there were none
        return
    dali_trace.set_tracing(enabled=False)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fault(error: BaseException, folder: Path) -> dict[str, object]:
    """The error in a line, and the line of the definition that raised it, if one did."""
    own = folder / "definition"
    lines = [
        each.lineno
        for each in traceback.extract_tb(error.__traceback__)
        if Path(each.filename).parent == own
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent == own:
        lines.append(error.lineno)
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {"message": said, "line": lines[-1] if lines else None}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
