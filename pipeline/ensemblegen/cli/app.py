"""The application: its commands, and the one place where errors become text."""

from __future__ import annotations

import codecs
import contextlib
import io
import keyword
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NoReturn

import typer

from ensemblegen import __version__
from ensemblegen.cli.render import Format, print_error, print_progress
from ensemblegen.converters import progress
from ensemblegen.errors import EnsemblegenError

COMMANDS = (
    "init",
    "import",
    "check",
    "explain",
    "graph",
    "compile",
    "serve",
    "infer",
    "test",
    "bench",
    "loadtest",
    "doctor",
    "schema",
)
"""In the order of the help text: the order in which a pipeline's author meets them."""
GROUPS = ("env", "package", "deploy")
"""Commands that have commands of their own."""

_INTERRUPTED = 130
_ESCAPED = "ensemblegen.escaped"


def application(words: list[str] | None = None) -> typer.Typer:
    """The program; of its commands, only the one that `words` begin with is loaded, if they do."""
    app = typer.Typer(
        name="ensemblegen",
        help="Author ensemble pipelines for NVIDIA Triton: pipeline.yaml in, a repository out.",
        no_args_is_help=True,
        add_completion=False,
        # Plain help starts in a third of the time; what is drawn is drawn with rich all the same.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    called = words[0] if words else None
    known = called in COMMANDS or called in GROUPS
    for name in COMMANDS:
        if not known or name == called:
            app.command(name, no_args_is_help=False)(command(name))
    for name in GROUPS:
        if not known or name == called:
            app.add_typer(_module(name).app, name=name)
    return app


def command(name: str) -> Callable[..., Any]:
    """What runs as `name`: the function of that name in the module of that name."""
    module = _module(name)
    function: Callable[..., Any] = getattr(module, module.__name__.rpartition(".")[2])
    return function


def _module(name: str) -> Any:
    # A module cannot be called as a keyword is.
    return import_module(f"ensemblegen.cli.{name}{'_' * keyword.iskeyword(name)}")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ensemblegen {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(  # noqa: ARG001 - its callback acts
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Author ensemble pipelines for NVIDIA Triton: one pipeline.yaml in, a repository out."""
    _look_for_no_plugins()


def _look_for_no_plugins() -> None:
    """At its first model, pydantic asks each package that is installed for plugins: a tenth of the
    time of a small compile, and more for each package. The variable that tells it not to would
    reach the author's own code.
    """
    with contextlib.suppress(ImportError):
        from pydantic.plugin import _loader

        _loader._plugins = {}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code: 0 ok, 1 input, 2 usage, 3 machine.

    130 is for one that Ctrl-C, SIGTERM or SIGHUP ended; `serve` takes these for its end.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _escape_what_does_not_fit()
    progress.listener.set(print_progress)
    try:
        with _ended_by_signals():
            application(words)(args=words, standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except EnsemblegenError as error:
        print_error(error, _format_of(words))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (`| head`) has left; there is nobody to tell.
        sys.stdout = None
        sys.exit(0)
    sys.exit(0)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """What ends a command unwinds it like Ctrl-C, so that its server and folders go; once only."""

    def end(number: int, _: Any) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # What is ignored on purpose, as by nohup, stays so.
    heard = [
        each
        for each in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(each) is not signal.SIG_IGN
    ]
    before = {each: signal.signal(each, end) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _escape_what_does_not_fit() -> None:
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Like backslashreplace, but as JSON has it: \u00fc, and surrogates for what is beyond."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


def _format_of(words: list[str]) -> Format:
    wanted = any(
        word == "--format=json" or (word == "--format" and words[i + 1 : i + 2] == ["json"])
        for i, word in enumerate(words)
    )
    return Format.json if wanted else Format.human
