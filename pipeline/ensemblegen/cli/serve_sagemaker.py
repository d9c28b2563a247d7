"""`ensemblegen serve --sagemaker`: an endpoint of SageMaker's protocol on this machine."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ensemblegen.cli.render import Format, console, stderr_console

if TYPE_CHECKING:
    from ensemblegen.sagemaker.archives import Archives
    from ensemblegen.sagemaker.endpoint import Endpoint, Options

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def memory(text: str | None) -> int | None:
    """Bytes of `4g`, `512m` or a number."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    if match is None or not float(match[1]):
        raise typer.BadParameter("an amount of memory such as 4g or 512m")
    return int(float(match[1]) * _UNITS[match[2]])


def serve(path: Path, options: Options, host: str, limit: int | None, format: Format) -> None:
    """Until Ctrl-C: one archive as it is, or many behind the front door."""
    from ensemblegen.deploy import archives as clouds
    from ensemblegen.errors import InputError, Problem
    from ensemblegen.sagemaker import described
    from ensemblegen.sagemaker.archives import Folder

    remote = clouds.address(path)
    path = described.archive(path) or path
    if remote is not None:
        archives, options = _fetched(*remote, options)
        _many(archives, f"s3://{'/'.join(remote)}", options, _Place(host, limit, format))
    elif path.is_dir():
        _many(Folder(path), str(path), options, _Place(host, limit, format))
    elif path.is_file():
        _one(path, options, format)
    else:
        raise InputError([Problem("E646", f"{path} is not there")])


@dataclass(frozen=True)
class _Place:
    """Where the front door is, what its archives may take in bytes, and how that is told."""

    host: str
    limit: int | None
    format: Format


def _one(path: Path, options: Options, format: Format) -> None:
    from ensemblegen.errors import MachineError
    from ensemblegen.sagemaker.endpoint import Endpoint

    with stderr_console().status("starting tritonserver"):
        endpoint = Endpoint.single(path, options)
    with endpoint:
        _told(endpoint, endpoint.address, path, format)
        raise MachineError(_ended(endpoint))


def _fetched(bucket: str, prefix: str, options: Options) -> tuple[Archives, Options]:
    """A prefix of S3; with the variables of a `sagemaker.json` that lies there, too."""
    from ensemblegen.deploy.archives import Bucket
    from ensemblegen.deploy.aws import Aws
    from ensemblegen.deploy.settings import region
    from ensemblegen.sagemaker import described, endpoint

    archives = Bucket(Aws(region(None)), bucket, prefix)
    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as folder:
        archives.fetch(described.NAME, Path(folder, described.NAME))
        return archives, replace(options, variables=endpoint.variables(Path(folder)))


def _many(archives: Archives, where: str, options: Options, place: _Place) -> None:
    from ensemblegen.engine.ports import Wanted, choose, free
    from ensemblegen.errors import InputError, MachineError, Problem
    from ensemblegen.sagemaker.endpoint import Endpoint
    from ensemblegen.sagemaker.front import Front

    host, limit, format = place.host, place.limit, place.format
    if not archives.names():
        hint = "pack a repository first: ensemblegen package sagemaker REPOSITORY"
        raise InputError([Problem("E646", f"{where} holds no archive (*.tar.gz)", hint=hint)])
    wanted = 8080 if options.port is None and free(host, 8080) else options.port
    port = choose(host, Wanted(http=wanted)).http
    inner = replace(options, port=choose("0.0.0.0", Wanted()).http)  # noqa: S104 - the adaptor's
    with Endpoint.multi(inner) as endpoint, Front(endpoint, archives, limit, host, port) as front:
        _told(endpoint, front.address, archives.names(), format)
        raise MachineError(_ended(endpoint))


def _told(endpoint: Endpoint, address: str, serves: Path | list[str], format: Format) -> None:
    """Say where it is, and wait."""
    if format is Format.json:
        # One line, at once: the reader waits for it.
        print(json.dumps(_json(endpoint, address, serves)), flush=True)
    else:
        _draw(endpoint, address, serves)
    endpoint.wait()


def _json(endpoint: Endpoint, address: str, serves: Path | list[str]) -> dict[str, Any]:
    many = isinstance(serves, list)
    found: dict[str, Any] = {
        "ready": True,
        "engine": str(endpoint.engine),
        "pid": endpoint.pid,
        "sagemaker": address,
        "multi_model": many,
    }
    return {**found, "archives": serves} if many else found


def _draw(endpoint: Endpoint, address: str, serves: Path | list[str]) -> None:
    from rich.markup import escape

    out = console()
    out.print(f"[bold]{escape(str(endpoint.engine))}[/] behind its SageMaker adaptor")
    out.print(f"  http://{address}/ping")
    out.print(f"  http://{address}/invocations")
    if isinstance(serves, list):
        out.print(f"  {len(serves)} archives, each loaded when a request asks for it")
        command = f"ensemblegen infer ARCHIVE --sagemaker {address} --target-model {serves[0]}"
        lines = [f"{command} --input NAME=VALUE"]
    else:
        out.print("  on every address of this machine: the adaptor has no flag for one")
        lines = _calls(serves, address)
    out.print("try it:")
    for line in lines:
        out.print(f"  {escape(line)}", soft_wrap=True)
    out.print("Ctrl-C stops it")


def _calls(archive: Path, address: str) -> list[str]:
    """Calls of an archive that says what it takes."""
    from ensemblegen.client import snippets
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.sagemaker import described
    from ensemblegen.errors import InputError

    try:
        interface = Interface.of(described(archive).pipeline())
    except InputError:
        return [f"curl -s http://{address}/invocations -d @request.json"]
    curl = snippets.invocation(address, interface)
    command = snippets.infer_endpoint(address, interface, str(archive))
    return [command] if curl is None else [curl, command]


def _ended(endpoint: Endpoint) -> str:
    from ensemblegen.engine.log import plain

    tail = "\n".join(plain(endpoint.log)[-20:])
    return f"tritonserver ended by itself with exit code {endpoint.wait()}:\n{tail}"
