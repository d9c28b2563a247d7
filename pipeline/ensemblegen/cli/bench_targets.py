"""What `bench` measures: repositories that it compiles and serves, or a running server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen import manifest
from ensemblegen.bench import inputs, surroundings, trace
from ensemblegen.bench.control import control
from ensemblegen.bench.report import Subject
from ensemblegen.bench.run import Target
from ensemblegen.cli.infer import only
from ensemblegen.cli.serve import interface_of, started, target_of
from ensemblegen.client import rows
from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.client.rows import Row
from ensemblegen.client.session import Session
from ensemblegen.engine import repository as repositories
from ensemblegen.engine.locate import Choice
from ensemblegen.engine.server import Options, Server
from ensemblegen.errors import InputError, Problem
from ensemblegen.projects import found as pipelines

if TYPE_CHECKING:
    from ensemblegen.plan import Plan

_EXAMPLES, _GENERATED = "examples", "generated"


@dataclass(frozen=True)
class Wanted:
    """What the command line says of the targets."""

    target: Path | None
    url: str | None = None
    pipeline: str | None = None
    model: str | None = None
    devices: tuple[str, ...] = ()
    against: Path | None = None
    input: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    protocol: Protocol = Protocol.http
    engine: Choice = Choice.auto
    server: Path | None = None
    timeout: float = 300.0
    log_file: Path | None = None


@dataclass(frozen=True)
class _Source:
    """A repository to serve, and what is known of it before it is served."""

    name: str
    repository: Path
    interface: Interface | None = None
    steps: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Row, ...] = ()
    models: tuple[str, ...] = ()
    """To be loaded; none means all."""


@contextlib.contextmanager
def opened(wanted: Wanted, folder: Path) -> Iterator[tuple[list[Target], str]]:
    """The targets, ready to be called, and where their rows come from.

    `folder` is empty and goes with them: repositories are compiled into it, and traces written.
    """
    if wanted.url is not None:
        with _running(wanted, wanted.url, folder) as (target, source):
            yield [target], source
        return
    sources = _sources(wanted, folder)
    lanes = list(_lanes(wanted, sources))
    # What is wrong is told before a server is started for it.
    for each, profile in lanes:
        repositories.read(each.repository, profile, each.models)
        _require_rows(wanted, each)
    with contextlib.ExitStack() as stack:
        targets = []
        for number, (each, profile) in enumerate(lanes):
            traces = folder / f"traces-{number}"
            traces.mkdir()
            options = Options(
                engine=wanted.engine,
                server=wanted.server,
                target=target_of(each.repository),
                profile=profile,
                log_file=wanted.log_file,
                timeout=wanted.timeout,
                extra=trace.flags(traces),
                only=each.models,
            )
            server = stack.enter_context(started(each.repository, options))
            targets.append(_served(wanted, each, server, profile or each.name, traces))
        yield targets, _origin(wanted, sources[0])


def _sources(wanted: Wanted, folder: Path) -> list[_Source]:
    paths = [path for path in (wanted.target, wanted.against) if path is not None]
    found = [_source(wanted, path, folder / f"repository-{i}") for i, path in enumerate(paths)]
    if len({each.name for each in found}) == len(found):
        return found
    # Two that are called the same are told apart by where they lie.
    return [replace(each, name=str(path)) for path, each in zip(paths, found, strict=True)]


def _lanes(wanted: Wanted, sources: Sequence[_Source]) -> Iterator[tuple[_Source, str | None]]:
    for each in sources:
        for profile in wanted.devices or (None,):
            yield each, profile


def _source(wanted: Wanted, path: Path, folder: Path) -> _Source:
    if pipelines.is_one(path):
        plan = _put(wanted, path, folder)
        return replace(_compiled(wanted, folder), examples=_examples(plan))
    if (path / manifest.NAME).is_file():
        return _compiled(wanted, path)
    if wanted.pipeline is not None:
        raise InputError([manifest.which(wanted.pipeline, {})])
    return _Source(path.name, path)


def _put(wanted: Wanted, path: Path, folder: Path) -> Plan:
    """Compile the pipeline that is meant into `folder`, and no other of its project."""
    from ensemblegen.cli.compile import complete, put
    from ensemblegen.plan import Project
    from ensemblegen.projects import project

    examined = project.sound(path)
    name = examined.only(wanted.pipeline).graph.model
    plans = tuple(each for each in examined.project.pipelines if each.name == name)
    made = complete(Project(plans))
    put(made, folder)
    return made.pipelines[0]


def _examples(plan: Plan) -> tuple[Row, ...]:
    return tuple(rows.from_values(dict(example.inputs) for example in plan.examples))


def _compiled(wanted: Wanted, repository: Path) -> _Source:
    made = manifest.read(repository)
    if wanted.model is not None and wanted.pipeline is None and len(made.pipelines) > 1:
        return _Source(repository.name, repository)
    found = made.pipeline(wanted.pipeline)
    models = found.models if len(made.pipelines) > 1 else ()
    return _Source(found.name, repository, Interface.of(found), found.steps, models=models)


def _require_rows(wanted: Wanted, source: _Source) -> None:
    """InputError where the rows cannot be used, as far as that is known without a server."""
    if source.interface is not None and wanted.model is None:
        _items(wanted, source.interface, source.examples)
    elif wanted.input not in (None, _EXAMPLES, _GENERATED):
        rows.require_readable(str(wanted.input))
    elif wanted.input == _EXAMPLES and not source.examples:
        raise _no_examples(source.name)


def _items(wanted: Wanted, interface: Interface, examples: Sequence[Row]) -> Sequence[inputs.Item]:
    kind = wanted.input or (_EXAMPLES if examples else _GENERATED)
    if kind == _EXAMPLES:
        if not examples:
            raise _no_examples(interface.model)
        return inputs.fitted(interface, examples)
    if kind == _GENERATED:
        return inputs.generated(interface, wanted.shapes, wanted.seed)
    return inputs.fitted(interface, rows.from_file(kind))


def _no_examples(name: str) -> InputError:
    hint = "--input generated, or a .jsonl or .csv file of rows"
    return InputError([Problem("E214", f"'{name}' has no examples to send", hint=hint)])


def _origin(wanted: Wanted, source: _Source) -> str:
    return wanted.input or (_EXAMPLES if source.examples else _GENERATED)


def _served(wanted: Wanted, source: _Source, server: Server, name: str, traces: Path) -> Target:
    asked = control(Protocol.http, server.http)
    address = server.http if wanted.protocol is Protocol.http else server.grpc
    interface = None
    if wanted.model is None:
        interface = source.interface or interface_of(server)
    if interface is None:
        with Session(address, wanted.protocol) as session:
            interface = session.interface(wanted.model or only(session))
    steps = source.steps
    return Target(
        subject=Subject(name, interface.model, asked.server(), steps),
        address=address,
        control=asked,
        interface=interface,
        items=_items(wanted, interface, source.examples),
        ensembles=surroundings.ensembles(asked, interface.model, steps),
        # What a container writes does not lie here.
        traces=traces if server.engine.kind is not Choice.docker else None,
    )


@contextlib.contextmanager
def _running(wanted: Wanted, url: str, folder: Path) -> Iterator[tuple[Target, str]]:
    """A server that somebody else started: measured, but not traced."""
    source = _known(wanted, folder)
    steps: dict[str, Any] = dict(source.steps) if source else {}
    examples = source.examples if source else ()
    with Session(url, wanted.protocol) as session:
        session.require_triton()
        name = wanted.model or (source.interface.model if source and source.interface else None)
        interface = session.interface(name or only(session))
    if source and source.interface and wanted.model is None:
        interface = source.interface
    asked = control(wanted.protocol, url)
    target = Target(
        subject=Subject(url, interface.model, asked.server(), steps),
        address=url,
        control=asked,
        interface=interface,
        items=_items(wanted, interface, examples),
        ensembles=surroundings.ensembles(asked, interface.model, steps),
    )
    yield target, wanted.input or (_EXAMPLES if examples else _GENERATED)


def described(wanted: Wanted, folder: Path) -> tuple[Interface, Sequence[inputs.Item]]:
    """What a pipeline or repository says of a model that something else serves, and rows for it.

    `folder` is empty, as with `opened`.
    """
    source = _known(wanted, folder)
    if source is None or source.interface is None:
        message = "nothing says what is taken and answered there"
        hint = "give the pipeline.yaml, or the compiled repository"
        raise InputError([Problem("E701", message, hint=hint)])
    return source.interface, _items(wanted, source.interface, source.examples)


def _known(wanted: Wanted, folder: Path) -> _Source | None:
    """What a pipeline or repository says of the model that a server runs."""
    if wanted.target is None:
        return None
    return _source(wanted, wanted.target, folder / "repository")
