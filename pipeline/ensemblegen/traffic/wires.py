"""The wiring of a plan and of the pipelines inside it, as one: who writes and reads each tensor.

before  Plan: each ensemble with its own names
after   Wires: the steps that run a model, and the writer and the readers of every tensor
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ensemblegen.members import Member
from ensemblegen.members.bls import calls_of, mapped
from ensemblegen.members.kind import own_config
from ensemblegen.plan import Plan, Wiring
from ensemblegen.targets import Target
from ensemblegen.types import ANY, Dim, Shape, Tensor
from ensemblegen.words import Place

_KINDS: tuple[Place, ...] = ("auto", "gpu", "cpu", "cpu")
"""Where the kinds of ModelInstanceGroup have their tensors, by number; KIND_MODEL's on the host."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a model."""

    name: str
    """Inside another pipeline `outer/inner`."""
    pipeline: str
    """The ensemble in whose wiring it stands."""
    member: Member
    device: Place
    gpus: tuple[int, ...]
    """Which GPUs, on a GPU; none means all."""
    target: Target

    @property
    def apart(self) -> bool:
        """Whether it runs in a process beside the server."""
        return self.member.kind.apart(self.member)

    @property
    def calls(self) -> tuple[str, ...]:
        """The steps whose models it calls, itself a model of ours."""
        return tuple(each.step for each in calls_of(self.member))

    @property
    def place(self) -> str:
        """`cpu`, `gpu 0`, `any gpu`, `cpu or gpu`."""
        if self.device == "auto":
            return "cpu or gpu"
        if self.device == "cpu":
            return "cpu"
        return f"gpu {','.join(map(str, self.gpus))}" if self.gpus else "any gpu"


Spot = tuple[str, str]
"""A tensor: `outer/` for each pipeline that it stands in, and its name there."""


@dataclass(frozen=True, slots=True)
class Side:
    """A writer or reader of a tensor, with the type that it declares."""

    at: Spot
    step: Step | None
    port: str
    tensor: Tensor | None
    batched: bool
    returns: bool = False
    """Whether it comes back from a model that the reader called."""


@dataclass
class Wires:
    """The wiring of a plan and of those inside it, every tensor by its place."""

    plan: Plan
    steps: list[Step] = field(default_factory=list)
    writes: dict[Spot, Side] = field(default_factory=dict)
    reads: list[Side] = field(default_factory=list)
    _same: dict[Spot, Spot] = field(default_factory=dict)
    """Tensors that are another one under the name of a pipeline's input or output."""

    _of_items: set[str] = field(default_factory=set)
    """Steps whose models take single items: what calls them knows the type of all of a row."""

    def __post_init__(self) -> None:
        plans = {each.name: each for each in self.plan.all()}
        members: dict[str, tuple[Member, Place]] = {
            member.model: (member, each.devices[member.step])
            for each in reversed(plans.values())
            for member in each.members
        }
        found = (member for each in plans.values() for member in each.deployed)
        members |= {member.model: (member, "auto") for member in found}
        batched = self.plan.max_batch_size > 0
        for entry in self.plan.inputs:
            at = ("", entry.name)
            self.writes[at] = Side(at, None, entry.name, entry.tensor, batched)
        self._walk(self.plan, "", plans, members)
        for each in self.plan.outputs:
            self.reads.append(Side(("", each.name), None, each.name, each.tensor, batched))
        if self._of_items:
            self.reads = [self._untyped(each) for each in self.reads]
            self.writes = {at: self._untyped(each) for at, each in self.writes.items()}
        # An optional input of an inner pipeline that nobody feeds is no edge.
        self.reads = [each for each in self.reads if self.root(each.at) in self.writes]

    def root(self, at: Spot) -> Spot:
        """The place at which the tensor at `at` is written."""
        while at in self._same:
            at = self._same[at]
        return at

    def type_of(self, *sides: Side) -> Tensor | None:
        """The type of one item by what both ends declare: of each size, the most that is known.

        None where neither declares any: models that the server completes at load.

        Ends that have a batch axis as the pipeline has one say what an item is. Where none does,
        the axis is taken off (a model without batching has it among its sizes) or left unknown.
        """
        batched = self.plan.max_batch_size > 0
        typed = [(each, each.tensor) for each in sides if each.tensor is not None]
        if not typed:
            return None
        typed.sort(key=lambda each: each[0].batched != batched)
        shapes = [_per_item(side, tensor.shape, batched=batched) for side, tensor in typed]
        alike = [shape for shape in shapes if len(shape) == len(shapes[0])]
        dims = tuple(min(each, key=_vague) for each in zip(*alike, strict=True))
        return Tensor(typed[0][1].dtype, dims)

    def order(self) -> tuple[Step, ...]:
        """The steps after those that feed them, otherwise as written."""
        number = {step.name: i for i, step in enumerate(self.steps)}
        waits = [0] * len(self.steps)
        feeds: list[list[int]] = [[] for _ in self.steps]
        for read in self.reads:
            source = self.writes[self.root(read.at)].step
            if source is not None and read.step is not None and not read.returns:
                feeds[number[source.name]].append(number[read.step.name])
                waits[number[read.step.name]] += 1
        ready = [i for i, count in enumerate(waits) if not count]
        order = []
        while ready:
            i = heapq.heappop(ready)
            order.append(self.steps[i])
            for reader in feeds[i]:
                waits[reader] -= 1
                if not waits[reader]:
                    heapq.heappush(ready, reader)
        return tuple(order)

    def _walk(
        self,
        plan: Plan,
        inside: str,
        plans: Mapping[str, Plan],
        members: Mapping[str, tuple[Member, Place]],
    ) -> None:
        for wiring in plan.wiring:
            if wiring.model in plans:
                self._enter(wiring, inside, plans, members)
            else:
                self._run(plan, wiring, inside, plans, members)

    def _enter(
        self,
        wiring: Wiring,
        inside: str,
        plans: Mapping[str, Plan],
        members: Mapping[str, tuple[Member, Place]],
    ) -> None:
        """A step that is another pipeline."""
        deeper = f"{inside}{wiring.step}/"
        for port, tensor in wiring.inputs.items():
            self._same[deeper, port] = (inside, tensor)
        for port, tensor in wiring.outputs.items():
            self._same[inside, tensor] = (deeper, port)
        self._walk(plans[wiring.model], deeper, plans, members)

    def _untyped(self, side: Side) -> Side:
        items = side.step is not None and side.step.name in self._of_items
        return replace(side, tensor=None) if items else side

    def _run(
        self,
        plan: Plan,
        wiring: Wiring,
        inside: str,
        plans: Mapping[str, Plan],
        members: Mapping[str, tuple[Member, Place]],
    ) -> None:
        """A step that runs a model, and those that this model calls."""
        member, device = members[wiring.model]
        device, gpus = _placed(member, device)
        name = f"{inside}{wiring.step}"
        step = Step(name, plan.name, member, device, gpus, self.plan.target)
        self.steps.append(step)
        self.reads += _sides(step, wiring.inputs, inside, writes=False)
        for side in _sides(step, wiring.outputs, inside, writes=True):
            self.writes[side.at] = side
        for called in _called(member):
            for side in _handed(step, called, inside):
                self.writes[side.at] = side
            if called.model in plans:
                self._enter(called, inside, plans, members)
            else:
                self._run(plan, called, inside, plans, members)
                if mapped(member):
                    self._of_items.add(f"{inside}{called.step}")
            self.reads += _returned(step, called, inside)


def _sides(step: Step, wired: Mapping[str, str], inside: str, *, writes: bool) -> Iterator[Side]:
    member = step.member
    declared = {each.triton: each for each in (member.outputs if writes else member.inputs)}
    for triton, tensor in wired.items():
        known = declared.get(triton)
        yield Side(
            (inside, tensor),
            step,
            known.name if known else triton,
            known.tensor if known else None,
            member.max_batch_size > 0,
        )


def _called(member: Member) -> Iterator[Wiring]:
    """The models that a member calls, as if they were wired: `tensor > step`, `output < step`."""
    for call in calls_of(member):
        inputs = {port: f"{tensor} > {call.step}" for port, tensor in call.inputs.items()}
        outputs = {port: f"{name} < {call.step}" for name, port in call.outputs.items()}
        yield Wiring(call.step, call.model, call.version, inputs, outputs)


def _handed(step: Step, called: Wiring, inside: str) -> Iterator[Side]:
    """What a calling model hands to one that it calls: its own inputs, or parts of them."""
    given = {f"{each.name} > {called.step}": each for each in step.member.inputs}
    batched = step.member.max_batch_size > 0
    for tensor in dict.fromkeys(called.inputs.values()):
        yield Side((inside, tensor), step, given[tensor].name, given[tensor].tensor, batched)


def _returned(step: Step, called: Wiring, inside: str) -> Iterator[Side]:
    given = {f"{each.name} < {called.step}": each for each in step.member.outputs}
    batched = step.member.max_batch_size > 0
    for tensor in called.outputs.values():
        port = given[tensor]
        yield Side((inside, tensor), step, port.name, port.tensor, batched, returns=True)


def _placed(member: Member, device: Place) -> tuple[Place, tuple[int, ...]]:
    """Where it runs and on which GPUs: the author's own instance groups stand in place of ours."""
    groups = own_config(member).instance_group if member.config else ()
    if not groups:
        return device, member.gpus
    kinds = {_KINDS[group.kind] for group in groups}
    gpus = {gpu for group in groups for gpu in group.gpus}
    return (kinds.pop() if len(kinds) == 1 else "auto"), tuple(sorted(gpus))


def _per_item(side: Side, shape: Shape, *, batched: bool) -> Shape:
    if side.batched == batched:
        return shape
    if batched:
        return shape[1:] if len(shape) > 1 and shape[0] == ANY else shape
    return (ANY, *shape)


def _vague(dim: Dim) -> int:
    return 2 if dim == ANY else int(isinstance(dim, str))
