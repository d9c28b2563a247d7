"""The application: its commands, and the one place where errors become text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from ensemblegen import __version__
from ensemblegen.cli import check, compile, doctor, infer, init, schema, serve, test
from ensemblegen.cli.render import Format, print_error
from ensemblegen.errors import EnsemblegenError

COMMANDS: tuple[Callable[..., Any], ...] = (
    init.init,
    check.check,
    compile.compile,
    serve.serve,
    infer.infer,
    test.test,
    doctor.doctor,
    schema.schema,
)
"""In the order of the help text: the order in which a pipeline's author meets them."""

app = typer.Typer(
    name="ensemblegen",
    help="Author ensemble pipelines for NVIDIA Triton: pipeline.yaml in, a repository out.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help starts in a third of the time; results and errors are drawn with rich all the same.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(no_args_is_help=False)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ensemblegen {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Author ensemble pipelines for NVIDIA Triton: one pipeline.yaml in, a repository out."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code: 0 ok, 1 input, 2 usage, 3 machine."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=words, standalone_mode=True)
    except EnsemblegenError as error:
        print_error(error, _format_of(words))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (`| head`) has left; there is nobody to tell.
        sys.stdout = None
        sys.exit(0)
    sys.exit(0)


def _format_of(words: list[str]) -> Format:
    wanted = any(
        word == "--format=json" or (word == "--format" and words[i + 1 : i + 2] == ["json"])
        for i, word in enumerate(words)
    )
    return Format.json if wanted else Format.human
