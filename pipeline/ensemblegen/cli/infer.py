"""ensemblegen infer: call a pipeline, on a running server or on one started for the call."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import destination
from ensemblegen.cli.options import (
    DeviceOption,
    EngineOption,
    FormatOption,
    LogOption,
    PipelineOption,
    ServerOption,
    TargetModelOption,
    TimeoutOption,
    address_of,
)
from ensemblegen.cli.render import (
    Format,
    console,
    print_json,
    print_problems,
    problem_json,
    stderr_console,
)
from ensemblegen.cli.serve import Meant, interface_of, require_one_name, started, target_of
from ensemblegen.client.interface import Protocol
from ensemblegen.engine.locate import Choice

if TYPE_CHECKING:
    from rich.table import Table

    from ensemblegen.client.interface import Interface
    from ensemblegen.client.rows import Row
    from ensemblegen.client.session import Result, Session
    from ensemblegen.engine.server import Options

_SHOWN = 50


@dataclass(frozen=True)
class _Place:
    """Where to call: a URL, or a repository to serve for the call."""

    repository: Path | None
    url: str | None
    meant: Meant
    protocol: Protocol
    options: Options
    sagemaker: str | None = None
    """`host:port` of an endpoint of SageMaker's protocol."""
    target: str | None = None
    json: bool = False


def infer(
    repository: Annotated[
        Path | None,
        typer.Argument(help="The repository to call, or use --url; of an endpoint, its archive."),
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            help="name=value, or name=@file; once an input. A uint8 input of one axis gets "
            "the bytes of a file as they are, unless it is called .json.",
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="Rows: a .jsonl or .csv file; - for JSON lines."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="host:port of a running server.")] = None,
    sagemaker: Annotated[
        str | None, typer.Option(help="host:port of a SageMaker endpoint on this machine.")
    ] = None,
    target_model: TargetModelOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Send and receive JSON, not bytes (--sagemaker).")
    ] = False,
    pipeline: PipelineOption = None,
    model: Annotated[
        str | None, typer.Option(help="The model to call, if not the pipeline.")
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="What to talk.")] = Protocol.http,
    batch: Annotated[int, typer.Option(min=1, help="Rows in one request.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 16,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON lines; - for standard output.")
    ] = None,
    engine: EngineOption = Choice.auto,
    server: ServerOption = None,
    device: DeviceOption = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Call a pipeline with one row of values, or with every row of a file.

    Example: ensemblegen infer build/repository --input excerpt="The cat sat on the mat."

    Without --url a server is started for the call. A row that fails does not stop the others;
    the exit code is then 1.
    """
    from ensemblegen.client.session import Load
    from ensemblegen.engine.server import Options

    _require_usage(repository, url or sagemaker, input, file)
    _require_sagemaker(repository, url, sagemaker, target_model, as_json=as_json)
    require_one_name(repository, pipeline, model)
    url = address_of(url, "--url") if url is not None else None
    sagemaker = address_of(sagemaker, "--sagemaker") if sagemaker is not None else None
    if output is not None:
        destination.require_writable(output)
    meant = (
        Meant.of(repository, pipeline, model)
        if sagemaker is None
        else _described(repository, pipeline)
    )
    given = _rows(meant.interface, input or [], file)
    options = Options(
        engine=engine,
        server=server,
        target=target_of(repository) if repository is not None and not sagemaker else "",
        profile=device,
        log_file=log_file,
        timeout=timeout,
        only=meant.models,
    )
    place = _Place(repository, url, meant, protocol, options, sagemaker, target_model, json=as_json)
    load = Load(batch, concurrency, timeout)
    with _session(place) as (session, interface):
        results = session.infer(interface, given, load)
        if output is not None:
            failed = _write(results, output)
        elif format is Format.json:
            failed = _print_json(results)
        else:
            failed = _print(results, single=file is None)
    if failed:
        raise typer.Exit(1)


def _require_usage(
    repository: Path | None, url: str | None, input: list[str] | None, file: str | None
) -> None:
    if repository is None and url is None:
        raise typer.BadParameter("give a repository, or --url of a running server")
    if (input is None) == (file is None):
        raise typer.BadParameter("give the values with --input, or the rows with --file")


def _require_sagemaker(
    repository: Path | None,
    url: str | None,
    sagemaker: str | None,
    target: str | None,
    *,
    as_json: bool,
) -> None:
    if sagemaker is None:
        if target is not None or as_json:
            raise typer.BadParameter("--target-model and --json are for --sagemaker")
        return
    if url is not None:
        raise typer.BadParameter("--url or --sagemaker, not both")
    if repository is None:
        # Nothing there says what the pipeline takes: the adaptor has no metadata.
        raise typer.BadParameter("give the archive or the repository that the endpoint serves")


def _rows(interface: Interface | None, input: list[str], file: str | None) -> Iterator[Row]:
    """The rows; a single one is checked before a server is started for it."""
    from ensemblegen.client import rows
    from ensemblegen.client.tensors import arrays

    if file is not None:
        rows.require_readable(file)
        found = rows.from_file(file)
        # What is wrong with all of the file is told before a server is started for it.
        return found if file == rows.STDIN else itertools.chain([next(found)], found)
    row = rows.from_arguments(input)
    if interface is not None:
        arrays(interface, row)
    return iter([row])


@contextlib.contextmanager
def _session(place: _Place) -> Iterator[tuple[Session, Interface]]:
    from ensemblegen.client.session import Session

    meant = place.meant
    if place.sagemaker is not None:
        with _endpoint(place, place.sagemaker) as found:
            yield found
        return
    if place.url is not None:
        with Session(place.url, place.protocol) as session:
            session.require_triton()
            if meant.interface is not None:
                yield session, meant.interface
            else:
                yield session, session.interface(meant.model or only(session))
        return
    assert place.repository is not None  # noqa: S101 - required above
    with started(place.repository, place.options) as server:
        interface = meant.interface or interface_of(server, meant.model)
        url = server.http if place.protocol is Protocol.http else server.grpc
        with Session(url, place.protocol) as session:
            yield session, interface or session.interface(only(session))


def _described(repository: Path | None, pipeline: str | None) -> Meant:
    """What an endpoint takes, which has no metadata: as its archive or repository says."""
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.sagemaker import described

    assert repository is not None  # noqa: S101 - required by _require_sagemaker
    found = described(repository).pipeline(pipeline)
    return Meant(found.name, Interface.of(found))


@contextlib.contextmanager
def _endpoint(place: _Place, address: str) -> Iterator[tuple[Session, Interface]]:
    from ensemblegen.client.sagemaker import Call, SageMakerSession

    assert place.meant.interface is not None  # noqa: S101 - of _described
    with SageMakerSession(address, Call(not place.json, place.target)) as session:
        session.require_triton()
        yield session, place.meant.interface


def only(session: Session) -> str:
    """The one model that can be meant; otherwise the user has to say."""
    from ensemblegen.errors import InputError, Problem

    models = session.models()
    candidates = models if len(models) == 1 else session.ensembles()
    if len(candidates) == 1:
        return candidates[0]
    known = ", ".join(models) or "none"
    problem = Problem("E704", "which model is meant?", hint=f"--model NAME; there are: {known}")
    raise InputError([problem])


def _print(results: Iterator[Result], *, single: bool) -> int:
    from rich.table import Table

    from ensemblegen.errors import InputError

    failed = count = 0
    table = Table()
    for result in results:
        count += 1
        if result.ok:
            _add(table, result, with_inputs=not single)
        elif single:
            raise InputError(result.problems)
        else:
            failed += 1
            print_problems(result.problems)
    _draw(table, single=single)
    if count - failed > _SHOWN:
        left = count - failed - _SHOWN
        console().print(f"and {left} more: --output FILE.jsonl writes them all")
    if failed:
        stderr_console().print(f"{failed} of {count} rows failed")
    return failed


def _add(table: Table, result: Result, *, with_inputs: bool) -> None:
    from ensemblegen.client.tensors import jsonable

    inputs = result.inputs if with_inputs else {}
    if not table.columns:
        table.add_column("row", justify="right")
        for name in inputs:
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=48)
        for name in result.outputs:
            table.add_column(name, overflow="fold")
    if table.row_count < _SHOWN:
        # The columns are those of the first row; what another row leaves out stays empty.
        values = {**inputs, **result.outputs}
        names = [str(column.header) for column in table.columns[1:]]
        cells = [_cell(jsonable(values[name])) if name in values else "" for name in names]
        table.add_row(str(result.index + 1), *cells)


def _draw(table: Table, *, single: bool) -> None:
    out = console()
    if single:
        for column in table.columns[1:]:
            out.print(f"[bold]{column.header}[/]  {next(iter(column.cells))}")
    elif table.columns:
        out.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= 500 else f"{text[:497]}...")


def _print_json(results: Iterator[Result]) -> int:
    shown = [_line(result) for result in results]
    failed = sum("problems" in line for line in shown)
    print_json({"ok": not failed, "results": shown})
    return failed


def _write(results: Iterator[Result], path: Path) -> int:
    """One line a row, in the order of the rows; the file is there when all of it is."""
    failed = count = 0
    with destination.opened(path) as file:
        for result in results:
            count += 1
            failed += not result.ok
            file.write(json.dumps(_line(result), ensure_ascii=False) + "\n")
    note = f"{count} rows written to {path}" + (f", {failed} failed" if failed else "")
    stderr_console().print(note, markup=False)
    return failed


def _line(result: Result) -> dict[str, Any]:
    from ensemblegen.client.tensors import jsonable

    if not result.ok:
        problems = [problem_json(problem) for problem in result.problems]
        return {"row": result.index + 1, "problems": problems}
    outputs = {name: jsonable(array) for name, array in result.outputs.items()}
    return {"row": result.index + 1, "outputs": outputs}
