"""Mistakes that people make in ensembles, each as a function of a valid one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.server.differential import fields
from tests.server.differential.configs import Ensemble, Entries, Model, Port, Step, changed

Mutation = Callable[[random.Random, Ensemble, Sequence[Model]], Ensemble]


def mutated(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    mutation = rng.choices(MUTATIONS, [RARE.get(each.__name__, 3) for each in MUTATIONS])[0]
    if not ensemble.steps:
        return ensemble
    result = mutation(rng, ensemble, models)
    return replace(result, mutations=(*ensemble.mutations, mutation.__name__))


# -- maps and names


def misspell_key(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _entry(rng, ensemble, lambda key, name: (key + "s", name))


def misspell_tensor(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _entry(rng, ensemble, lambda key, name: (key, name + "s"))


def swap_tensor(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    """Any other tensor in its place: cycles, types that differ, and valid graphs, too."""
    names = ensemble.tensors()
    return _entry(rng, ensemble, lambda key, name: (key, rng.choice(names)), side="inputs")


def drop_entry(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _entry(rng, ensemble, lambda key, name: None)


def drop_tensor(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    """An output of a member that is no longer mapped, nor an output."""
    written = [name for step in ensemble.steps for _, name in step.outputs]
    name = rng.choice(written or [""])
    steps = [
        replace(step, outputs=tuple(entry for entry in step.outputs if entry[1] != name))
        for step in ensemble.steps
    ]
    outputs = tuple(port for port in ensemble.outputs if port.name != name)
    return replace(ensemble, steps=tuple(steps), outputs=outputs)


def extra_entry(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    names = ensemble.tensors()
    side = rng.choice(("inputs", "outputs"))
    return _step(rng, ensemble, lambda step: _grown(step, side, ("Z", rng.choice(names))))


def repeat_key(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    names = ensemble.tensors()

    def change(step: Step) -> Step:
        side = rng.choice(("inputs", "outputs"))
        entries: Entries = getattr(step, side)
        if not entries:
            return step
        key, name = rng.choice(entries)
        return _grown(step, side, (key, rng.choice((name, *names))))

    return _step(rng, ensemble, change)


def no_map(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    side = rng.choice(("inputs", "outputs"))
    return _step(rng, ensemble, lambda step: changed(step, side, ()))


def write_twice(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    written = [name for step in ensemble.steps for _, name in step.outputs] or ["T"]
    return _entry(rng, ensemble, lambda key, name: (key, rng.choice(written)), side="outputs")


def write_input(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    names = [port.name for port in ensemble.inputs] or ["I"]
    return _entry(rng, ensemble, lambda key, name: (key, rng.choice(names)), side="outputs")


def read_own(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    def change(step: Step) -> Step:
        if not (step.inputs and step.outputs):
            return step
        key, _ = rng.choice(step.inputs)
        own = rng.choice(step.outputs)[1]
        rest = tuple(entry for entry in step.inputs if entry[0] != key)
        return replace(step, inputs=(*rest, (key, own)))

    return _step(rng, ensemble, change)


def rename(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    """One tensor, everywhere: whatever the name, the graph is the same."""
    old = rng.choice(ensemble.tensors() or ["T"])
    new = rng.choice(fields.NAMES)

    def entries(given: Entries) -> Entries:
        return tuple((key, new if name == old else name) for key, name in given)

    def ports(given: tuple[Port, ...]) -> tuple[Port, ...]:
        return tuple(replace(port, name=new) if port.name == old else port for port in given)

    steps = tuple(
        replace(step, inputs=entries(step.inputs), outputs=entries(step.outputs))
        for step in ensemble.steps
    )
    inputs, outputs = ports(ensemble.inputs), ports(ensemble.outputs)
    return replace(ensemble, steps=steps, inputs=inputs, outputs=outputs)


# -- the ensemble's own inputs and outputs


def add_output(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    known = [port for model in models for port in model.outputs] or [Port("O")]
    names = (*ensemble.tensors(), "O")
    port = replace(rng.choice(known), name=rng.choice(names), extra="", reshape=None)
    return replace(ensemble, outputs=(*ensemble.outputs, port))


def export(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    """An intermediate tensor, or an input, as an output: right in type and shape."""
    known = {
        name: port
        for model in models
        for step in ensemble.steps
        if step.model == model.name
        for key, name in step.outputs
        for port in model.outputs
        if port.name == key
    } | {port.name: port for port in ensemble.inputs}
    names = [name for name in known if name not in {port.name for port in ensemble.outputs}]
    if not names:
        return ensemble
    name = rng.choice(names)
    port = Port(name, known[name].dtype, known[name].dims)
    return replace(ensemble, outputs=(*ensemble.outputs, port))


def drop_output(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    if not ensemble.outputs:
        return ensemble
    index = rng.randrange(len(ensemble.outputs))
    outputs = tuple(port for i, port in enumerate(ensemble.outputs) if i != index)
    return replace(ensemble, outputs=outputs)


def add_input(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    names = (*ensemble.tensors(), "J")
    return replace(ensemble, inputs=(*ensemble.inputs, Port(rng.choice(names))))


def drop_input(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, inputs=ensemble.inputs[1:])


def change_type(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    dtype = rng.choice(("FP32", "FP64", "INT64", "STRING", "FP16", "", "FLOAT"))
    return _port(rng, ensemble, lambda port: replace(port, dtype=dtype))


def change_dims(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    def change(port: Port) -> Port:
        dims = port.dims
        chosen = (
            (*dims, 1),
            (-1, *dims),
            dims[1:],
            dims[:-1],
            tuple(5 for _ in dims),
            tuple(-1 for _ in dims),
            (0, *dims[1:]),
            (-2, *dims[1:]),
        )
        return replace(port, dims=rng.choice(chosen))

    return _port(rng, ensemble, change)


def change_reshape(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    def change(port: Port) -> Port:
        dims = port.dims
        return replace(port, reshape=rng.choice(((), (1, *dims), (*dims, 1), (7,), dims, (-1,))))

    return _port(rng, ensemble, change)


def make_optional(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _port(rng, ensemble, lambda port: replace(port, optional=True))


def odd_port(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    extra = rng.choice(fields.OF_PORTS)
    return _port(rng, ensemble, lambda port: replace(port, extra=extra))


def unname_port(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _port(rng, ensemble, lambda port: replace(port, name=""))


# -- steps and models


def change_model(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    names = (*(model.name for model in models), "missing", "", ensemble.name, "empty")
    return _step(rng, ensemble, lambda step: replace(step, model=rng.choice(names)))


def wrap_itself(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _step(rng, ensemble, lambda step: replace(step, model=ensemble.name))


def empty_model(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return _step(rng, ensemble, lambda step: replace(step, model="empty"))


def change_version(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    version = rng.choice((None, 0, 1, 2, 3, -1, -2))
    return _step(rng, ensemble, lambda step: replace(step, version=version))


def drop_step(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    index = rng.randrange(len(ensemble.steps))
    steps = tuple(step for i, step in enumerate(ensemble.steps) if i != index)
    return replace(ensemble, steps=steps)


def repeat_step(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, steps=(*ensemble.steps, rng.choice(ensemble.steps)))


def shuffle_steps(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, steps=tuple(rng.sample(ensemble.steps, len(ensemble.steps))))


def add_ring(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    """Two steps beside the others that feed only each other."""
    model = rng.choice([model for model in models if model.inputs and model.outputs])
    given = [port.name for port in model.inputs]
    made = [port.name for port in model.outputs]
    rings = [
        Step(model.name, tuple((n, f"R{i}") for n in given), ((made[0], f"R{1 - i}"),))
        for i in range(2)
    ]
    return replace(ensemble, steps=(*ensemble.steps, *rings))


# -- the rest of the config


def change_limit(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, max_batch_size=rng.choice((-1, 0, 1, 2, 4, 8, 16, 64)))


def change_platform(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(
        ensemble, platform=rng.choice((None, "", "python", "Ensemble", "onnxruntime_onnx"))
    )


def no_scheduling(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, scheduling=False)


def no_version_folder(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    versions = rng.choice(((), ("01",), ("one",), ("2",), ("0",), ("1", "5")))
    return replace(ensemble, versions=versions)


def extra_field(rng: random.Random, ensemble: Ensemble, models: Sequence[Model]) -> Ensemble:
    return replace(ensemble, extra=f"{ensemble.extra}\n{rng.choice(fields.OF_ENSEMBLES)}")


MUTATIONS: tuple[Mutation, ...] = (
    misspell_key,
    misspell_tensor,
    swap_tensor,
    drop_entry,
    drop_tensor,
    extra_entry,
    repeat_key,
    no_map,
    write_twice,
    write_input,
    read_own,
    rename,
    add_output,
    export,
    drop_output,
    add_input,
    drop_input,
    change_type,
    change_dims,
    change_reshape,
    make_optional,
    odd_port,
    unname_port,
    change_model,
    wrap_itself,
    empty_model,
    change_version,
    drop_step,
    repeat_step,
    shuffle_steps,
    add_ring,
    change_limit,
    change_platform,
    no_scheduling,
    no_version_folder,
    extra_field,
)
RARE = {
    "write_input": 1,  # hangs, which takes a new server
    "wrap_itself": 1,
    "empty_model": 1,
    "no_scheduling": 1,
    "unname_port": 1,
    "add_ring": 1,
    "extra_field": 12,
    "export": 9,
    "shuffle_steps": 9,
    "change_limit": 6,
    "change_version": 6,
    "drop_tensor": 6,
    "swap_tensor": 6,
}
"""How often, where it is not 3."""


def _entry(
    rng: random.Random,
    ensemble: Ensemble,
    change: Callable[[str, str], tuple[str, str] | None],
    side: str = "",
) -> Ensemble:
    side = side or rng.choice(("inputs", "outputs"))

    def edited(step: Step) -> Step:
        entries: Entries = getattr(step, side)
        if not entries:
            return step
        index = rng.randrange(len(entries))
        new = change(*entries[index])
        kept = (*entries[:index], *([new] if new else []), *entries[index + 1 :])
        return changed(step, side, kept)

    return _step(rng, ensemble, edited)


def _grown(step: Step, side: str, entry: tuple[str, str]) -> Step:
    return changed(step, side, (*getattr(step, side), entry))


def _step(rng: random.Random, ensemble: Ensemble, change: Callable[[Step], Step]) -> Ensemble:
    if not ensemble.steps:
        return ensemble
    index = rng.randrange(len(ensemble.steps))
    steps = [change(step) if i == index else step for i, step in enumerate(ensemble.steps)]
    return replace(ensemble, steps=tuple(steps))


def _port(rng: random.Random, ensemble: Ensemble, change: Callable[[Port], Port]) -> Ensemble:
    side = rng.choice(("inputs", "outputs"))
    ports: tuple[Port, ...] = getattr(ensemble, side)
    if not ports:
        return ensemble
    index = rng.randrange(len(ports))
    new = tuple(change(port) if i == index else port for i, port in enumerate(ports))
    return changed(ensemble, side, new)
