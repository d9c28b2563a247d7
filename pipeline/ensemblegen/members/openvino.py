"""OpenVINO models on Triton's OpenVINO backend, which runs on CPUs.

The backend gives the model a fixed batch, max_batch_size, and compares the rest with the config
when it loads. A smaller batch is refused unless it is to be filled up, and that it can only where
the model fixes all other sizes: the room to fill is made from them (openvino.cc `ProcessRequests`,
`SetInputTensors`).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ensemblegen.artifacts import openvino as artifact
from ensemblegen.artifacts.openvino import Graph, NotOpenVinoError, Tensor
from ensemblegen.backends import openvino
from ensemblegen.content import Content, Linked
from ensemblegen.members import ends
from ensemblegen.members.ends import End, Reading
from ensemblegen.members.kind import Kind, Member, Memory, Signature, Site
from ensemblegen.places import At
from ensemblegen.spec import StepInput, StepSpec, TensorSpec
from ensemblegen.targets import Target
from ensemblegen.types import ANY
from ensemblegen.words import Count, Flag, Path, Place, TensorName, from_


class OpenVinoSpec(StepSpec):
    """An OpenVINO model (IR). Its tensors are named as in the file."""

    kind = "openvino"

    openvino: Path = Field(description="The model's .xml; its weights are the .bin beside it.")
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)
    outputs: dict[TensorName, TensorSpec] = Field(
        default_factory=dict, description="Read from the file if left out."
    )
    threads: Count | None = Field(None, description="For inference; all cores if left out.")
    streams: Count | Literal["auto", "numa"] | None = Field(
        None, description="Inferences at once; not more than cores, nor than instances."
    )
    performance: Literal["latency", "throughput", "cumulative_throughput"] | None = Field(
        None, description="What OpenVINO sets its other options for."
    )
    bf16: Flag = Field(False, description="Compute in bfloat16 where the CPU has it.")


@dataclass(frozen=True, slots=True)
class _Artifact:
    path: pathlib.Path
    weights: pathlib.Path | None
    parameters: Mapping[str, str]


class OpenVino(Kind):
    word = "openvino"
    backend = openvino.BACKEND
    spec = OpenVinoSpec
    dtypes = openvino.DTYPES
    sets: ClassVar[Mapping[At, At]] = {
        ("threads",): ("parameters", openvino.THREADS),
        ("streams",): ("parameters", openvino.STREAMS),
        ("performance",): ("parameters", openvino.HINT),
        ("bf16",): ("parameters", openvino.BF16),
    }

    def read(self, step: OpenVinoSpec, site: Site) -> Signature | None:
        path = site.file(step.openvino, "openvino")
        if path is None:
            return None
        before = len(site.problems)
        try:
            graph = artifact.read(path)
        except NotOpenVinoError as error:
            hint = "write it with openvino.save_model(model, 'model.xml')"
            site.problem("E402", f"{step.openvino} {error}", "openvino", hint=hint)
            return None
        weights = _weights(step, path, site) if graph.weighs else None
        reading = Reading(site, step, "openvino", step.openvino)
        if not _check_ends(reading, graph):
            return None
        ins = ends.inputs(reading, _ends(graph.inputs))
        outs, same = ends.outputs(reading, _ends(graph.outputs))
        if len(site.problems) > before:
            return None
        found = _Artifact(path, weights, _parameters(step))
        return Signature(ins, outs, found, same)

    def devices(self, step: OpenVinoSpec, signature: Signature) -> tuple[Place, ...]:
        return ("cpu",)

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        padded = {openvino.PADDING: "YES"} if member.max_batch_size > 1 else {}
        return {**padded, **member.artifact.parameters}

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        return Memory("host")

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        found: _Artifact = member.artifact
        yield f"1/{openvino.FILE}", Linked(found.path)
        if found.weights is not None:
            yield f"1/{openvino.WEIGHTS}", Linked(found.weights)


def _parameters(step: OpenVinoSpec) -> dict[str, str]:
    said: dict[str, Any] = {
        openvino.THREADS: step.threads,
        openvino.STREAMS: step.streams,
        openvino.HINT: step.performance,
        openvino.BF16: "YES" if step.bf16 else None,
    }
    return {name: str(value).upper() for name, value in said.items() if value is not None}


def _weights(step: OpenVinoSpec, path: pathlib.Path, site: Site) -> pathlib.Path | None:
    weights = path.with_suffix(".bin")
    if weights.is_file():
        return weights
    message = f"the weights of {step.openvino} are not beside it: there is no {weights.name}"
    hint = "OpenVINO writes two files; copy the .bin, too"
    site.problem("E401", message, "openvino", hint=hint)
    return None


def _check_ends(reading: Reading, graph: Graph) -> bool:
    for each in (*graph.inputs, *graph.outputs):
        if each.name is None:
            message = f"an input or output of {reading.file} has no name"
            hint = "name it before it is saved: model.output(0).set_names({'scores'})"
            reading.problem("E406", message, hint)
            return False
    size = reading.max_batch_size
    scalar = next((each for each in (*graph.inputs, *graph.outputs) if not each.shape), None)
    if scalar is not None:
        message = f"'{scalar.name}' of {reading.file} has no axis, which the backend needs"
        hint = "save it with an axis in front: of the batch, or [1]"
        reading.problem("E467" if size else "E406", message, hint)
        return False
    open_ = next((each for each in graph.inputs if ANY in each.shape[1:]), None)
    if size > 1 and open_ is not None:
        sizes = ", ".join("?" if each == ANY else str(each) for each in open_.shape)
        message = f"'{open_.name}' of {reading.file} is [{sizes}]: the backend fills every batch "
        message += f"up to {size} rows, which it can only if all other sizes are fixed"
        hint = "fix them with model.reshape(), or set max_batch_size to 1 or 0"
        reading.problem("E467", message, hint)
        return False
    return True


def _ends(tensors: Sequence[Tensor]) -> tuple[End, ...]:
    return tuple(End(each.name or "", each.dtype, each.shape) for each in tensors)
