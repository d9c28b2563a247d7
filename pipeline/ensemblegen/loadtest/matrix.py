"""A file of configurations that are loaded alike, one after the other, and compared.

before  Document
after   Matrix: phases, limits, and a Configuration a row of the table
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from ensemblegen import source
from ensemblegen.client.address import address
from ensemblegen.errors import InputError, Problem
from ensemblegen.form import Node, problems_of
from ensemblegen.loadtest import phases
from ensemblegen.loadtest.limits import Limits
from ensemblegen.loadtest.phases import Phase
from ensemblegen.places import At
from ensemblegen.source import Document
from ensemblegen.words import Flag, Microseconds, Name, Number, Size, Word
from ensemblegen.words import Path as PathWord

_KINDS = ("url", "sagemaker", "endpoint")
"""What is loaded, if not a server that is started for the pipeline."""


class PhaseSpec(Node):
    users: Size
    spawn_rate: Number = Field(0.0, ge=0, description="More users a second.")
    duration: Microseconds


class StopSpec(Node):
    invocations_per_minute: Number | None = Field(None, gt=0)
    latency: Microseconds | None = Field(None, description="Of the 95th percentile.")


class NeedsSpec(Node):
    """What a configuration cannot be run without."""

    gpu: Flag = False
    files: list[PathWord] = Field(default_factory=list)
    why: Word | None = Field(None, description="What to do about it.")


class ConfigurationSpec(Node):
    """One row. `pipeline` is served here; with another place, it says what that takes."""

    pipeline: PathWord | None = Field(None, description="A pipeline.yaml or a repository.")
    url: Word | None = None
    sagemaker: Word | None = None
    endpoint: Word | None = None
    region: Word | None = None
    model: Word | None = None
    target_model: Word | None = None
    instance: Word | None = Field(None, description="What it runs on, as prices name it.")
    needs: NeedsSpec | None = None


class MatrixSpec(Node):
    """The whole file."""

    phases: list[PhaseSpec] = Field(min_length=1)
    stop: StopSpec | None = None
    target_rate: Number | None = Field(None, gt=0, description="Requests a second to carry.")
    configurations: dict[Name, ConfigurationSpec] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is loaded: `url`, `sagemaker` or `endpoint`; else `pipeline`, which is served here."""

    name: str
    pipeline: Path | None = None
    url: str | None = None
    sagemaker: str | None = None
    endpoint: str | None = None
    region: str | None = None
    model: str | None = None
    target_model: str | None = None
    instance: str | None = None
    gpu: bool = False
    files: tuple[Path, ...] = ()
    why: str | None = None

    def lacks(self, gpus: Sequence[str]) -> str | None:
        """Why it cannot be run on this machine."""
        missing = [str(each) for each in self.files if not each.exists()]
        if self.gpu and not gpus:
            reason = "it needs an NVIDIA GPU"
        elif missing:
            reason = f"{', '.join(missing)} is not there"
        else:
            return None
        return f"{reason}: {self.why}" if self.why else reason


@dataclass(frozen=True, slots=True)
class Matrix:
    phases: tuple[Phase, ...]
    limits: Limits
    target_rate: float | None
    configurations: tuple[Configuration, ...]


def read(path: Path) -> Matrix:
    """InputError with every problem that the file has."""
    document = source.load(path)
    if not isinstance(document.data, dict):
        message = "a matrix is a mapping with `phases` and `configurations`"
        raise InputError([Problem("E112", message, document.span(()))])
    try:
        spec = MatrixSpec.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_of(error, document, MatrixSpec, ())) from None
    plan = tuple(
        Phase(each.users, each.spawn_rate, each.duration / 1_000_000) for each in spec.phases
    )
    problems = [*_phase_problems(plan, document), *_place_problems(spec, document)]
    if problems:
        raise InputError(problems)
    return Matrix(
        phases=plan,
        limits=_limits(spec.stop) if spec.stop else Limits(),
        target_rate=spec.target_rate,
        configurations=tuple(
            _configuration(name, each, document.folder)
            for name, each in spec.configurations.items()
        ),
    )


def _phase_problems(plan: Sequence[Phase], document: Document) -> Iterator[Problem]:
    for number, phase in enumerate(plan):
        reason = phases.fault(phase)
        if reason is not None:
            yield Problem("E657", reason, document.span(("phases", number)))


def _place_problems(spec: MatrixSpec, document: Document) -> Iterator[Problem]:
    for name, each in spec.configurations.items():
        at: At = ("configurations", name)
        given = [kind for kind in _KINDS if getattr(each, kind) is not None]
        if len(given) > 1:
            message = f"'{name}' is in two places: {' and '.join(given)}"
            yield Problem("E657", message, document.key_span((*at, given[1])))
        for kind in set(given) - {"endpoint"}:
            try:
                address(getattr(each, kind))
            except ValueError as error:
                yield Problem("E657", str(error), document.span((*at, kind)))
        if each.pipeline is None and given != ["url"]:
            message = f"'{name}' needs `pipeline`: what is served, or what says what is taken there"
            yield Problem("E657", message, document.key_span(at))


def _limits(spec: StopSpec) -> Limits:
    latency = spec.latency * 1000 if spec.latency else None
    return Limits(spec.invocations_per_minute, latency)


def _configuration(name: str, spec: ConfigurationSpec, folder: Path) -> Configuration:
    return Configuration(
        name=name,
        pipeline=folder / spec.pipeline if spec.pipeline else None,
        url=spec.url,
        sagemaker=spec.sagemaker,
        endpoint=spec.endpoint,
        region=spec.region,
        model=spec.model,
        target_model=spec.target_model,
        instance=spec.instance,
        gpu=bool(spec.needs and spec.needs.gpu),
        files=tuple(folder / each for each in spec.needs.files) if spec.needs else (),
        why=spec.needs.why if spec.needs else None,
    )
