"""What belongs to the author: objects of code, pickles, and libraries that may be missing."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import operator
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .faults import Fault

_INSTALLED_AS = {"sklearn": "scikit-learn"}
"""Names of packages where they are not those of their modules."""


def library(name: str, why: str) -> Any:
    """The module `name`, which this Python must have."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing(error.name or name, why) from None


def missing(module: str, why: str) -> Fault:
    """The fault of a Python that lacks `module`."""
    package = _INSTALLED_AS.get(module, module)
    return Fault(
        "python",
        f"{sys.executable} has no '{module}', which {why}",
        f"install {package} there, or name another Python: `python: path/to/bin/python`",
    )


def load(request: dict[str, Any]) -> Any:
    """The object that the request names, or what its pickle holds."""
    if "object" in request:
        return _object(*request["object"])
    return unpickled(request["place"])


def _object(module: str, name: str) -> Any:
    with running(f"importing {module}"):
        code = _file(module) if module.endswith(".py") else importlib.import_module(module)
    try:
        return operator.attrgetter(name)(code)
    except AttributeError:
        known = ", ".join(sorted(each for each in vars(code) if not each.startswith("_")))
        raise Fault("code", f"{module} has no '{name}'", f"it has: {known}") from None


def _file(path: str) -> ModuleType:
    """A file as a module, whose neighbours it can import."""
    full = Path(path).absolute()
    sys.path.insert(0, str(full.parent))
    name = full.stem
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise Fault("code", f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    spec.loader.exec_module(module)
    return module


def called(value: Any, label: str, arguments: dict[str, Any]) -> Any:
    """What a function or class gives."""
    with running(f"{label}()"):
        return value(**arguments)


def is_pickle(path: str) -> bool:
    """Whether it is a pickle by its name or its first byte; joblib's may be compressed."""
    with Path(path).open("rb") as file:
        return file.read(1) == b"\x80" or path.endswith((".pkl", ".pickle", ".joblib"))


def unpickled(path: str) -> Any:
    """What a pickle, plain or of joblib, holds. This runs whatever its writer put into it."""
    with running(f"loading {path}"):
        try:
            joblib = importlib.import_module("joblib")
        except ImportError:
            with Path(path).open("rb") as file:
                return pickle.load(file)  # noqa: S301 - the author asked for it
        return joblib.load(path)


@contextlib.contextmanager
def running(what: str) -> Iterator[None]:
    """The author's code runs meanwhile; what it raises is said with its last line and place."""
    try:
        yield
    except Fault:
        raise
    except ModuleNotFoundError as error:
        raise missing(str(error.name), f"{what} imports") from error
    except BaseException as error:
        traceback.print_exc()
        said = traceback.format_exception_only(type(error), error)[-1].strip()
        raise Fault("code", f"{what} raised {said}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """The innermost line of the author's: ` (train.py:12, in make)`."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if Path.cwd() in path.parents and "site-packages" not in path.parts:
            return f" ({path.relative_to(Path.cwd())}:{frame.lineno}, in {frame.name})"
    return ""
