"""Members and ensembles as values, and the files that they become.

Broken ones, too: a map is a list of pairs, so that a key can be given twice, and `extra` is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

STAND_IN = Path(__file__).parent / "stand_in" / "model.py"

Entries = tuple[tuple[str, str], ...]
"""Pairs of the member's name and the ensemble's."""


@dataclass(frozen=True, slots=True)
class Port:
    name: str
    dtype: str = "FP32"
    dims: tuple[int, ...] = (4,)
    optional: bool = False
    reshape: tuple[int, ...] | None = None
    extra: str = ""

    def text(self) -> str:
        parts = [f'name: "{self.name}"'] if self.name else []
        parts += [f"data_type: TYPE_{self.dtype}"] if self.dtype else []
        parts += [f"dims: {list(self.dims)}"]
        parts += ["optional: true"] if self.optional else []
        if self.reshape is not None:
            parts.append(f"reshape {{ shape: {list(self.reshape)} }}")
        return "{ " + " ".join([*parts, *([self.extra] if self.extra else [])]) + " }"

    @property
    def shape(self) -> tuple[int, ...]:
        """What an ensemble's own port is inside of it."""
        return self.dims if self.reshape is None else self.reshape


@dataclass(frozen=True, slots=True)
class Member:
    """A model on the stand-in."""

    name: str
    max_batch_size: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    versions: tuple[str, ...] = ("1",)
    loaded: tuple[int, ...] = (1,)
    """The versions that a step may pin."""
    decoupled: bool = False
    extra: str = ""

    def text(self) -> str:
        lines = ['backend: "python"', f"max_batch_size: {self.max_batch_size}"]
        lines += [f"input {port.text()}" for port in self.inputs]
        lines += [f"output {port.text()}" for port in self.outputs]
        lines += ["model_transaction_policy { decoupled: true }"] if self.decoupled else []
        return "\n".join([*lines, self.extra]) + "\n"

    def files(self) -> dict[str, str]:
        files = {f"{self.name}/config.pbtxt": self.text()}
        code = STAND_IN.read_text()
        return files | {f"{self.name}/{version}/model.py": code for version in self.versions}


@dataclass(frozen=True, slots=True)
class Step:
    model: str
    inputs: Entries
    outputs: Entries
    version: int | None = -1

    def text(self) -> str:
        lines = [f'    model_name: "{self.model}"'] if self.model else []
        lines += [f"    model_version: {self.version}"] if self.version is not None else []
        for field_, entries in (("input_map", self.inputs), ("output_map", self.outputs)):
            lines += [f'    {field_} {{ key: "{key}" value: "{name}" }}' for key, name in entries]
        return "\n".join(["  step {", *lines, "  }"])


@dataclass(frozen=True, slots=True)
class Ensemble:
    name: str
    max_batch_size: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    steps: tuple[Step, ...]
    platform: str | None = "ensemble"
    scheduling: bool = True
    versions: tuple[str, ...] = ("1",)
    loaded: tuple[int, ...] = (1,)
    decoupled: bool = False
    """Whether a member is."""
    extra: str = ""
    mutations: tuple[str, ...] = ()
    """What was done to it after it was built to be valid."""

    def text(self) -> str:
        lines = [f'platform: "{self.platform}"'] if self.platform is not None else []
        lines.append(f"max_batch_size: {self.max_batch_size}")
        lines += [f"input {port.text()}" for port in self.inputs]
        lines += [f"output {port.text()}" for port in self.outputs]
        lines += [self.extra] if self.extra else []
        if self.scheduling:
            lines += ["ensemble_scheduling {", *(step.text() for step in self.steps), "}"]
        return "\n".join(lines) + "\n"

    def files(self) -> dict[str, str]:
        files = {f"{self.name}/config.pbtxt": self.text()}
        return files | {f"{self.name}/{version}/.keep": "" for version in self.versions}

    def tensors(self) -> list[str]:
        """The names of all tensors, each once."""
        names = [port.name for port in (*self.inputs, *self.outputs)]
        names += [name for step in self.steps for _, name in (*step.inputs, *step.outputs)]
        return list(dict.fromkeys(names))


Model = Member | Ensemble


@dataclass(frozen=True, slots=True)
class Batch:
    """Members, and ensembles over them and over one another: what one server is asked about."""

    members: tuple[Member, ...]
    ensembles: tuple[Ensemble, ...]
    by_name: Mapping[str, Model] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        models: list[Model] = [*self.members, *self.ensembles]
        object.__setattr__(self, "by_name", {each.name: each for each in models})

    def around(self, ensemble: Ensemble) -> list[Model]:
        """`ensemble` and every model that it needs, as far as they are there."""
        found: dict[str, Model] = {ensemble.name: ensemble}
        waiting = [ensemble]
        while waiting:
            for step in waiting.pop().steps:
                model = self.by_name.get(step.model)
                if model is None or model.name in found:
                    continue
                found[model.name] = model
                if isinstance(model, Ensemble):
                    waiting.append(model)
        return list(found.values())


Part = TypeVar("Part", Step, Ensemble)


def changed(whole: Part, part: str, value: Any) -> Part:
    """`whole` with another value in the field `part`."""
    return replace(whole, **{part: value})


def write(models: Iterable[Model], folder: Path) -> None:
    for model in models:
        for path, text in model.files().items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
