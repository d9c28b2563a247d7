"""`ensemblegen package`: a repository in the form that a place to run it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemblegen.cli.options import FormatOption
from ensemblegen.cli.render import Format, console, print_json, print_problems, problem_json

if TYPE_CHECKING:
    from ensemblegen.package.sagemaker import Package

app = typer.Typer(
    help="Repositories in the form that a place to run them takes: sagemaker.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_DOCKER = 64 << 20


@app.callback()
def _root() -> None:
    """Repositories in the form that a place to run them takes."""


@app.command()
def sagemaker(
    repositories: Annotated[
        list[Path], typer.Argument(metavar="REPOSITORY...", help="Compiled, or written by hand.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The archive of a single-model endpoint.")
    ] = Path("model.tar.gz"),
    multi_model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="An archive for each pipeline, for one endpoint."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model that requests go to, if it cannot be told.")
    ] = None,
    format: FormatOption = Format.human,
) -> None:
    """Pack repositories for Amazon SageMaker, with the variables of their endpoint.

    Example: ensemblegen package sagemaker build/repository -o model.tar.gz

    Environments go into the archive. Beside it, sagemaker.json says what the endpoint's container
    is to be started with; `ensemblegen serve --sagemaker` reads it, too.
    """
    from ensemblegen.cli import destination
    from ensemblegen.package import sagemaker as target
    from ensemblegen.sagemaker import described

    many = multi_model is not None
    if len(repositories) > 1 and not many:
        raise typer.BadParameter("several repositories need --multi-model FOLDER")
    if model is not None and len(repositories) > 1:
        raise typer.BadParameter("--model is for one repository")
    found = [
        each for path in repositories for each in target.prepare(path, model, multi_model=many)
    ]
    warnings = [problem for each in found for problem in each.warnings]
    if multi_model is not None:
        destination.require_writable(multi_model / described.NAME, "--multi-model")
        packed = target.write_many(found, multi_model)
    else:
        destination.require_writable(output)
        packed = target.write(found[0], output)
    if format is Format.json:
        told = target.description(packed).model_dump()
        print_json({"ok": True, **told, "problems": [problem_json(each) for each in warnings]})
    else:
        print_problems(warnings)
        _draw(packed)


def _draw(package: Package) -> None:
    from rich.markup import escape

    from ensemblegen.sagemaker import described

    out = console()
    for pipeline, written in package.archives:
        out.print(
            f"[bold]{escape(pipeline.name)}[/]  {escape(str(written.path))}, "
            f"{_size(written.size)}, unpacked {_size(written.unpacked)}",
            soft_wrap=True,
        )
    out.print(f"{escape(str(package.folder / described.NAME))}:")
    for name, value in package.environment.items():
        out.print(f"  {name}={escape(value)}", soft_wrap=True, highlight=False)
    _draw_shared(package)
    estimate = package.estimate
    out.print(
        f"the first answer after about {estimate.total:.0f} s: download {estimate.download:.1f}, "
        f"unpack {estimate.unpack:.1f}, load {estimate.start:.1f}"
    )


def _draw_shared(package: Package) -> None:
    """What Python models take of the container's /dev/shm, which nobody can enlarge there."""
    size = package.shared_memory
    if size > _DOCKER:
        text = f"{_size(size)} of shared memory at the start, and containers have 64 MiB by default"
        console().print(
            f"[yellow]warning[/]: {text}: fewer instances, or smaller batches, need less"
        )
    elif size:
        console().print(f"{_size(size)} of shared memory at the start")


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"
