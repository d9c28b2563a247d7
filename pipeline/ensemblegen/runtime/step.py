"""The author's code: found beside `model.py`, made with its context, called by keyword."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from .context import Context
from .failure import StepError
from .spec import Implementation, TensorSpec


class Step:
    """A callable of the declared inputs; `takes_requested` if it wants to know what is asked."""

    def __init__(self, target: Any, context: Context, inputs: tuple[TensorSpec, ...]) -> None:
        self.target: Any = target
        names = [tensor.name for tensor in inputs]
        if inspect.isclass(target):
            make: Any = target
            self.target = make(context) if _takes_arguments(make) else make()
        if not callable(self.target):
            raise StepError(f"{_name(target)} has no __call__ method")
        parameters = _parameters(self.target)
        self._extra: dict[str, Any] = {}
        if not inspect.isclass(target) and "context" in parameters and "context" not in names:
            self._extra["context"] = context
        self.takes_requested = "requested" in parameters and "requested" not in names
        _check_signature(_name(target), parameters, names, [*self._extra, "requested"])
        if _is_coroutine(self.target):
            raise StepError(f"{_name(target)} is async: the runtime calls plain functions")

    def __call__(self, arguments: dict[str, Any], requested: frozenset[str]) -> Any:
        if self.takes_requested:
            return self.target(**arguments, **self._extra, requested=requested)
        return self.target(**arguments, **self._extra)

    def finalize(self) -> None:
        for name in ("finalize", "close"):
            method = getattr(self.target, name, None)
            if callable(method):
                method()
                return


def load(implementation: Implementation, version: Path) -> Any:
    """The class or function that an implementation names, from its folder in the version folder.

    Triton appends the version folder to sys.path, where any installed package of the same name
    would win; so the folder is imported by its place.
    """
    folder = version / implementation.folder
    if not folder.is_dir():
        raise StepError(f"the step's folder {folder} does not exist")
    _import_folder(folder)
    name = f"{implementation.folder}.{implementation.module}"
    module = importlib.import_module(name)
    try:
        return getattr(module, implementation.attribute)
    except AttributeError:
        near = difflib.get_close_matches(implementation.attribute, vars(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise StepError(
            f"{implementation.folder}/{implementation.module}.py "
            f"has no '{implementation.attribute}'{hint}"
        ) from None


def _import_folder(folder: Path) -> None:
    name = folder.name
    for known in [known for known in sys.modules if known.partition(".")[0] == name]:
        del sys.modules[known]
    init = folder / "__init__.py"
    if init.is_file():
        spec = importlib.util.spec_from_file_location(
            name, init, submodule_search_locations=[str(folder)]
        )
    else:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    if spec is None:
        raise StepError(f"the step's folder {folder} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


def _takes_arguments(target: Any) -> bool:
    try:
        return bool(inspect.signature(target).parameters)
    except (ValueError, TypeError):  # written in C: it has no signature to read
        return True


def _parameters(target: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(target).parameters)
    except (ValueError, TypeError):
        return {"arguments": inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)}


def _check_signature(
    name: str, parameters: dict[str, inspect.Parameter], inputs: list[str], extra: list[str]
) -> None:
    """Says at load what every call would fail with."""
    positional = inspect.Parameter.POSITIONAL_ONLY
    anything = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    keywords = [key for key, value in parameters.items() if value.kind is not positional]
    if not any(value.kind is anything[0] for value in parameters.values()):
        missing = [key for key in inputs if key not in keywords]
        if missing:
            raise StepError(f"{name} takes ({', '.join(keywords)}), but its inputs are {inputs}")
    for key, value in parameters.items():
        required = value.default is inspect.Parameter.empty and value.kind not in anything
        if required and (key not in [*inputs, *extra] or value.kind is positional):
            raise StepError(f"{name} requires '{key}', but its inputs are {inputs}")


def _is_coroutine(target: Any) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004 - its kind is asked, not whether it exists
    )


def _name(target: Any) -> str:
    return f"'{getattr(target, '__name__', type(target).__name__)}'"
