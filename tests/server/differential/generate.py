"""Random members, and ensembles over them that are meant to be valid."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.server.differential.configs import Batch, Ensemble, Member, Model, Port, Step
from tests.server.differential.mutate import mutated

DTYPES = ("FP32",) * 12 + ("INT64", "STRING", "INT32", "BOOL", "UINT8")
DIMS = ((4,),) * 9 + ((-1,), (-1,), (3,), (2, 2), (-1, 4), (1,), (1, 4), (4, -1))
LIMITS = (8, 8, 8, 4, 2, 1)
QUEUE = "dynamic_batching { default_queue_policy { max_queue_size: 8 } }"

Dims = tuple[int, ...]


def batch(rng: random.Random, members: int, ensembles: int) -> Batch:
    kinds = _Kinds(rng.sample(DTYPES, 3), rng.sample(DIMS, 4))
    pool: list[Member] = [_member(rng, f"m{i}", kinds) for i in range(members)]
    pool.append(replace(_member(rng, "empty", kinds), versions=(), loaded=()))
    made: list[Ensemble] = []
    usable: list[Model] = [each for each in pool if each.versions]
    for number in range(ensembles):
        nested = number < ensembles // 12
        ensemble = _Builder(rng, usable, plain=nested or rng.random() < 0.75).build(f"e{number}")
        if nested:  # others may contain these
            usable.append(ensemble)
        else:
            for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
                ensemble = mutated(rng, ensemble, [*pool, *made])
        made.append(ensemble)
    return Batch(tuple(pool), tuple(made))


@dataclass(frozen=True, slots=True)
class _Kinds:
    """What most tensors of a batch are, so that members fit together."""

    dtypes: Sequence[str]
    dims: Sequence[Dims]


def _member(rng: random.Random, name: str, kinds: _Kinds) -> Member:
    limit = rng.choice(LIMITS) if rng.random() < 0.65 else 0
    inputs = [_port(rng, f"X{i}", limit, kinds) for i in range(rng.choice((1, 1, 2, 2, 2, 3)))]
    inputs = [
        replace(port, optional=True) if i and rng.random() < 0.35 else port
        for i, port in enumerate(inputs)
    ]
    outputs = [_port(rng, f"Y{i}", limit, kinds) for i in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    versions, loaded, extra = _versions(rng)
    if limit and rng.random() < 0.1:
        extra += QUEUE
    return Member(
        name,
        limit,
        tuple(inputs),
        tuple(outputs),
        versions,
        loaded,
        decoupled=rng.random() < 0.04,
        extra=extra,
    )


def _versions(rng: random.Random) -> tuple[tuple[str, ...], tuple[int, ...], str]:
    return rng.choice(
        (
            *[(("1",), (1,), "")] * 5,
            (("1", "2"), (2,), ""),
            (("1", "2"), (1, 2), "version_policy { all { } }\n"),
            (("1", "3"), (1,), "version_policy { specific { versions: 1 } }\n"),
            (("1", "2"), (1, 2), "version_policy { latest { num_versions: 2 } }\n"),
            (("2", "01"), (2,), ""),
        )
    )


def _port(rng: random.Random, name: str, limit: int, kinds: _Kinds) -> Port:
    common = rng.random() < 0.9
    dims = rng.choice(kinds.dims if common else DIMS)
    if not limit and rng.random() < 0.3 and len(dims) < 3:
        dims = (rng.choice((-1, -1, -1, 1)), *dims)
    reshape = None
    if rng.random() < 0.03 and -1 not in dims:
        reshape = (*dims, 1)
    return Port(name, rng.choice(kinds.dtypes if common else DTYPES), dims, reshape=reshape)


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    dtype: str
    dims: Dims
    batching: bool
    optional: bool = False


@dataclass(slots=True)
class _Builder:
    rng: random.Random
    pool: Sequence[Model]
    plain: bool
    """Without what is known to be delicate: all members batch or none does, nothing is exported."""
    limit: int = 0
    tensors: list[_Tensor] = field(default_factory=list)
    inputs: list[Port] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    decoupled: bool = False
    most: int = 4
    """Outputs, where more can be avoided."""

    def build(self, name: str) -> Ensemble:
        rng = self.rng
        self.limit = rng.choice((0, 0, 1, 2, 4, 8, 8))
        for _ in range(rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6))):
            self._step(self._member())
        while not self.steps:
            self._step(self._member())
        self._trim()
        order = list(self.steps)
        if not self.plain and rng.random() < 0.4:
            rng.shuffle(order)
        return Ensemble(
            name,
            self.limit,
            tuple(self.inputs),
            tuple(self._outputs()),
            tuple(order),
            decoupled=self.decoupled,
        )

    def _trim(self) -> None:
        """Hold the outputs to a handful: others of their steps do."""
        for i, step in enumerate(self.steps):
            for entry in step.outputs:
                outputs = self.steps[i].outputs
                if len(self.unread) > self.most and entry[1] in self.unread and len(outputs) > 1:
                    left = tuple(each for each in outputs if each != entry)
                    self.steps[i] = replace(self.steps[i], outputs=left)
                    self.unread.discard(entry[1])
                    self.tensors = [each for each in self.tensors if each.name != entry[1]]

    def _member(self) -> Model:
        fits = [
            model
            for model in self.pool
            if not model.max_batch_size or model.max_batch_size >= self.limit
        ]
        alike = [model for model in fits if bool(model.max_batch_size) == bool(self.limit)]
        mixed = self.rng.random() < 0.35 and not self.plain
        chosen = alike if alike and not mixed else fits or list(self.pool)
        if self.tensors and self.rng.random() < 0.9:
            chosen = sorted(chosen, key=self._joins)[-max(1, len(chosen) // 3) :]
        return self.rng.choice(chosen)

    def _joins(self, model: Model) -> int:
        """How many tensors it would take up, less those that it would leave."""
        reads = [self._fitting(port, model) for port in model.inputs]
        unread = sum(any(each.name in self.unread for each in fitting) for fitting in reads)
        return sum(map(bool, reads)) + unread - len(model.inputs) - len(model.outputs)

    def _fitting(self, port: Port, model: Model) -> list[_Tensor]:
        batching = model.max_batch_size > 0
        found = [each for each in self.tensors if _accepted(each, port, batching)]
        if self.plain:
            found = [each for each in found if not each.optional or port.optional]
        return [each for each in found if each.name in self.unread] or found

    def _step(self, model: Model) -> None:
        rng = self.rng
        entries = []
        for port in model.inputs:
            if port.optional and rng.random() < 0.4:
                continue
            fitting = self._fitting(port, model)
            if fitting and rng.random() < 0.95:
                tensor = rng.choice(fitting)
                self.unread.discard(tensor.name)
            else:
                tensor = self._input(port, model)
            entries.append((port.name, tensor.name))
        if not entries:
            return
        self.decoupled |= model.decoupled
        version = rng.choice(model.loaded) if model.loaded and rng.random() < 0.1 else -1
        outputs = tuple(self._written(model))
        self.steps.append(Step(model.name, tuple(entries), outputs, version))

    def _input(self, port: Port, model: Model) -> _Tensor:
        rng = self.rng
        dims = _seen(port.dims, model.max_batch_size > 0, self.limit > 0, rng)
        if rng.random() < 0.3:
            dims = tuple(rng.choice((2, 3, 4)) if size == -1 else size for size in dims)
        elif rng.random() < 0.1:
            dims = (*dims[:-1], -1)
        reshape = None
        if rng.random() < 0.05 and -1 not in dims:
            dims, reshape = (*dims, 1), dims
        optional = port.optional and rng.random() < 0.7
        made = Port(f"I{len(self.inputs)}", port.dtype, dims, optional, reshape)
        self.inputs.append(made)
        tensor = _Tensor(made.name, made.dtype, made.shape, self.limit > 0, optional)
        self.tensors.append(tensor)
        return tensor

    def _written(self, model: Model) -> list[tuple[str, str]]:
        kept = 0.97 if isinstance(model, Ensemble) else 0.85
        chosen = [port for port in model.outputs if self.rng.random() < kept]
        chosen = chosen or [self.rng.choice(model.outputs)]
        entries: list[tuple[str, str]] = []
        for port in chosen:
            name = f"T{sum(len(step.outputs) for step in self.steps) + len(entries)}"
            entries.append((port.name, name))
            self.tensors.append(_Tensor(name, port.dtype, port.dims, model.max_batch_size > 0))
            self.unread.add(name)
        return entries

    def _outputs(self) -> list[Port]:
        own = {port.name for port in self.inputs}
        found = []
        for tensor in self.tensors:
            chance = 0.0 if self.plain else 0.04 if tensor.name in own else 0.1
            if tensor.name in self.unread or self.rng.random() < chance:
                dims = _seen(tensor.dims, tensor.batching, self.limit > 0, self.rng)
                if self.rng.random() < 0.05:
                    dims = (-1, *dims[1:])
                found.append(Port(tensor.name, tensor.dtype, dims))
        return found


def _seen(dims: Dims, batching: bool, outside: bool, rng: random.Random) -> Dims:
    """How a port of a model looks from an ensemble that batches, or not, as `outside` says."""
    if batching and not outside:
        return (-1, *dims) if rng.random() < 0.8 else dims
    if outside and not batching and len(dims) > 1 and dims[0] in (-1, 1):
        return dims[1:]
    return dims


def _accepted(tensor: _Tensor, port: Port, batching: bool) -> bool:
    """Whether the server loads an edge between the two (section A.2 of its rules)."""
    if tensor.dtype != port.dtype:
        return False
    full = ((-1, *tensor.dims) if tensor.batching else tensor.dims,)
    other = (-1, *port.dims) if batching else port.dims
    return _equal(tensor.dims, port.dims) or _equal(full[0], other)


def _equal(one: Dims, other: Dims) -> bool:
    return len(one) == len(other) and all(
        a == b or -1 in (a, b) for a, b in zip(one, other, strict=True)
    )
