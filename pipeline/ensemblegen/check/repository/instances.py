"""Are the instances of a model such that Triton can make them?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ensemblegen.codes import CODES
from ensemblegen.errors import Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository.model import CONFIG, Model, Repository

FIELD = "instance_group"
_NO_GPUS = {2: "KIND_CPU", 3: "KIND_MODEL"}
_SHELL = re.compile(r"[;|&$`<>()\"'\\]")
"""What ends or changes a word of the shell that starts a stub (python_backend stub_launcher.cc)."""


def instances(model: Model, repository: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or model.is_ensemble:
        return
    for number, group in enumerate(config.message.instance_group):
        yield from _group(model, config, number, group)
    if model.backend == "python":
        yield from _names(model, config, repository)


def _group(model: Model, config: Config, number: int, group: Any) -> Iterator[Problem]:
    at = (FIELD, number)
    if not config.knows(*at):
        return
    kind = _NO_GPUS.get(group.kind)
    if kind is not None and group.gpus:
        text = f"an instance group of '{model.name}' is {kind} and names GPUs"
        yield Problem(
            "E505", text, config.key_span((*at, "gpus", 0)), "remove gpus, or write KIND_GPU"
        )
    elif any(each < 0 for each in group.gpus):
        text = f"an instance group of '{model.name}' names the GPU {min(group.gpus)}"
        hint = "GPUs count from 0; without gpus there are instances on each"
        yield Problem("E505", text, config.key_span((*at, "gpus", 0)), hint)
    if group.profile and model.backend not in ("", "tensorrt"):
        text = f"an instance group of '{model.name}' has a profile, as only TensorRT models do"
        yield Problem("E505", text, config.key_span((*at, "profile", 0)), "remove profile")
    if group.count < 0 or (group.count == 0 and (*at, "count") in config.values):
        text = f"an instance group of '{model.name}' has the count {group.count}"
        hint = "Triton makes as many as without a count, mostly one: write how many there shall be"
        yield Problem("E506", text, config.span((*at, "count")), hint)


def _names(model: Model, config: Config, repository: Repository) -> Iterator[Problem]:
    """The stub of an instance is started with the folder and the instance's name as they are."""
    if model.folder is not None and (repository.alternate is None or CONFIG not in model.files):
        span = config.span(("name",)) if config.message.name else config.span(())
        for problem in _shell(repository, model.name, f"the folder of '{model.name}'"):
            yield Problem(*problem, span, "rename it: letters, digits and . _ -")
    for number, group in enumerate(config.message.instance_group):
        if config.knows(FIELD, number, "name"):
            span = config.span((FIELD, number, "name"))
            for problem in _shell(repository, group.name, f"an instance group of '{model.name}'"):
                yield Problem(*problem, span, "rename it: letters, digits and . _ -")


def _shell(repository: Repository, name: str, who: str) -> Iterator[tuple[str, str]]:
    odd = _SHELL.search(name)
    target, mended = repository.target, CODES["E508"].until
    if odd is not None:
        text = f"{who} has {odd[0]} in its name, at which Triton's shell stops"
        yield "E507", text
    elif re.search(r"\s", name) and not (target and mended and target.has(mended)):
        yield "E508", f"{who} has a space in its name: before {mended}, Triton does not start"
