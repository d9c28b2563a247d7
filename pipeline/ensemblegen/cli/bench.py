"""`ensemblegen bench`: how fast a served pipeline is, and where its time goes."""

from __future__ import annotations

import contextlib
import math
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemblegen.bench.points import Arrivals, Options, Point
from ensemblegen.cli import destination
from ensemblegen.cli.options import (
    EngineOption,
    FormatOption,
    LogOption,
    PipelineOption,
    RowsOption,
    ServerOption,
    ShapeOption,
    TimeoutOption,
    address_of,
    positive,
    shapes_of,
)
from ensemblegen.cli.render import Format, json_text, print_json, stderr_console
from ensemblegen.cli.serve import require_one_name
from ensemblegen.client.interface import Protocol
from ensemblegen.engine.locate import Choice

if TYPE_CHECKING:
    from ensemblegen.bench.report import Measurement, Report
    from ensemblegen.bench.run import Target
    from ensemblegen.cli.bench_targets import Wanted

_DEFAULT_LOADS = "1,4,16"


def _share(percent: float) -> float:
    if not 0 < percent < 100:
        raise typer.BadParameter("a percentage between 0 and 100")
    return percent


def bench(
    target: Annotated[
        Path | None,
        typer.Argument(help="A repository, a pipeline.yaml or its folder; or use --url."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="host:port of a running server.")] = None,
    pipeline: PipelineOption = None,
    model: Annotated[str | None, typer.Option(help="The model, if not the pipeline.")] = None,
    devices: Annotated[
        str | None,
        typer.Option(help="Compare placements: cpu,mixed,gpu; each with a server of its own."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare with this repository or pipeline, in turns.")
    ] = None,
    input: RowsOption = None,
    shape: ShapeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of generated inputs and arrivals.")] = 0,
    batch: Annotated[str, typer.Option(help="Rows in a request: 1,8,64.")] = "1",
    concurrency: Annotated[
        str | None,
        typer.Option(help=f"Closed loop: requests in flight. [default: {_DEFAULT_LOADS}]"),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Open loop: requests a second, whatever comes back.")
    ] = None,
    arrivals: Annotated[
        Arrivals, typer.Option(help="How an open loop spaces its requests.")
    ] = Arrivals.poisson,
    protocol: Annotated[Protocol, typer.Option(help="What to talk.")] = Protocol.http,
    shared_memory: Annotated[
        bool, typer.Option("--shared-memory", help="Tensors by the system's shared memory.")
    ] = False,
    warmup: Annotated[
        float, typer.Option(help="Seconds before it counts.", callback=positive)
    ] = 1.0,
    window: Annotated[float, typer.Option(help="Seconds of a window.", callback=positive)] = 2.0,
    max_windows: Annotated[int, typer.Option(min=3, help="Windows to wait for stability.")] = 10,
    stability: Annotated[
        float,
        typer.Option(help="Percent within which the last 3 windows agree.", callback=_share),
    ] = 10.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report as JSON; - for stdout.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="The report as one HTML page.")] = None,
    engine: EngineOption = Choice.auto,
    server: ServerOption = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Measure a served pipeline: throughput, latency, and where the time of a request goes.

    Example: ensemblegen bench build/repository --concurrency 1,8 --html report.html

    Without --url a server is started. Windows are measured until throughput and latency of the
    last three agree. The exit code is 1 if any request failed.
    """
    from ensemblegen.cli.bench_targets import Wanted

    _require_usage(target, url, devices, against)
    require_one_name(target, pipeline, model)
    for path, option in ((output, "--output"), (html, "--html")):
        if path is not None:
            destination.require_writable(path, option)
    wanted = Wanted(
        target=target,
        url=address_of(url, "--url") if url is not None else None,
        pipeline=pipeline,
        model=model,
        devices=_words(devices),
        against=against,
        input=input,
        shapes=shapes_of(shape),
        seed=seed,
        protocol=protocol,
        engine=engine,
        server=server,
        timeout=timeout,
        log_file=log_file,
    )
    options = Options(
        protocol=protocol,
        shared_memory=shared_memory,
        arrivals=arrivals,
        seed=seed,
        warmup=warmup,
        window=window,
        max_windows=max_windows,
        stability=stability / 100,
    )
    report = _measured(wanted, _points(batch, concurrency, rate), options)
    _deliver(report, _Delivery(format, output, html))
    if report.failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Delivery:
    """Who gets the report, and how."""

    format: Format
    output: Path | None
    html: Path | None


def _require_usage(
    target: Path | None, url: str | None, devices: str | None, against: Path | None
) -> None:
    if target is None and url is None:
        raise typer.BadParameter("give a repository or a pipeline, or --url of a running server")
    compared = (("--devices", devices), ("--against", against))
    given = [name for name, value in compared if value is not None]
    if url is not None and given:
        raise typer.BadParameter(f"{given[0]} starts servers of its own, --url names one")
    if len(given) > 1:
        raise typer.BadParameter("--devices and --against exclude each other")


def _words(text: str | None) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in (text or "").split(",")))
    if text is not None and not all(words):
        raise typer.BadParameter(f"'{text}' is no list of names", param_hint="--devices")
    return words if text is not None else ()


def _points(batch: str, concurrency: str | None, rate: str | None) -> list[Point]:
    """Every batch under every load."""
    if concurrency is not None and rate is not None:
        raise typer.BadParameter("--concurrency is a closed loop and --rate an open one: give one")
    batches = _whole("--batch", batch)
    if rate is not None:
        rates = _numbers("--rate", rate)
        return [Point(size, rate=each) for size in batches for each in rates]
    loads = _whole("--concurrency", concurrency or _DEFAULT_LOADS)
    return [Point(size, concurrency=each) for size in batches for each in loads]


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(math.isfinite(each) and each > 0 for each in numbers):
        raise typer.BadParameter(f"'{text}' is no list of numbers above 0", param_hint=option)
    return numbers


def _whole(option: str, text: str) -> list[int]:
    numbers = _numbers(option, text)
    if not all(each.is_integer() for each in numbers):
        raise typer.BadParameter(f"'{text}' is no list of whole numbers", param_hint=option)
    return [int(each) for each in numbers]


def _measured(wanted: Wanted, points: Sequence[Point], options: Options) -> Report:
    from ensemblegen.bench import surroundings
    from ensemblegen.bench.report import Report
    from ensemblegen.cli.bench_targets import opened

    with (
        tempfile.TemporaryDirectory(prefix="ensemblegen-") as folder,
        opened(wanted, Path(folder)) as (targets, source),
    ):
        measurements = tuple(_each(targets, points, options))
        subjects = tuple(each.subject for each in targets)
    told = {
        "protocol": options.protocol.value,
        "shared_memory": options.shared_memory,
        "input": source,
        "warmup_s": options.warmup,
        "window_s": options.window,
        "max_windows": options.max_windows,
        "stability": options.stability,
        "seed": options.seed,
    }
    if any(point.rate is not None for point in points):
        told["arrivals"] = options.arrivals.value
    command = shlex.join(["ensemblegen", *sys.argv[1:]])
    return Report(surroundings.head(command, told), subjects, measurements)


def _each(
    targets: Sequence[Target], points: Sequence[Point], options: Options
) -> Iterator[Measurement]:
    from ensemblegen.bench.run import measure

    out = stderr_console()
    for point in points:
        sign = out.status(f"measuring {point}") if out.is_terminal else contextlib.nullcontext()
        with sign:
            measurement = measure(targets, point, options)
        yield measurement


def _deliver(report: Report, delivery: _Delivery) -> None:
    from ensemblegen.bench.html import page
    from ensemblegen.bench.report import to_json
    from ensemblegen.cli import bench_tables

    if delivery.format is Format.json:
        print_json({"ok": not report.failed, **to_json(report)})
    else:
        bench_tables.draw(report)
    if delivery.output is not None:
        with destination.opened(delivery.output) as file:
            file.write(json_text(to_json(report)) + "\n")
    if delivery.html is not None:
        with destination.opened(delivery.html) as file:
            file.write(page(report))
