"""`ensemblegen loadtest`: how much a server or an endpoint can take, and what that costs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import destination
from ensemblegen.cli.options import (
    EngineOption,
    FormatOption,
    LogOption,
    RowsOption,
    ServerOption,
    ShapeOption,
    TargetModelOption,
    TimeoutOption,
    address_of,
    shapes_of,
)
from ensemblegen.cli.render import Format, json_text, print_json
from ensemblegen.engine.locate import Choice

if TYPE_CHECKING:
    from ensemblegen.cli.loadtest_targets import Sending
    from ensemblegen.loadtest.matrix import Configuration, Matrix
    from ensemblegen.loadtest.prices import Prices
    from ensemblegen.loadtest.summary import Need, Summary

_DEFAULT = "1:0.5:60"


def loadtest(
    target: Annotated[
        Path | None,
        typer.Argument(help="A repository or a pipeline.yaml: served here, unless told where."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="host:port of a running Triton.")] = None,
    sagemaker: Annotated[
        str | None, typer.Option(help="host:port of what speaks SageMaker's protocol.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="An endpoint of SageMaker.")] = None,
    matrix: Annotated[
        Path | None, typer.Option(help="A file of configurations, loaded one after the other.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Of the endpoint.")] = None,
    model: Annotated[str | None, typer.Option(help="The model, if not the pipeline.")] = None,
    target_model: TargetModelOption = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            help="USERS:RATE:SECONDS: so many users, RATE more each second. "
            f"One after the other.  [default: {_DEFAULT}]"
        ),
    ] = None,
    stop_invocations: Annotated[
        float | None, typer.Option(min=1, help="Stop at so many invocations a minute.")
    ] = None,
    stop_latency: Annotated[
        float | None, typer.Option(min=0.001, help="Stop where p95 is above so many ms.")
    ] = None,
    target_rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a second to count machines for.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="per_hour: {ml.g5.xlarge: 1.4}, as you pay.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="The machine that is loaded, as prices name it.")
    ] = None,
    input: RowsOption = None,
    shape: ShapeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of generated inputs.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The result as JSON; - for stdout.")
    ] = None,
    engine: EngineOption = Choice.auto,
    server: ServerOption = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Load a server or an endpoint with users that come in phases; say what it takes and costs.

    Example: ensemblegen loadtest build/repository --phase 1:1:30 --stop-latency 200

    The exit code is 1 if a request failed, or a configuration of the matrix could not be run.
    """
    from ensemblegen.cli.loadtest_targets import Sending
    from ensemblegen.loadtest import prices as price_files
    from ensemblegen.loadtest.matrix import Configuration

    given = Configuration(
        "", target, url, sagemaker, endpoint, region, model, target_model, instance
    )
    _require_usage(given, matrix, phase)
    if output is not None:
        destination.require_writable(output)
    wanted = (
        _read(matrix, target_rate)
        if matrix is not None
        else _alone(
            given, phase or [_DEFAULT], _Limits(stop_invocations, stop_latency, target_rate)
        )
    )
    known = price_files.read(prices) if prices is not None else None
    needs = _needs(wanted, known)
    sending = Sending(input, shapes_of(shape), seed, engine, server, timeout, log_file)
    rows = list(_rows(wanted, needs, sending, alone=matrix is None))
    _deliver(rows, _Delivery(format, output, wanted, known))
    if any(each.failed or (each.answered == 0 and each.not_run is None) for each in rows):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Limits:
    """What the flags say; `latency` in milliseconds."""

    invocations: float | None
    latency: float | None
    rate: float | None


@dataclass(frozen=True)
class _Delivery:
    """Who gets the result, and how."""

    format: Format
    output: Path | None
    matrix: Matrix
    prices: Prices | None


def _require_usage(given: Configuration, matrix: Path | None, phase: list[str] | None) -> None:
    places = {"--url": given.url, "--sagemaker": given.sagemaker, "--endpoint": given.endpoint}
    said = [name for name, value in places.items() if value is not None]
    if matrix is not None:
        if said or given.pipeline is not None or phase:
            raise typer.BadParameter("--matrix says itself what is loaded, and how")
        return
    if len(said) > 1:
        raise typer.BadParameter(f"{' and '.join(said)} exclude each other")
    for option in ("--url", "--sagemaker"):
        if places[option] is not None:
            address_of(str(places[option]), option)
    if given.pipeline is None and said != ["--url"]:
        raise typer.BadParameter(
            "give a repository or a pipeline: to serve, or to say what is taken there"
        )


def _read(path: Path, rate: float | None) -> Matrix:
    from dataclasses import replace

    from ensemblegen.loadtest import matrix

    found = matrix.read(path)
    return replace(found, target_rate=rate) if rate is not None else found


def _alone(given: Configuration, words: list[str], said: _Limits) -> Matrix:
    """One configuration, as the flags describe it."""
    from dataclasses import replace

    from ensemblegen.loadtest.limits import Limits
    from ensemblegen.loadtest.matrix import Matrix
    from ensemblegen.loadtest.phases import parse

    try:
        plan = tuple(parse(word) for word in words)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--phase") from None
    latency = round(said.latency * 1e6) if said.latency is not None else None
    name = given.url or given.sagemaker or given.endpoint or str(given.pipeline)
    limits = Limits(said.invocations, latency)
    return Matrix(plan, limits, said.rate, (replace(given, name=name),))


def _needs(matrix: Matrix, prices: Prices | None) -> Mapping[str, Need]:
    """What is to be said of each configuration; prices are looked up before anything runs."""
    from ensemblegen.loadtest.summary import Need

    return {
        each.name: Need(
            matrix.target_rate,
            each.instance,
            prices.of(each.instance) if prices and each.instance else None,
        )
        for each in matrix.configurations
    }


def _rows(
    matrix: Matrix, needs: Mapping[str, Need], sending: Sending, *, alone: bool
) -> Iterator[Summary]:
    """One configuration after the other; of several, one that cannot be run stops no other."""
    from ensemblegen.cli import loadtest_targets
    from ensemblegen.cli.loadtest_tables import watching
    from ensemblegen.engine import machine
    from ensemblegen.errors import EnsemblegenError
    from ensemblegen.loadtest import run, summary

    gpus = machine.gpus()
    for each in matrix.configurations:
        reason = each.lacks(gpus)
        if reason is not None:
            yield summary.Summary(each.name, not_run=reason, instance=each.instance)
            continue
        try:
            with (
                tempfile.TemporaryDirectory(prefix="ensemblegen-") as folder,
                loadtest_targets.loaded(each, matrix.phases, sending, Path(folder)) as load,
                watching(each.name) as seen,
            ):
                outcome = run.run(load, matrix.phases, matrix.limits, seen)
        except EnsemblegenError as error:
            if alone:
                raise
            yield summary.Summary(each.name, failed=1, not_run=str(error), instance=each.instance)
            continue
        yield summary.of(each.name, outcome, needs[each.name])


def _deliver(rows: list[Summary], delivery: _Delivery) -> None:
    from ensemblegen.cli import loadtest_tables

    told = _told(rows, delivery)
    if delivery.format is Format.json:
        print_json({"ok": not any(each.failed for each in rows), **told})
    else:
        currency = delivery.prices.currency if delivery.prices else None
        loadtest_tables.draw(rows, delivery.matrix.target_rate, currency)
    if delivery.output is not None:
        with destination.opened(delivery.output) as file:
            file.write(json_text(told) + "\n")


def _told(rows: list[Summary], delivery: _Delivery) -> dict[str, Any]:
    import shlex
    import sys

    from ensemblegen.bench import surroundings
    from ensemblegen.loadtest import summary

    matrix = delivery.matrix
    options = {
        "phases": [
            {"users": each.users, "spawn_rate": each.spawn_rate, "duration_s": each.duration}
            for each in matrix.phases
        ],
        "stop_invocations_per_minute": matrix.limits.invocations_per_minute,
        "stop_p95_ms": matrix.limits.latency / 1e6 if matrix.limits.latency else None,
        "target_rate": matrix.target_rate,
        "currency": delivery.prices.currency if delivery.prices else None,
    }
    head = surroundings.head(shlex.join(["ensemblegen", *sys.argv[1:]]), options)
    return {**head, "configurations": [summary.to_json(each) for each in rows]}
