"""Whether a server can run models of a backend here: itself, by a stand-in of ours, or not.

`serve` refuses by it, and `doctor` says it of every kind of step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ensemblegen.engine import machine
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.stand_ins import STAND_INS, StandIn
from ensemblegen.members import Kind

_DOCKER = "serve it with --engine docker, or on a machine with NVIDIA's Triton"
_NOT_STOOD_IN: Mapping[str, tuple[str, str]] = {
    "tensorrt": (
        "TensorRT has no CPU version that could stand in for it",
        "serve it with --engine docker on a machine with a GPU; without one, `onnx:` runs the "
        "ONNX file",
    ),
}
"""Why there will be no stand-in, and what to do, by backend."""
_GPU_ONLY: frozenset[str] = frozenset({"tensorrt"})


class Way(str, Enum):
    """How a model runs."""

    native = "native"
    stand_in = "stand-in"
    none = "not here"


@dataclass(frozen=True, slots=True)
class Ability:
    """How a server runs models of a backend, or why it does not."""

    way: Way
    what: str
    """Of a stand-in, the library that it runs on; of what is not possible, the reason."""
    lacks: str | None = None
    """What a stand-in cannot do that NVIDIA's backend can."""
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of step, and the backend that its models run on."""

    kind: str
    backend: str | None
    """None where each step says, or borrows, its own."""
    ability: Ability


def of_backend(backend: str, engine: Engine) -> Ability:
    """How `engine` runs models of `backend` on this machine."""
    if backend in engine.native or _unlisted(engine):
        return _native(backend, engine)
    stand_in = STAND_INS.get(backend) if engine.kind is Choice.embedded else None
    if stand_in is not None:
        return _stand_in(backend, stand_in)
    if engine.kind is not Choice.embedded:
        other = "serve with --engine embedded or --engine docker"
        told = f"the {engine} does not have the backend '{backend}'"
        return Ability(Way.none, told, remedy=other if engine.kind is Choice.path else None)
    why, remedy = _NOT_STOOD_IN.get(backend, (None, _DOCKER))
    told = f"the embedded server does not have the backend '{backend}'"
    return Ability(Way.none, f"{told}: {why}" if why else told, remedy=remedy)


def of_kinds(kinds: Mapping[str, Kind], engine: Engine) -> Iterator[Row]:
    """A row for each kind of step."""
    for word, kind in kinds.items():
        if kind.backend:
            yield Row(word, kind.backend, of_backend(kind.backend, engine))
        elif kind.makes_model:
            yield Row(word, None, Ability(Way.native, f"a backend by name: {_named(engine)}"))
        else:
            yield Row(word, None, Ability(Way.native, "as the model that it runs"))


def _named(engine: Engine) -> str:
    """The backends of `engine`, and those that have a stand-in that can run."""
    native = ", ".join(sorted(engine.native)) or "whichever it has"
    others = sorted(STAND_INS.keys() - engine.native) if engine.kind is Choice.embedded else ()
    ready = [name for name in others if of_backend(name, engine).way is Way.stand_in]
    return f"{native}; stand-ins for {', '.join(ready)}" if ready else native


def _unlisted(engine: Engine) -> bool:
    """Whether the backends of a server are in a folder that we do not know."""
    return engine.kind is Choice.path and not engine.native


def _native(backend: str, engine: Engine) -> Ability:
    if backend in _GPU_ONLY and not machine.gpus():
        message = f"the {backend} backend needs a GPU, and this machine has none"
        return Ability(Way.none, message, remedy=_NOT_STOOD_IN[backend][1])
    return Ability(Way.native, str(engine))


def _stand_in(backend: str, stand_in: StandIn) -> Ability:
    if not machine.importable(stand_in.module):
        message = f"the stand-in for the {backend} backend needs {stand_in.module}"
        return Ability(Way.none, message, remedy=stand_in.install)
    version = machine.version_of(stand_in.distribution)
    what = f"{stand_in.distribution} {version}" if version else stand_in.distribution
    return Ability(Way.stand_in, what, stand_in.lacks)
