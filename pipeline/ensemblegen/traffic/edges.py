"""What passes between the steps of a pipeline: every tensor, and what it costs to hand it over.

before  Plan
after   Traffic: the steps in an order in which they can run, and one edge for each of their inputs

Pipelines inside pipelines are not steps: Triton hands their tensors on by reference, so an edge
leads from the step that writes a tensor to the step that reads it, however deep either stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ensemblegen.members import Memory
from ensemblegen.plan import Plan
from ensemblegen.traffic import amount
from ensemblegen.traffic.amount import Amount
from ensemblegen.traffic.wires import Side, Step, Wires
from ensemblegen.types import DType, Tensor

_STRINGS = Memory("host", "strings are always in host memory")
_REQUEST = Memory(
    "host", "the client's request is in host memory unless it uses CUDA shared memory"
)
_ANSWER = Memory("host", "the client's answer is in host memory unless it uses CUDA shared memory")


@dataclass(frozen=True, slots=True)
class End:
    """Where an edge begins or ends."""

    step: Step | None
    """None for the client."""
    port: str
    """The step's output or input, or the pipeline's input or output, as the author calls it."""
    memory: Memory

    @property
    def name(self) -> str:
        return f"{self.step.name}.{self.port}" if self.step else self.port

    @property
    def apart(self) -> bool:
        return self.step is not None and self.step.apart

    @property
    def where(self) -> str:
        """`host`, `shared memory` (a Python step's, on the host), `gpu 0`, `host or gpu`."""
        if self.memory.place == "host":
            return "shared memory" if self.apart else "host"
        if self.memory.place == "open" or self.step is None:
            return "host or gpu"
        return self.step.place

    @property
    def why(self) -> str:
        if self.step is None:
            return str(self.memory.reason)
        if self.memory.reason is not None:
            subject = "" if self.memory is _STRINGS else f"'{self.step.name}': "
            return f"{subject}{self.memory.reason}"
        if self.step.device == "auto":
            return f"the server places '{self.step.name}'"
        return f"'{self.step.name}' runs on {self.step.place}"


@dataclass(frozen=True, slots=True)
class Edge:
    """One tensor on its way from the step (or client) that gives it to one that takes it."""

    tensor: str
    """Its name inside the ensemble."""
    type: Tensor | None
    """Of one item: a row of the pipeline's batch, or the whole request where it has none; None
    where only the server learns it.
    """
    batch: int
    """Items of the largest batch."""
    source: End
    target: End
    returns: bool = False
    """Whether it comes back from a model that the reader called."""

    @property
    def item(self) -> Amount:
        """The bytes of one item."""
        return amount.of(self.type) if self.type is not None else amount.UNKNOWN

    @property
    def type_text(self) -> str:
        return str(self.type) if self.type is not None else "?"

    @property
    def full(self) -> int | None:
        """Bytes of the largest batch; None where that is known only at run time."""
        known = self.item.known
        return None if known is None else known * self.batch

    @property
    def crosses_device(self) -> bool | None:
        """Whether it is copied between host and GPU; None where only the server will know."""
        places = {self.source.memory.place, self.target.memory.place}
        return None if "open" in places else len(places) == 2

    @property
    def crosses_process(self) -> bool:
        return self.source.apart or self.target.apart

    @property
    def between_steps(self) -> bool:
        return self.source.step is not None and self.target.step is not None

    @property
    def copies_in(self) -> int:
        """How often it is copied to be where its reader takes it.

        A client's answer and a Python step's shared memory are each one copy, from the GPU as from
        the host. A GPU tensor reaches a Python step on the GPU as a handle; one from the host goes
        through shared memory and then up. Backends inside the server read it where it lies.
        """
        crosses = bool(self.crosses_device)
        if self.target.step is None:
            return 1
        if not self.target.apart:
            return int(crosses)
        if self.target.memory.place == "gpu":
            return 2 if crosses else 0
        return 1

    @property
    def copies_out(self) -> int:
        """How often it is copied to leave its writer, however many read it: once if in a process
        of its own, whose memory the server cannot lend on.
        """
        return int(self.source.apart)

    @property
    def between_gpus(self) -> bool:
        """Whether it may have to go from one GPU to another: ensembles pick instances freely."""
        on = [end.step.gpus for end in (self.source, self.target)
              if end.step and end.memory.place == "gpu"]  # fmt: skip
        return len(on) == 2 and (on[0] != on[1] or len(on[0]) != 1)

    @property
    def reason(self) -> str:
        """Why it crosses to another memory or process; empty where it does neither."""
        if self.crosses_device is not False:
            return f"{self.source.why}, {self.target.why}"
        if self.between_gpus:
            return f"{self.source.why}, {self.target.why}: it may go from GPU to GPU"
        apart = [end.step.name for end in (self.source, self.target) if end.step and end.apart]
        if not apart:
            return ""
        names = " and ".join(f"'{name}'" for name in apart)
        runs = "runs in a process of its" if len(apart) == 1 else "run in processes of their"
        on_gpu = self.source.memory.place == "gpu"
        return f"{names} {runs} own" + ("; handed over on the GPU" if on_gpu else "")


@dataclass(frozen=True)
class Traffic:
    """A pipeline as what it moves."""

    name: str
    device: str
    """What the placement goes by."""
    batch: int
    """Items of the largest batch; 1 where there is no batch axis."""
    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    """By the step that takes the tensor, in the order of `steps`; the client's answer last."""

    @cached_property
    def copied(self) -> Amount:
        """Bytes that are copied for one item, all edges together."""
        outs = {(each.source.name, each.tensor): each for each in self.edges}
        return amount.total(
            [
                *(amount.total((each.item,), each.copies_in) for each in self.edges),
                *(amount.total((each.item,), each.copies_out) for each in outs.values()),
            ]
        )

    @cached_property
    def batch_bytes(self) -> Mapping[str, int]:
        """By model, the bytes of all that its largest batch takes and gives, as far as fixed.

        A tensor counts once for the model that gives it, and for each input that takes it. Where
        a model runs in several steps, the one that moves most.
        """
        moved: dict[str, int] = {}
        steps = {each.name: each for each in self.steps}
        sides = {(each.target.name, False): each for each in self.edges}
        sides |= {(each.source.name, True): each for each in self.edges}
        for (_, writes), edge in sides.items():
            step = edge.source.step if writes else edge.target.step
            if step is not None:
                items = step.member.max_batch_size or self.batch
                moved[step.name] = moved.get(step.name, 0) + edge.item.least * items
        found: dict[str, int] = {}
        for name, size in moved.items():
            model = steps[name].member.model
            found[model] = max(size, found.get(model, 0))
        return found


def trace(plan: Plan) -> Traffic:
    """Follow every tensor of `plan` from where it is written to where it is read."""
    found = Wires(plan)
    steps = found.order()
    place = {step.name: i for i, step in enumerate(steps)}

    def by_reader(edge: Edge) -> int:
        return place[edge.target.step.name] if edge.target.step else len(steps)

    edges = sorted((_edge(plan, found, read) for read in found.reads), key=by_reader)
    return Traffic(plan.name, plan.device, max(1, plan.max_batch_size), steps, tuple(edges))


def _edge(plan: Plan, found: Wires, read: Side) -> Edge:
    tensor = found.root(read.at)
    written = found.writes[tensor]
    type_ = found.type_of(written, read)
    text = type_ is not None and type_.dtype is DType.STRING
    return Edge(
        tensor="".join(tensor),
        type=type_,
        batch=max(1, plan.max_batch_size),
        source=_end(written, text=text, writes=True),
        target=_end(read, text=text, writes=False),
        returns=read.returns,
    )


def _end(side: Side, *, text: bool, writes: bool) -> End:
    if side.step is None:
        return End(None, side.port, _REQUEST if writes else _ANSWER)
    if text:
        return End(side.step, side.port, _STRINGS)
    step = side.step
    memory = step.member.kind.memory(step.member, step.device, step.target, writes=writes)
    return End(step, side.port, memory)
