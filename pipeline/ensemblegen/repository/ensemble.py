"""An ensemble as a graph: steps, and the tensors that pass between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Port, Repository

STEPS = ("ensemble_scheduling", "step")

_LEARN_BATCHING = frozenset({"tensorrt", "tensorflow"})
"""Backends that may take max_batch_size from the model's file although all tensors are given."""


@dataclass(frozen=True, slots=True)
class Use:
    """One end of a tensor: an entry of a step's map, or an input or output of the ensemble."""

    tensor: str
    step: int | None
    """The step's number; None for the ensemble's own."""
    name: str
    """What it is called there: on the member's side of the map."""
    port: Port | None
    """What the member declares; None where that is not known."""
    batching: bool | None
    """Whether its dims come after a batch axis; None where that is not known."""
    writes: bool
    at: At
    """The way to it in the ensemble's config."""

    @property
    def judged(self) -> bool:
        return self.port is not None and not self.port.open and _valid(self.port)

    @property
    def dims(self) -> tuple[int, ...]:
        """As Triton compares them: an ensemble's own come after `reshape`, a member's do not."""
        assert self.port is not None, "a judged use"  # noqa: S101
        if self.step is None and self.port.message.HasField("reshape"):
            return tuple(self.port.message.reshape.shape)
        return self.port.dims


@dataclass(frozen=True, slots=True)
class Dispute:
    """Two uses of a tensor that Triton does not accept together."""

    first: Use
    other: Use
    about: Literal["type", "shape"]


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    name: str
    """Of the model that it runs."""
    version: int
    member: Model | None
    """None where it is not among the models at hand, or in a namespace of its own."""
    namespace: str
    inputs: tuple[Use, ...]
    outputs: tuple[Use, ...]

    @property
    def at(self) -> At:
        return (*STEPS, self.number)

    @property
    def known(self) -> bool:
        """Whether the member's config says all of its inputs and outputs."""
        return self.member is not None and not self.member.completes

    def __str__(self) -> str:
        return f"step {self.number} ('{self.name}')"


@dataclass(frozen=True)
class Ensemble:
    model: Model
    steps: tuple[Step, ...]
    own: tuple[Use, ...]
    """Its inputs, then its outputs; the server keeps the first of a name that is given twice."""
    writers: Mapping[str, list[Use]] = field(repr=False)
    """By tensor, the steps that write it."""
    readers: Mapping[str, list[Use]] = field(repr=False)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def config(self) -> Config:
        assert self.model.config is not None, "an ensemble has a config"  # noqa: S101
        return self.model.config

    @cached_property
    def open(self) -> bool:
        """Whether parts of the wiring are not readable: what is missing may be there."""
        named = all((*self.model.inputs, *self.model.outputs))
        return self.config.broken or not named or any(_wiring(at) for at in self.config.unknown)

    @cached_property
    def missing(self) -> frozenset[str]:
        """Tensors that steps read and nothing gives."""
        return frozenset(
            name
            for name in self.readers
            if name not in self.writers and name not in self.model.inputs
        )

    @cached_property
    def swapped(self) -> frozenset[At]:
        """Entries of maps whose key is a tensor of the ensemble, and whose value the model's."""
        tensors = {*self.model.inputs, *self.model.outputs, *self.writers, *self.readers}
        return frozenset(
            use.at
            for step in self.steps
            if step.known and step.member
            for use in (*step.inputs, *step.outputs)
            if use.port is None and use.name in tensors
            if use.tensor in (step.member.outputs if use.writes else step.member.inputs)
        )

    @cached_property
    def order(self) -> tuple[Step, ...]:
        """The steps that can run, each after those that feed it; missing tensors count as there."""
        waits = [
            len({use.tensor for use in step.inputs if self._made(use.tensor)})
            for step in self.steps
        ]
        done = [step for step in self.steps if not waits[step.number]]
        seen: set[str] = set()
        for step in done:
            new = {use.tensor: None for use in step.outputs if use.tensor not in seen}
            seen.update(new)
            for reader in self._readers_of(tensor for tensor in new if self._made(tensor)):
                waits[reader] -= 1
                if not waits[reader]:
                    done.append(self.steps[reader])
        return tuple(done)

    @cached_property
    def sound(self) -> bool:
        """Whether the wiring stands: Triton accepts it, and no step runs without end."""
        written = self.writers.keys()
        return (
            not self.open
            and not self.missing
            and len(self.order) == len(self.steps) > 0
            and all(len(uses) == 1 for uses in self.writers.values())
            and all(name in self.readers and name not in written for name in self.model.inputs)
            and all(name in written or name in self.model.inputs for name in self.model.outputs)
            and all(name in self.readers or name in self.model.outputs for name in written)
            and all(step.inputs and step.outputs for step in self.steps)
        )

    @cached_property
    def disputes(self) -> tuple[Dispute, ...]:
        """What ValidateTensorConsistency refuses (core ensemble_utils.cc).

        Each use is compared with the first of its tensor alone, not with all others.
        """
        first: dict[str, Use] = {}
        typed: dict[str, Use] = {}
        found: dict[str, Dispute] = {}
        for use in self.uses():
            before = first.setdefault(use.tensor, use)
            if not use.judged or use.tensor in found:
                continue
            named = typed.setdefault(use.tensor, use)
            assert use.port is not None and named.port is not None  # noqa: S101, PT018 - judged
            kinds = {use.port.data_type, named.port.data_type}
            if len(kinds) == 2 and 0 not in kinds:
                found[use.tensor] = Dispute(named, use, "type")
            elif before.judged and not _alike(before, use):
                found[use.tensor] = Dispute(before, use, "shape")
        return tuple(found.values())

    def retyped(self, output: str) -> bool:
        """Whether `output` hands an input back under another type: Triton does not compare them."""
        ports = self.model.inputs.get(output), self.model.outputs[output]
        if ports[0] is None or ports[0].open or ports[1].open or output not in self.readers:
            return False
        kinds = {ports[0].data_type, ports[1].data_type}
        return len(kinds) == 2 and 0 not in kinds

    def uses(self) -> Iterator[Use]:
        """All uses in the order in which the server looks at them."""
        yield from self.own
        for step in self.steps:
            yield from step.inputs
            yield from step.outputs

    def _readers_of(self, tensors: Iterable[str]) -> Iterator[int]:
        """The steps that read each of `tensors`, once a tensor."""
        for tensor in tensors:
            yield from dict.fromkeys(use.step or 0 for use in self.readers.get(tensor, ()))

    def _made(self, tensor: str) -> bool:
        return tensor in self.writers and tensor not in self.model.inputs


def build(models: Mapping[str, Model]) -> Mapping[str, Ensemble]:
    """Every ensemble among `models`, by name."""
    return {name: _ensemble(model, models) for name, model in models.items() if model.is_ensemble}


def of(model: Model, repository: Repository) -> Ensemble | None:
    """`model` as a graph; None if it is no ensemble."""
    return repository.ensembles.get(model.name)


def _valid(port: Port) -> bool:
    """Whether its dims can be: what Triton refuses by itself is not compared with anything."""
    reshape = port.message.reshape.shape
    if not port.dims or not all(dim > 0 or dim == -1 for dim in (*port.dims, *reshape)):
        return False
    open_ = not port.message.HasField("reshape") or -1 in port.dims or -1 in reshape
    return open_ or math.prod(port.dims) == math.prod(reshape)


def _alike(one: Use, other: Use) -> bool:
    """Whether Triton takes both for the same shape: without, or with, their batch axes."""
    if _equal(one.dims, other.dims):
        return True
    return any(_equal(a, b) for a in _full(one) for b in _full(other))


def _full(use: Use) -> Iterator[Sequence[int]]:
    """The dims with the batch axis if there is one; both where that is not known."""
    if use.batching is not False:
        yield (-1, *use.dims)
    if not use.batching:
        yield use.dims


def _equal(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(
        a == b or -1 in (a, b) for a, b in zip(one, other, strict=True)
    )


def _ensemble(model: Model, models: Mapping[str, Model]) -> Ensemble:
    each = enumerate(model.message.ensemble_scheduling.step)
    steps = tuple(_step(number, message, models) for number, message in each)
    return Ensemble(
        model,
        steps,
        tuple(_own(model)),
        _by_tensor(use for step in steps for use in step.outputs),
        _by_tensor(use for step in steps for use in step.inputs),
    )


def _own(model: Model) -> Iterator[Use]:
    batching = _batching(model)
    for name, port in model.inputs.items():
        yield Use(name, None, name, port, batching, writes=True, at=port.at)
    for name, port in model.outputs.items():
        if name not in model.inputs:
            yield Use(name, None, name, port, batching, writes=False, at=port.at)


def _batching(model: Model | None) -> bool | None:
    if model is None or model.config is None or not model.config.knows("max_batch_size"):
        return None
    if model.max_batch_size > 0:
        return True
    return None if model.backend in _LEARN_BATCHING else False


def _step(number: int, message: Any, models: Mapping[str, Model]) -> Step:
    member = None if message.model_namespace else models.get(message.model_name)
    at = (*STEPS, number)
    inputs = _entries((*at, "input_map"), message.input_map, member, number)
    outputs = _entries((*at, "output_map"), message.output_map, member, number)
    return Step(
        number,
        message.model_name,
        message.model_version,
        member,
        message.model_namespace,
        inputs,
        outputs,
    )


def _entries(
    at: At, tensors: Mapping[str, str], member: Model | None, step: int
) -> tuple[Use, ...]:
    writes = at[-1] == "output_map"
    ports: Mapping[str, Port] = {}
    if member is not None and not member.completes:
        ports = member.outputs if writes else member.inputs
    batching = _batching(member)
    names = [name for name in ports if name in tensors]
    names += sorted(name for name in tensors if name not in ports)
    return tuple(
        Use(tensors[name], step, name, ports.get(name), batching, writes, (*at, name))
        for name in names
    )


def _by_tensor(uses: Iterable[Use]) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for use in uses:
        found.setdefault(use.tensor, []).append(use)
    return found


def _wiring(at: At) -> bool:
    if at[0] in ("input", "output"):
        return len(at) < 3 or at[2] == "name"
    return at[0] == STEPS[0] and (len(at) < 4 or at[3] in ("input_map", "output_map"))
