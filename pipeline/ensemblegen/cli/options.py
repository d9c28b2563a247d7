"""Options that several commands have, and how their words are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ensemblegen.cli.render import Format
from ensemblegen.engine.locate import Choice


def positive(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise typer.BadParameter("a number of seconds above 0")
    return seconds


PipelineOption = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="NAME", help="Which pipeline is meant, of several."),
]
EngineOption = Annotated[Choice, typer.Option("--engine", help="Which tritonserver to use.")]
ServerOption = Annotated[
    Path | None, typer.Option("--server", help="A tritonserver, or the folder around its bin/.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cpu, gpu or a profile: serve those configs of the repository."),
]
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", help="Seconds for all models to be ready.", callback=positive),
]
LogOption = Annotated[
    Path | None, typer.Option("--log-file", help="Write the server's log there (/dev/stderr too).")
]
RowsOption = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        help="examples, generated, or a .jsonl or .csv file. [default: examples, if any]",
    ),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME:1,2: the item shape of a generated input whose sizes are open."),
]
TargetModelOption = Annotated[
    str | None, typer.Option(help="The archive to ask on a multi-model endpoint.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


def address_of(url: str, option: str) -> str:
    """`host:port` of what an option says."""
    from ensemblegen.client import address as addresses

    try:
        return addresses.address(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def shapes_of(words: Sequence[str] | None) -> Mapping[str, tuple[int, ...]]:
    """Item shapes by name, as --shape says them."""
    from ensemblegen.bench.inputs import shape

    try:
        return dict(shape(word) for word in words or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shape") from None
