"""ensemblegen serve: a real Triton on this machine, in the foreground."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import serve_sagemaker
from ensemblegen.cli.render import Format, console, stderr_console
from ensemblegen.engine.locate import Choice

if TYPE_CHECKING:
    from ensemblegen.client.interface import Interface
    from ensemblegen.engine.server import Options, Server

EngineOption = Annotated[Choice, typer.Option("--engine", help="Which tritonserver to use.")]
ServerOption = Annotated[
    Path | None, typer.Option("--server", help="A tritonserver, or the folder around its bin/.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cpu, gpu or a profile: serve those configs of the repository."),
]


def positive(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise typer.BadParameter("a number of seconds above 0")
    return seconds


TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", help="Seconds for all models to be ready.", callback=positive),
]
LogOption = Annotated[
    Path | None, typer.Option("--log-file", help="Write the server's log there (/dev/stderr too).")
]


def serve(
    repository: Annotated[
        Path, typer.Argument(help="A model repository, compiled or not; or an archive.")
    ],
    extra: Annotated[
        list[str] | None, typer.Argument(help="Flags for tritonserver itself, after --.")
    ] = None,
    engine: EngineOption = Choice.auto,
    server: ServerOption = None,
    device: DeviceOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    http_port: Annotated[int | None, typer.Option(help="Default: 8000, or a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Default: 8001, or a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Default: 8002, or a free one.")] = None,
    sagemaker: Annotated[
        bool,
        typer.Option(
            "--sagemaker", help="The way SageMaker would: an archive, or a folder of archives."
        ),
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="With a folder of archives: what they may take, such as 4g.")
    ] = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.human,
) -> None:
    """Serve a repository with a real Triton until Ctrl-C.

    Example: ensemblegen serve build/repository

    With --format json, one line is printed when every model is ready.
    """
    if sagemaker:
        if any(each is not None for each in (grpc_port, metrics_port, device)):
            raise typer.BadParameter("--sagemaker has one port, --http-port, and no --device")
        from ensemblegen.sagemaker import endpoint

        behind = endpoint.Options(
            engine=engine,
            server=server,
            port=http_port,
            variables=endpoint.variables(repository),
            extra=tuple(extra or ()),
            log_file=log_file,
            timeout=timeout,
        )
        limit = serve_sagemaker.memory(memory)
        with contextlib.suppress(KeyboardInterrupt):
            serve_sagemaker.serve(repository, behind, host, limit, format)
        return
    if memory is not None:
        raise typer.BadParameter("--memory is for --sagemaker with a folder of archives")
    from ensemblegen.engine.ports import Wanted
    from ensemblegen.engine.server import Options

    options = Options(
        engine=engine,
        server=server,
        target=target_of(repository),
        host=host,
        ports=Wanted(http_port, grpc_port, metrics_port, usual=True),
        profile=device,
        log_file=log_file,
        extra=tuple(extra or ()),
        timeout=timeout,
    )
    # SIGTERM comes as KeyboardInterrupt too: to be stopped is how this command ends.
    with contextlib.suppress(KeyboardInterrupt):
        _serve(repository, options, format)


def _serve(repository: Path, options: Options, format: Format) -> None:
    from ensemblegen.engine.log import plain
    from ensemblegen.errors import MachineError

    with started(repository, options) as running:
        interface = interface_of(repository, running)
        _warn(running)
        if format is Format.json:
            # One line, at once: the reader waits for it.
            print(json.dumps(_json(running, interface)), flush=True)
        else:
            _draw(running, interface)
        code = running.wait()
        tail = "\n".join(plain(running.log)[-20:])
        raise MachineError(f"tritonserver ended by itself with exit code {code}:\n{tail}")


def _warn(server: Server) -> None:
    """Of what the server ignores without a word."""
    from rich.markup import escape

    from ensemblegen.engine.launch import unknown_policies

    for policy, model in unknown_policies(server.repository, server.options.extra).items():
        text = f"'{model}' wants the host policy '{policy}', which the server does not have: add"
        flag = f"-- --host-policy={policy},cpu-cores=0-3 (or numa-node=0)"
        stderr_console().print(f"[yellow]warning[/]: {escape(f'{text} {flag}')}", soft_wrap=True)


@contextlib.contextmanager
def started(repository: Path, options: Options) -> Iterator[Server]:
    """A ready server, with a sign of life on a terminal while it loads."""
    from ensemblegen.engine.server import Server

    out = stderr_console()
    waiting = out.status("starting tritonserver") if out.is_terminal else contextlib.nullcontext()
    with waiting:
        server = Server.start(repository, options)
    with server:
        yield server


def target_of(repository: Path) -> str:
    """The release that a compiled repository is for; for a hand-written one, the embedded one's."""
    from ensemblegen import manifest
    from ensemblegen.engine.locate import EMBEDDED_RELEASE

    if (repository / manifest.NAME).is_file():
        return manifest.read(repository).target
    return EMBEDDED_RELEASE


def interface_of(repository: Path, server: Server, model: str | None = None) -> Interface | None:
    """What the pipeline takes; of a hand-written repository, its one ensemble or its one model."""
    from ensemblegen import manifest
    from ensemblegen.client.interface import Interface
    from ensemblegen.engine import probe

    if model is None and (repository / manifest.NAME).is_file():
        return Interface.of(manifest.read(repository))
    models = server.repository.models
    ensembles = [each.name for each in models if each.ensemble]
    candidates = ensembles or [each.name for each in models]
    if model is None and len(candidates) != 1:
        return None
    config = probe.config(server.host, server.ports.http, model or candidates[0])
    return Interface.from_config(config)


def _json(server: Server, interface: Interface | None) -> dict[str, Any]:
    return {
        "ready": True,
        "seconds": round(server.seconds, 3),
        "engine": str(server.engine),
        "pid": server.pid,
        "http": server.http,
        "grpc": server.grpc,
        "metrics": server.metrics,
        "model": interface.model if interface else None,
        "models": [model.name for model in server.repository.models],
        "backends": {use.name: use.native for use in server.backends},
    }


def _draw(server: Server, interface: Interface | None) -> None:
    from rich.markup import escape

    from ensemblegen.client import snippets

    out = console()
    out.print(f"[bold]{escape(str(server.engine))}[/], ready in {server.seconds:.1f} s")
    for name, url in (
        ("http", f"http://{server.http}"),
        ("grpc", server.grpc),
        ("metrics", f"http://{server.metrics}/metrics"),
    ):
        out.print(f"  {name:<8} {url}")
    for use in server.backends:
        runs = "native" if use.native else "[yellow]stand-in[/], for running and testing"
        out.print(f"  {escape(use.name)}: {runs}")
    if interface is not None:
        out.print("try it:")
        for line in (snippets.curl(server.http, interface), snippets.infer(server.http, interface)):
            if line is not None:
                out.print(f"  {escape(line)}")
    out.print("Ctrl-C stops it")
