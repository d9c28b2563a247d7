"""The code of a Python step for each device: found, and held against what the step is given."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ensemblegen import catalog
from ensemblegen.artifacts import step_source
from ensemblegen.artifacts.step_source import ArraysPerDevice, EntryError, StepSource
from ensemblegen.errors import InputError, Problem, Span, did_you_mean
from ensemblegen.members.kind import Site
from ensemblegen.spec import PerDevice
from ensemblegen.words import DEVICES, Device

_RESERVED = frozenset({
    "assets", "cudf", "cuml", "cupy", "ensemblegen_runtime", "model", "numpy", "tokenizers",
    "torch", "transformers", "triton_python_backend_utils", *sys.stdlib_module_names,
})  # fmt: skip
"""Names that the version folder needs for itself, or that a step may want to import."""

_DEFAULT_ARRAYS: Mapping[Device, str] = {"cpu": "numpy", "gpu": "cupy"}


@dataclass(frozen=True, slots=True)
class Implementation:
    """A class or function, and the kind of arrays that it works with."""

    source: StepSource
    module: str
    attribute: str
    arrays: str


def read(
    words: PerDevice, arrays: ArraysPerDevice | None, site: Site
) -> dict[Device, Implementation]:
    """The implementation on each device that has one; faults are reported at `site`."""
    sources: dict[str, StepSource | None] = {}
    found: dict[Device, Implementation] = {}
    for device in DEVICES:
        word = words.get(device)
        if word is None:
            continue
        if word not in sources:
            sources[word] = _source(word, site)
        source = sources[word]
        made = _implementation(source, device, arrays, site) if source is not None else None
        if made is not None:
            found[device] = made
    _require_alike(found, site)
    return found


def _implementation(
    source: StepSource, device: Device, arrays: ArraysPerDevice | None, site: Site
) -> Implementation | None:
    try:
        chosen = step_source.entry(source, device)
    except EntryError as error:
        _report(Problem("E409", str(error), error.span or _place(site), error.hint), site)
        return None
    if chosen is None:
        return None
    for problem in _signature_problems(source, *chosen, site):
        _report(problem, site)
    library = _arrays(arrays, source, device)
    if library == "cupy" and device == "cpu":
        return None
    return Implementation(source, *chosen, library)


def _place(site: Site) -> Span:
    return site.document.span(site.at("python"))


def _report(problem: Problem, site: Site) -> None:
    if problem not in site.problems:  # both devices may share the fault
        site.problems.append(problem)


def _source(word: str, site: Site) -> StepSource | None:
    name, _, attribute = word.partition(":")
    path = catalog.find_step(name, site.folder)
    if path is None:
        hint = did_you_mean(name, catalog.step_names(site.folder))
        site.problem("E408", f"there is no Python step '{name}'", "python", hint=hint)
        return None
    try:
        found = step_source.load(path, attribute or None)
    except InputError as error:
        site.problems.extend(error.problems)
        return None
    for message, hint in _unusable(found, site):
        site.problem("E409", message, "python", hint=hint)
        return None
    return found


def _unusable(found: StepSource, site: Site) -> Iterator[tuple[str, str]]:
    if found.package in _RESERVED:
        message = f"a step cannot be called '{found.package}'"
        yield f"{message}: it would hide the module of that name", "rename its folder or file"
    if found.single and "." in found.package:
        yield f"'{found.path.name}' cannot be imported", "take the dots out of its name"
    if not found.single and site.folder.resolve().is_relative_to(found.path.resolve()):
        message = "a step's folder cannot hold the pipeline: all of it would be copied"
        yield message, "put the step into a folder of its own, or name its .py file"
    for name in step_source.neighbours(found):
        message = f"{found.path.name} imports '{name}', a file beside it that is not copied with it"
        hint = "put both into a folder with step.py and import with `from .name import ...`"
        yield message, hint
    for inner, _ in found.files():
        if inner != inner.encode("utf-8", "replace").decode():
            yield f"the file name {inner!a} is not UTF-8", "rename the file"


def _require_alike(found: Mapping[Device, Implementation], site: Site) -> None:
    """Two implementations are two folders, and one signature."""
    if len(found) < 2:
        return
    one, other = found["cpu"].source, found["gpu"].source
    if one.path == other.path:
        return
    if one.package == other.package:
        message = f"both implementations are called '{one.package}': one would overwrite the other"
        site.problem("E409", message, "python", hint="rename one of their folders or files")
    elif one.file and other.file and _signature(one) != _signature(other):
        message = "step.yaml of the two implementations differ in their inputs or outputs"
        site.problem("E407", message, "python", hint=f"see {one.package} and {other.package}")


def _signature(source: StepSource) -> object:
    return (source.file.inputs, source.file.outputs) if source.file else None


def _arrays(arrays: ArraysPerDevice | None, source: StepSource, device: Device) -> str:
    for words in (arrays, source.file.arrays if source.file else None):
        chosen = words.get(device) if words is not None else None
        if chosen is not None:
            return chosen
    return _DEFAULT_ARRAYS[device]


def _signature_problems(
    source: StepSource, module: str, attribute: str, site: Site
) -> Iterator[Problem]:
    """Inputs that the code does not take, and parameters that nothing feeds."""
    parameters = step_source.parameters(source, module, attribute)
    step = site.pipeline.steps[site.name]
    inputs = source.file.inputs if source.file else step.inputs
    if parameters is None:
        return
    takes = f"{attribute} in {source.code(module).name} takes ({', '.join(parameters.names)})"
    for name in inputs:
        if name not in parameters.names and not parameters.any:
            span = site.document.key_span(site.at("inputs", name))
            if source.document is not None:
                span = source.document.key_span(("inputs", name))
            hint = did_you_mean(name, set(parameters.names) - set(inputs))
            yield Problem("E204", f"{takes}, not '{name}'", span, hint)
    missing = [name for name in parameters.required if name not in inputs]
    wrong = any(name not in parameters.names for name in inputs)
    if missing and not wrong:
        span = site.document.key_span(site.at("inputs"))
        yield Problem("E203", f"{takes}; '{missing[0]}' is not connected", span)
