"""`ensemblegen graph`."""

from __future__ import annotations

import gc
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ensemblegen.cli.compile import ForbidOption, FuseOption
from ensemblegen.cli.destination import opened, require_writable
from ensemblegen.cli.options import PipelineOption
from ensemblegen.cli.render import console, json_text, visible
from ensemblegen.traffic import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ensemblegen.traffic.edges import Edge, End, Traffic


class Drawing(str, Enum):
    """For people, for machines, or as a picture."""

    human = "human"
    json = "json"
    mermaid = "mermaid"
    svg = "svg"
    dot = "dot"


def graph(
    target: Annotated[
        Path,
        typer.Argument(
            help="A pipeline.yaml, a folder of some, a model repository, or an ensemble's folder."
        ),
    ],
    pipeline: PipelineOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there instead.")
    ] = None,
    device: Annotated[
        Literal["cpu", "gpu"] | None,
        typer.Option(help="As if every step were on this device, whatever the file says."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="With the steps placed as a profile of the file says.")
    ] = None,
    fuse: FuseOption = None,
    forbid_copies: ForbidOption = False,
    format: Annotated[
        Drawing, typer.Option(help="For people or machines, or a picture of it.")
    ] = Drawing.human,
) -> None:
    """Show the steps, and for every edge its type, its bytes, where it lies and why it is copied.

    Example: ensemblegen graph pipeline.yaml --profile mixed --format svg --output pipeline.svg

    Bytes are of one item: a row of a batch. Lines that start with ! are copied between host and
    GPU; with ? it is not known.
    """
    from ensemblegen.cli import drawn
    from ensemblegen.placement import Choice
    from ensemblegen.projects import found

    gc.disable()
    if device is not None and profile is not None:
        raise typer.BadParameter("--device and --profile exclude each other")
    choice = Choice(device, profile, fuse)
    written = not target.is_dir() or found.is_one(target)
    if not written and (forbid_copies or choice != Choice()):
        raise typer.BadParameter("a repository is shown as its configs place it")
    if output is not None:
        require_writable(output)
    if written:
        wanted = drawn.Wanted(choice, pipeline, forbid_copies=forbid_copies)
        traffic = drawn.of_pipeline(target, wanted)
    else:
        traffic = drawn.of_repository(target, pipeline)
    if output is None and format is Drawing.human:
        _draw(traffic)
        return
    with opened(output or Path("-")) as out:
        out.write(_text(traffic, format))


def _text(traffic: Traffic, format: Drawing) -> str:
    from ensemblegen.cli.traffic import traffic_json
    from ensemblegen.drawing import dot, mermaid, picture, svg

    if format is Drawing.json:
        return json_text(traffic_json(traffic)) + "\n"
    if format is Drawing.human:
        return "".join(f"{row}\n" for row, _ in _rows(traffic))
    draw = {Drawing.mermaid: mermaid.text, Drawing.svg: svg.text, Drawing.dot: dot.text}[format]
    return draw(picture.of(traffic))


def _draw(traffic: Traffic) -> None:
    out = console()
    if not out.is_terminal:
        # Plain, and many times faster for large pipelines.
        for row, _ in _rows(traffic):
            print(row)
        return
    for row, style in _rows(traffic):
        out.print(row, style=style, markup=False)


def _rows(traffic: Traffic) -> Iterator[tuple[str, str]]:
    """Each line with its style: the steps in order, below each what it takes."""
    head = (
        "input",
        "from",
        "type",
        "an item",
        f"{traffic.batch} item{'s' * (traffic.batch > 1)}",
        "where",
    )
    cells = [_cells(edge) for edge in traffic.edges]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    yield f"{traffic.name} for {traffic.device}, batches of up to {traffic.batch}", "bold"
    yield f"  {_row(head, widths)}", "dim"
    shown: str | None = None
    for edge, row in zip(traffic.edges, cells, strict=True):
        name = edge.target.step.name if edge.target.step else "answer"
        if name != shown:
            yield _title(edge.target, name), "bold"
            shown = name
        mark = "!" if edge.crosses_device else "?" if edge.crosses_device is None else " "
        yield f"{mark} {_row(row, widths)}", "red" if edge.crosses_device else ""
        if edge.reason:
            yield f"      {visible(edge.reason)}", "dim"
    crossing = sum(edge.crosses_device is True for edge in traffic.edges)
    yield f"{len(traffic.edges)} edges, {crossing} between host and GPU", "bold"
    yield f"copied for an item: {traffic.copied}", ""


def _title(end: End, name: str) -> str:
    if end.step is None:
        return name
    member = end.step.member
    calls = f", calls {', '.join(end.step.calls)}" if end.step.calls else ""
    return visible(f"{name}  {member.backend or member.kind.word}, {end.step.place}{calls}")


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return visible("  ".join(padded).rstrip())


def _cells(edge: Edge) -> tuple[str, ...]:
    return (
        edge.target.port,
        edge.source.name,
        edge.type_text,
        str(edge.item),
        amount.bytes_text(edge.full) if edge.full is not None else "",
        f"{edge.source.where} -> {edge.target.where}",
    )
