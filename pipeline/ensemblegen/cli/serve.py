"""ensemblegen serve: a real Triton on this machine, in the foreground."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import serve_sagemaker
from ensemblegen.cli.options import (
    DeviceOption,
    EngineOption,
    FormatOption,
    LogOption,
    PipelineOption,
    ServerOption,
    TimeoutOption,
)
from ensemblegen.cli.render import Format, console, stderr_console
from ensemblegen.engine.locate import Choice

if TYPE_CHECKING:
    from ensemblegen.client.interface import Interface
    from ensemblegen.engine.server import Options, Server


def serve(
    repository: Annotated[
        Path, typer.Argument(help="A model repository, compiled or not; or an archive.")
    ],
    extra: Annotated[
        list[str] | None, typer.Argument(help="Flags for tritonserver itself, after --.")
    ] = None,
    pipeline: PipelineOption = None,
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
            "--sagemaker",
            help="The way SageMaker would: an archive, a folder of them, or s3://BUCKET/PREFIX.",
        ),
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="With a folder of archives: what they may take, such as 4g.")
    ] = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Serve a repository with a real Triton until Ctrl-C.

    Example: ensemblegen serve build/repository

    With --pipeline, only the models of that one are loaded. With --format json, one line is printed
    when every model is ready.
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

    meant = Meant.of(repository, pipeline, several=True)
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
        only=meant.models,
    )
    # SIGTERM comes as KeyboardInterrupt too: to be stopped is how this command ends.
    with contextlib.suppress(KeyboardInterrupt):
        _serve(repository, options, meant, format)


def _serve(repository: Path, options: Options, meant: Meant, format: Format) -> None:
    from ensemblegen.engine.log import plain
    from ensemblegen.errors import MachineError

    with started(repository, options) as running:
        interface = meant.interface or interface_of(running)
        _warn(running)
        if format is Format.json:
            # One line, at once: the reader waits for it.
            print(json.dumps(_json(running, interface)), flush=True)
        else:
            _draw(running, interface, meant.others)
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


@dataclass(frozen=True, slots=True)
class Meant:
    """What of a repository is to be called: a pipeline of its manifest, or a model by its name."""

    model: str | None = None
    interface: Interface | None = None
    """What the pipeline takes; None where only the server knows."""
    models: tuple[str, ...] = ()
    """All that must be loaded for it; none means everything."""
    others: tuple[str, ...] = ()
    """The pipelines of the repository, where none of them alone is meant."""

    @classmethod
    def of(
        cls,
        repository: Path | None,
        pipeline: str | None,
        model: str | None = None,
        *,
        several: bool = False,
    ) -> Meant:
        """InputError where no pipeline is called so, and, unless `several` may be meant, where
        nobody says which it is.
        """
        from ensemblegen import manifest
        from ensemblegen.client.interface import Interface
        from ensemblegen.errors import InputError

        if model is not None or repository is None:
            return cls(model)
        if not (repository / manifest.NAME).is_file():
            if pipeline is not None:
                raise InputError([manifest.which(pipeline, {})])
            return cls()
        made = manifest.read(repository)
        if several and pipeline is None and len(made.pipelines) != 1:
            return cls(others=tuple(each.name for each in made.pipelines))
        found = made.pipeline(pipeline)
        # Of one pipeline alone all is served, whatever else somebody has put there.
        models = found.models if len(made.pipelines) > 1 else ()
        return cls(found.name, Interface.of(found), models)


def require_one_name(repository: Path | None, pipeline: str | None, model: str | None) -> None:
    """Usage of --pipeline, which is of a repository, and --model, which is of a server."""
    if pipeline is not None and model is not None:
        raise typer.BadParameter("--pipeline and --model exclude each other")
    if pipeline is not None and repository is None:
        raise typer.BadParameter("--pipeline is of a repository; --model names one of a server")


def interface_of(server: Server, model: str | None = None) -> Interface | None:
    """What a model takes, or the one ensemble or the one model of a hand-written repository."""
    from ensemblegen.client.interface import Interface
    from ensemblegen.engine import probe

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


_SHOWN = 8
"""Of more pipelines, the number is said."""


def _draw(server: Server, interface: Interface | None, pipelines: tuple[str, ...]) -> None:
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
    if pipelines:
        more = f" and {len(pipelines) - _SHOWN} more" if len(pipelines) > _SHOWN else ""
        out.print(f"  {len(pipelines)} pipelines: {escape(', '.join(pipelines[:_SHOWN]))}{more}")
    if interface is not None:
        out.print("try it:")
        for line in (snippets.curl(server.http, interface), snippets.infer(server.http, interface)):
            if line is not None:
                out.print(f"  {escape(line)}")
    out.print("Ctrl-C stops it")
