"""Which step runs on which device, for the choice that was made and for every variant.

A variant is a complete answer under a name: `cpu`, `gpu`, and each profile. The choice of the
command line wins over the file: `--device` over everything, then `--profile`, then a step's own
`device`, then the pipeline's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ensemblegen.errors import Problem, did_you_mean
from ensemblegen.graph import Graph
from ensemblegen.spec import PipelineSpec
from ensemblegen.words import DEVICES, Device, Place

Devices = Mapping[str, Place]
"""The device of each step."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line asks for; nothing means what the file says."""

    device: Device | None = None
    profile: str | None = None
    fuse: bool | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """The chosen devices, the name they go by, and all variants that the steps can run in."""

    name: str
    devices: Devices
    variants: Mapping[str, Devices]


def resolve(
    pipeline: PipelineSpec, graph: Graph, choice: Choice
) -> tuple[Placement | None, list[Problem]]:
    """Place every step. Without a placement, the problems say why."""
    problems = list(_profile_problems(pipeline, graph))
    if choice.profile is not None and choice.profile not in pipeline.profiles:
        message = f"there is no profile '{choice.profile}'"
        hint = did_you_mean(choice.profile, pipeline.profiles) or "the file has no `profiles`"
        span = graph.document.key_span(("profiles",)) if pipeline.profiles else None
        problems.append(Problem("E501", message, span, hint))
        return None, problems
    name, devices = _chosen(pipeline, choice)
    problems += _missing(graph, devices)
    for profile in pipeline.profiles:
        span = graph.document.key_span(("profiles", profile))
        problems += [
            replace(each, span=span, message=f"in profile '{profile}': {each.message}")
            for each in _missing(graph, _in_profile(pipeline, profile))
            if each not in problems
        ]
    if problems:
        return None, problems
    every: dict[str, Devices] = {device: _all_on(pipeline, device) for device in DEVICES}
    every |= {each: _in_profile(pipeline, each) for each in pipeline.profiles}
    possible = {key: value for key, value in every.items() if not any(_missing(graph, value))}
    return Placement(name, devices, possible), []


def _chosen(pipeline: PipelineSpec, choice: Choice) -> tuple[str, Devices]:
    if choice.device is not None:
        return choice.device, _all_on(pipeline, choice.device)
    if choice.profile is not None:
        return choice.profile, _in_profile(pipeline, choice.profile)
    devices = _in_profile(pipeline, None)
    alike = set(devices.values()) - {"auto"}
    written = len(alike) != 1 or "auto" in devices.values()
    return ("as written" if written else alike.pop()), devices


def _all_on(pipeline: PipelineSpec, device: Device) -> Devices:
    return dict.fromkeys(pipeline.steps, device)


def _in_profile(pipeline: PipelineSpec, profile: str | None) -> Devices:
    written: Mapping[str, Place] = pipeline.profiles[profile] if profile is not None else {}
    return {
        name: written.get(name) or step.device or pipeline.device
        for name, step in pipeline.steps.items()
    }


def _profile_problems(pipeline: PipelineSpec, graph: Graph) -> Iterator[Problem]:
    for profile, devices in pipeline.profiles.items():
        if profile in DEVICES:
            message = (
                f"a profile cannot be called '{profile}': that is what --device {profile} asks"
            )
            yield Problem("E501", message, graph.document.key_span(("profiles", profile)))
        for step in devices:
            if step not in pipeline.steps:
                message = f"profile '{profile}' names no step: there is no '{step}'"
                span = graph.document.key_span(("profiles", profile, step))
                yield Problem("E502", message, span, did_you_mean(step, pipeline.steps))


def _missing(graph: Graph, devices: Devices) -> Iterator[Problem]:
    for node in graph.nodes.values():
        if node.signature is None:
            continue
        able = node.kind.devices(node.step, node.signature)
        if devices[node.name] not in able:
            wanted = devices[node.name]
            message = f"step '{node.name}' has no implementation for {wanted}"
            span = graph.document.span(("steps", node.name, node.kind.word))
            elsewhere = f"place the step on {' or '.join(able)}" if able else None
            hint = ", or ".join(filter(None, (node.kind.remedy(node.step, wanted), elsewhere)))
            yield Problem("E503", message, span, hint)
