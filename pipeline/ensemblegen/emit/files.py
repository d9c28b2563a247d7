"""Every file of a repository, as values: nothing is read but the author's code, nothing written.

before  Plan, or Project: several that share a repository
after   {path inside the repository: content}, sorted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ensemblegen import __version__, json_text, manifest
from ensemblegen.content import Content, Linked, sha256, size
from ensemblegen.emit import config, serving
from ensemblegen.manifest import (
    Manifest,
    ManifestDeployed,
    ManifestEnvironment,
    ManifestFile,
    ManifestModel,
    ManifestPipeline,
    ManifestTensor,
)
from ensemblegen.members import Member
from ensemblegen.members.backend import files_of, kept, name_of
from ensemblegen.members.bls import calls_of
from ensemblegen.pbtxt import printer
from ensemblegen.plan import Interface, Plan, Project
from ensemblegen.traffic import edges
from ensemblegen.traffic.edges import Traffic
from ensemblegen.words import Place

if TYPE_CHECKING:
    from ensemblegen.emit.hashes import Hashes
    from ensemblegen.environments.declared import Declared

_ENSEMBLE_VERSION = (
    b"An ensemble has no files of its own, but Triton wants a version folder, and object stores\n"
    b"and git drop empty ones.\n"
)


def files(
    plan: Plan | Project, *traffic: Traffic, hashes: Hashes | None = None
) -> dict[str, Content]:
    """The repository of `plan`, its manifest included; `traffic` is that of its pipelines, if known
    already, and `hashes` are those of artifacts.
    """
    moved: dict[str, int] = {}
    for each in traffic or map(edges.trace, plan.pipelines):
        moved |= each.batch_bytes
    made: dict[str, Content] = {}
    for path, content in sorted(_files(plan), key=lambda entry: entry[0]):
        if path in made:
            raise AssertionError(f"two files for {path}: the checks let a collision through")
        made[path] = content if hashes is None else hashes.told(content)
    made[manifest.NAME] = json_text.text(manifest.to_json(_manifest(plan, made, moved))).encode()
    return made


def _files(plan: Plan | Project) -> Iterator[tuple[str, Content]]:
    # What pipelines share, inside each other or beside, is one model: the checks saw to it.
    made: dict[str, set[str]] = {}
    for each in plan.all():
        yield from _ensemble(each)
        for member in each.members:
            before = made.setdefault(member.model, set())
            if not before:
                yield from _member(each, member)
            else:
                # Each pipeline has placements of its own, for which its models need a config.
                yield from _variants(each, member, each.variants.keys() - before)
            before |= {"", *each.variants}
    for folder in (folder for each in plan.all() for folder in each.folders):
        name = name_of(folder)
        if name not in made:
            yield from _folder(name, folder)
        made[name] = {""}


def _folder(name: str, folder: Path) -> Iterator[tuple[str, Content]]:
    config_file = folder / "config.pbtxt"
    if config_file.is_file():
        yield f"{name}/config.pbtxt", Linked(config_file)
    for inner, content in kept(folder, dict(files_of(folder))):
        yield f"{name}/{inner}", content


def _ensemble(plan: Plan) -> Iterator[tuple[str, Content]]:
    yield (
        f"{plan.name}/config.pbtxt",
        _with_header(plan.origin, printer.text(config.ensemble(plan))),
    )
    own = dict(kept(plan.folder, dict(files_of(plan.folder)))) if plan.folder else {}
    for inner, content in own.items():
        yield f"{plan.name}/{inner}", content
    if not any(inner.partition("/")[0].isdigit() for inner in own):
        yield f"{plan.name}/1/README", _ENSEMBLE_VERSION


def _member(plan: Plan, member: Member) -> Iterator[tuple[str, Content]]:
    text = _texts(plan, member)
    own = _own(plan, member)
    yield f"{member.model}/config.pbtxt", text(plan.devices[member.step])
    for variant, devices in plan.variants.items():
        alternate = f"configs/{variant}.pbtxt"
        if alternate not in own:  # a model folder may bring its own
            yield f"{member.model}/{alternate}", text(devices[member.step])
    for path, content in own.items():
        yield f"{member.model}/{path}", content


def _variants(plan: Plan, member: Member, names: Set[str]) -> Iterator[tuple[str, Content]]:
    """The configs of further placements, for a model that is there already."""
    own = _own(plan, member) if names else {}
    text = _texts(plan, member)
    for variant in names:
        alternate = f"configs/{variant}.pbtxt"
        if alternate not in own:
            yield f"{member.model}/{alternate}", text(plan.variants[variant][member.step])


def _own(plan: Plan, member: Member) -> dict[str, Content]:
    return {
        **dict(member.kind.files(member)),
        **serving.warmup_files(serving.samples(plan, member)),
    }


def _texts(plan: Plan, member: Member) -> Callable[[Place], bytes]:
    """The config of a member by device, each printed once."""

    @cache
    def text(device: Place) -> bytes:
        return _with_header(member.origin, printer.text(config.member(plan, member, device)))

    return text


def _with_header(origin: str, text: str) -> bytes:
    header = f"# From {origin}, by ensemblegen {__version__}. Do not edit: compile again.\n"
    return (header + text).encode()


def _manifest(plan: Plan | Project, made: dict[str, Content], moved: Mapping[str, int]) -> Manifest:
    described = {content: _file(content) for content in set(made.values())}
    return Manifest(
        ensemblegen=__version__,
        target=plan.pipelines[0].target.release,
        pipelines=tuple(map(_pipeline, plan.pipelines)),
        models=tuple(_models(plan, moved)),
        files={path: described[content] for path, content in made.items()},
        environments=tuple(_environments(plan)),
        deployed=tuple(_deployed(plan)),
    )


def _pipeline(plan: Plan) -> ManifestPipeline:
    inside = tuple(plan.all())
    names = (
        *(each.name for each in inside),
        *(name_of(f) for each in inside for f in each.folders),
    )
    return ManifestPipeline(
        name=plan.name,
        source=plan.source,
        device=plan.device,
        max_batch_size=plan.max_batch_size,
        inputs=tuple(_tensor(each) for each in plan.inputs),
        outputs=tuple(_tensor(each) for each in plan.outputs),
        steps={member.model: member.step for each in inside for member in each.members},
        others=tuple(dict.fromkeys(name for name in names if name != plan.name)),
        variant=plan.variant,
    )


def _file(content: Content) -> ManifestFile:
    return ManifestFile(sha256(content), size(content))


def _tensor(each: Interface) -> ManifestTensor:
    return ManifestTensor(
        each.name, each.tensor.dtype, each.tensor.shape, each.optional, each.default
    )


def _models(plan: Plan | Project, moved: Mapping[str, int]) -> Iterator[ManifestModel]:
    found: set[str] = set()
    for each in plan.all():
        for member in each.members:
            if member.model not in found:
                yield _model(each, member, moved.get(member.model, 0))
            found.add(member.model)


def _environments(plan: Plan | Project) -> Iterator[ManifestEnvironment]:
    found = {
        each.entry.key: each
        for one in plan.all()
        for member in one.members
        for each in member.executions.values()
    }
    for key, each in sorted(found.items()):
        path = each.beside if each.place != "embed" else None
        entry = each.entry
        yield ManifestEnvironment(
            key=key,
            name=each.name,
            python=entry.python,
            sha256=entry.sha256,
            size=entry.size,
            marker=entry.marker,
            marker_sha256=entry.marker_sha256,
            path=path,
        )


def _deployed(plan: Plan | Project) -> Iterator[ManifestDeployed]:
    """Where the models are that nobody makes; a path is the one that it had at compile time."""
    found = {member.model: member.artifact for each in plan.all() for member in each.deployed}
    for name, each in sorted(found.items()):
        repository = str(each.repository.resolve()) if each.repository is not None else None
        yield ManifestDeployed(name, repository, each.server)


def _declared(member: Member, device: Place) -> Declared | None:
    """What it declares to run in, on `device` or else anywhere."""
    found = {str(name): each for name, each in member.environments.items()}
    return found.get(device) or next(iter(found.values()), None)


def _model(plan: Plan, member: Member, batch_bytes: int) -> ManifestModel:
    device = plan.devices[member.step]
    return ManifestModel(
        name=member.model,
        step=member.step,
        kind=member.kind.word,
        backend=member.backend,
        device=device,
        instances=member.instances[device],
        origin=member.origin,
        environment=declared.name if (declared := _declared(member, device)) else None,
        execution=member.executions[device].entry.key if device in member.executions else None,
        batch_bytes=batch_bytes,
        calls=tuple(dict.fromkeys(each.model for each in calls_of(member))),
    )
