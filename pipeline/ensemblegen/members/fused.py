"""Several Python steps as one model: what `fusion` puts together is emitted here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ensemblegen import json_text
from ensemblegen.backends.python import ENVIRONMENT, FORCE_CPU
from ensemblegen.content import Content
from ensemblegen.members.kind import Kind, Member, Memory, Signature, Site
from ensemblegen.members.python import needs_gpu_inputs, runtime, sources, step_data
from ensemblegen.targets import Target
from ensemblegen.words import Place


@dataclass(frozen=True)
class Link:
    """One step of the chain, and what the tensors that it takes and gives are called outside."""

    member: Member
    sources: Mapping[str, str]
    gives: Mapping[str, str]


class Fused(Kind):
    """No pipeline.yaml has a step of this kind; `artifact` is a tuple of Links, in their order."""

    word = "fused"
    backend = "python"
    optional_inputs = True
    pads = True

    def read(self, step: Any, site: Site) -> Signature | None:
        raise AssertionError("nobody writes a fused step")

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        execution = member.executions.get(device)
        given = {ENVIRONMENT: execution.value} if execution else {}
        if needs_gpu_inputs(_links(member)[0].member, device):
            given[FORCE_CPU] = "no"
        return given

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        first = _links(member)[0].member  # all are alike
        return first.kind.memory(first, device, target, writes=writes)

    def asked_by(self, member: Member, pipeline: str) -> Member:
        links = tuple(
            replace(each, member=each.member.kind.asked_by(each.member, pipeline))
            for each in _links(member)
        )
        return replace(member, pipeline=pipeline, artifact=links)

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        yield from runtime()
        yield "1/step.json", _step_json(member)
        written: set[str] = set()
        for link in _links(member):
            for path, content in sources(link.member, f"1/assets/{link.member.step}"):
                if path not in written:  # steps may share a folder of code
                    yield path, content
                written.add(path)
        for execution in member.executions.values():
            yield from execution.files()


FUSED = Fused()


def steps_of(member: Member) -> tuple[str, ...]:
    """The steps whose work the member's model does."""
    if member.kind is FUSED:
        return tuple(each.member.step for each in _links(member))
    return (member.step,)


def _links(member: Member) -> tuple[Link, ...]:
    links: tuple[Link, ...] = member.artifact
    return links


def _step_json(member: Member) -> bytes:
    data: dict[str, Any] = {
        "pipeline": member.pipeline,
        "numpy2": member.numpy2,
        "steps": [
            {**step_data(each.member), "sources": dict(each.sources), "gives": dict(each.gives)}
            for each in _links(member)
        ],
        "outputs": [each.name for each in member.outputs],
    }
    if member.executions:
        data["environments"] = {name: each.expected() for name, each in member.executions.items()}
    return json_text.text(data).encode()
