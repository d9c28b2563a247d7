"""Archives for Amazon SageMaker, and what their endpoint is to be started with.

A model archive holds model folders at its top. On an endpoint with one of them the container loads
the model of SAGEMAKER_TRITON_DEFAULT_MODEL_NAME; on one with many, its adaptor looks for the
ensemble of each. `manifest.json` stays in: neither counts files at the top.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemblegen import json_text, manifest
from ensemblegen.content import Linked, sha256, size
from ensemblegen.engine import repository as repositories
from ensemblegen.engine import server
from ensemblegen.engine.locate import EMBEDDED_RELEASE
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.manifest import Manifest, ManifestFile
from ensemblegen.package import archive, contents, embedding, endpoint, naming, pipelines
from ensemblegen.package.archive import Written
from ensemblegen.package.contents import Item
from ensemblegen.package.embedding import Embedded
from ensemblegen.package.pipelines import Pipeline
from ensemblegen.sagemaker import adaptor, script
from ensemblegen.sagemaker.described import NAME, Description, Packed

_CONFIG = "config.pbtxt"
_SAYABLE = re.compile(r"[A-Za-z0-9._-]+")
_DOWNLOAD = 100 << 20
_UNPACK = 150 << 20
_STUB = 1.5


@dataclass(frozen=True, slots=True)
class Prepared:
    """One pipeline, ready to be written."""

    pipeline: Pipeline
    files: dict[str, Item]
    sized: bool
    target: str
    warnings: tuple[Problem, ...] = ()
    """What the container is to have by itself."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Roughly, in seconds: how long an instance takes until it answers.

    Downloads come at 100 MiB a second and are unpacked at 150; Triton loads four models at once,
    and a Python instance takes 1.5 s to start, besides what its own code loads and environments,
    which Triton unpacks by itself.
    """

    download: float
    unpack: float
    start: float

    @property
    def total(self) -> float:
        return self.download + self.unpack + self.start


@dataclass(frozen=True, slots=True)
class Package:
    """What was written; `environment` is for the endpoint's container."""

    folder: Path
    archives: tuple[tuple[Pipeline, Written], ...]
    environment: dict[str, str]
    multi_model: bool
    target: str
    shared_memory: int
    """Bytes of /dev/shm that Python models take at the start, with all archives loaded."""

    @property
    def estimate(self) -> Estimate:
        """For the first request: of one archive, the slowest to be there."""
        return max((_estimate(*each) for each in self.archives), key=lambda each: each.total)


def prepare(path: Path, model: str | None = None, *, multi_model: bool) -> tuple[Prepared, ...]:
    """The pipelines of a repository as they are to be packed; InputError with all that refuses."""
    server.require_plans(path)
    repository = repositories.read(path)
    found = pipelines.find(repository, model)
    if not multi_model:
        found = (pipelines.only(repository, found),)
    problems = [problem for each in found for problem in _refusals(each, multi_model=multi_model)]
    if problems:
        raise InputError(problems)
    try:
        return tuple(_prepared(repository, each, multi_model=multi_model) for each in found)
    except OSError as error:
        message = f"{error.filename} cannot be packed: {error.strerror or error}"
        raise InputError([Problem("E643", message)]) from error


def write(prepared: Prepared, path: Path) -> Package:
    """The archive `path` of a single-model endpoint, and `sagemaker.json` beside it."""
    variables = endpoint.environment([prepared.pipeline], multi_model=False, sized=prepared.sized)
    written = archive.write(prepared.files, path)
    packed = ((prepared.pipeline, written),)
    return _told([prepared], packed, variables, path.parent)


def write_many(prepared: Sequence[Prepared], folder: Path) -> Package:
    """`<pipeline>.tar.gz` for each pipeline in `folder`, and `sagemaker.json` for all of them."""
    _require_distinct(prepared)
    found = [each.pipeline for each in prepared]
    sized = all(each.sized for each in prepared)
    variables = endpoint.environment(found, multi_model=True, sized=sized)
    packed = tuple(
        (each.pipeline, archive.write(each.files, folder / f"{each.pipeline.name}.tar.gz"))
        for each in prepared
    )
    return _told(prepared, packed, variables, folder)


def description(package: Package) -> Description:
    """`sagemaker.json`: what an endpoint needs to know."""
    archives = tuple(
        Packed(pipeline=each.name, archive=made.path.name, sha256=made.sha256, bytes=made.size)
        for each, made in package.archives
    )
    lines = "".join(f"{each.sha256}  {each.archive}\n" for each in archives)
    many = hashlib.sha256(lines.encode()).hexdigest()
    estimate = package.estimate
    return Description(
        archive="." if package.multi_model else archives[0].archive,
        sha256=many if package.multi_model else archives[0].sha256,
        bytes=sum(made.size for _, made in package.archives),
        unpacked_bytes=sum(made.unpacked for _, made in package.archives),
        multi_model=package.multi_model,
        target=package.target,
        pipelines=tuple(each.name for each, _ in package.archives),
        environment=package.environment,
        shared_memory_bytes=package.shared_memory,
        archives=archives,
        estimate={
            "download_seconds": round(estimate.download, 1),
            "unpack_seconds": round(estimate.unpack, 1),
            "start_seconds": round(estimate.start, 1),
        },
    )


def _told(
    prepared: Sequence[Prepared],
    packed: tuple[tuple[Pipeline, Written], ...],
    variables: dict[str, str],
    folder: Path,
) -> Package:
    """Write `sagemaker.json`, last: it names what is there."""
    package = Package(
        folder=folder,
        archives=packed,
        environment=variables,
        multi_model=script.DEFAULT not in variables,
        target=max(each.target for each in prepared),
        shared_memory=endpoint.shared_memory([each.pipeline for each in prepared], variables),
    )
    made = folder / f".{NAME}.ensemblegen"
    try:
        made.write_text(json_text.text(description(package).model_dump()), encoding="utf-8")
        made.replace(folder / NAME)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise MachineError(f"cannot write {folder / NAME}: {error.strerror or error}") from error
    return package


def _refusals(pipeline: Pipeline, *, multi_model: bool) -> Iterator[Problem]:
    """What the adaptor cannot do with a pipeline."""
    for model in pipeline.models:
        if not _SAYABLE.fullmatch(model.name):
            message = f"the start script cannot pass on the model name '{model.name}'"
            yield Problem("E647", message, hint="use letters, digits and . _ -")
    for model in pipeline.reached:
        if model.decoupled:
            message = f"'{model.name}' is decoupled, and an HTTP reply has exactly one answer"
            hint = "serve it over gRPC on a server of your own, or let it answer once"
            yield Problem("E640", message, hint=hint)
        if model.sequences:
            message = f"'{model.name}' keeps sequences, which an endpoint spreads over instances"
            hint = "serve it on a server of your own, or let each request carry its state"
            yield Problem("E641", message, hint=hint)
    if multi_model and pipeline.called:
        names = ", ".join(model.name for model in pipeline.called)
        message = (
            f"'{pipeline.name}' calls models that none of its steps is, which a multi-model "
            f"endpoint does not load: {names}"
        )
        hint = "give it an endpoint of its own: package sagemaker REPOSITORY -o model.tar.gz"
        yield Problem("E645", message, hint=hint)


def _prepared(repository: Repository, pipeline: Pipeline, *, multi_model: bool) -> Prepared:
    files = contents.of_models(repository, (model.name for model in pipeline.models))
    names = naming.of(pipeline, files) if multi_model else {}
    embedded = embedding.embed(repository, pipeline.models, names)
    files = {
        naming.path(path, names): each
        for path, each in files.items()
        if path not in embedded.dropped
    } | embedded.files
    for model in pipeline.models:
        config = pipelines.folder(repository, model.name) / _CONFIG
        text = config.read_text("utf-8", "surrogateescape")
        text = embedding.rewritten(text, embedded.values.get(model.name), model.name)
        text = naming.config(text, names)
        if multi_model:
            mine = model.name == pipeline.name
            text = adaptor.marked(text) if mine else adaptor.hidden(text)
        files[naming.path(f"{model.name}/{_CONFIG}", names)] = text.encode(
            "utf-8", "surrogateescape"
        )
    made = pipelines.made(repository.path)
    if made is not None:
        files[manifest.NAME] = _manifest(made, pipeline, files, embedded)
    target = made.target if made else EMBEDDED_RELEASE
    warnings = tuple(_bare(made, pipeline)) if made else ()
    return Prepared(pipeline, files, made is not None, target, warnings)


def _config(repository: Repository, model: Model, embedded: Embedded) -> str:
    """As the author has it, but for where its environment is and what models are called."""
    place = pipelines.folder(repository, model.name) / _CONFIG
    text = place.read_text("utf-8", "surrogateescape")
    text = embedding.rewritten(text, embedded.values.get(model.name), model.name)
    return naming.config(text, embedded.names)


def _bare(made: Manifest, pipeline: Pipeline) -> Iterator[Problem]:
    """Environments that the author named, and that were left out when it was compiled."""
    declared = {each.name: each.environment for each in made.models}
    lacking: dict[str, list[str]] = {}
    for model in pipeline.models:
        environment = declared.get(model.name)
        if environment is not None and model.environment is None:
            lacking.setdefault(environment, []).append(model.name)
    for environment, models in sorted(lacking.items()):
        message = (
            f"the environment '{environment}' is not in the package: {', '.join(sorted(models))} "
            "will run in the Python of the container, with what is installed there"
        )
        hint = (
            "build it with `ensemblegen env build PIPELINE`, and compile with "
            "`--environments beside`"
        )
        yield Problem("E648", message, hint=hint)


def _manifest(
    made: Manifest, pipeline: Pipeline, files: Mapping[str, Item], embedded: Embedded
) -> bytes:
    """The manifest of the packed repository, which is a compiled one still."""
    kept = {model.name for model in pipeline.models}
    models = tuple(each for each in made.models if each.name in kept)
    places = {each.execution: embedded.inside.get(each.name) for each in models}

    def called(name: str) -> str:
        return embedded.names.get(name, name)

    packed = replace(
        made,
        pipelines=tuple(
            replace(
                each,
                steps={called(model): step for model, step in each.steps.items()},
                others=tuple(map(called, each.others)),
            )
            for each in made.pipelines
            if each.name == pipeline.name
        ),
        models=tuple(replace(each, name=called(each.name)) for each in models),
        files={
            path: ManifestFile(sha256(each), size(each))
            for path, each in files.items()
            if isinstance(each, (bytes, Linked)) and path not in embedded.files
        },
        environments=tuple(
            replace(each, path=None, inside=places[each.key])
            for each in made.environments
            if places.get(each.key) is not None
        ),
        deployed=(),
    )
    return json_text.text(manifest.to_json(packed)).encode()


def _require_distinct(prepared: Sequence[Prepared]) -> None:
    seen: set[str] = set()
    for each in prepared:
        if each.pipeline.name in seen:
            message = (
                f"two pipelines are called '{each.pipeline.name}', and so would be their archives"
            )
            raise InputError([Problem("E642", message, hint="give one of them another `name:`")])
        seen.add(each.pipeline.name)


def _estimate(pipeline: Pipeline, written: Written) -> Estimate:
    stubs = sum(model.instances for model in pipeline.models if model.backend == "python")
    return Estimate(written.size / _DOWNLOAD, written.unpacked / _UNPACK, stubs * _STUB / 4)
