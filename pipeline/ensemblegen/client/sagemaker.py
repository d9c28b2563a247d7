"""Requests to an endpoint that speaks SageMaker's protocol, with tritonclient's own bodies.

Such an endpoint has no metadata: what a pipeline takes is read from its repository or archive.
Imports numpy: for commands that talk to a server only.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from ensemblegen import manifest
from ensemblegen.client import invocation
from ensemblegen.client.interface import Interface
from ensemblegen.client.protocol import JSON, TARGET
from ensemblegen.client.session import Session
from ensemblegen.client.tensors import Array
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.manifest import Manifest

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Call:
    """How to call: tensors as bytes or as JSON, and which archive of a multi-model endpoint."""

    binary: bool = True
    target: str | None = None


class SageMakerSession(Session):
    """A session with `/invocations` at `host:port`."""

    def __init__(self, url: str, call: Call) -> None:
        self._call_as = call
        super().__init__(url)

    async def _open(self) -> aiohttp.ClientSession:
        import aiohttp  # is there: tritonclient's own client, which Session wants, is made of it

        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def _metadata(self) -> None:
        import aiohttp

        try:
            async with self._client.get(f"http://{self._url}/ping") as answer:
                alive = answer.status == HTTPStatus.OK
        except aiohttp.ClientError:
            alive = False
        if not alive:
            raise MachineError(
                f"no endpoint answers at http://{self._url}/ping",
                "start one with: ensemblegen serve --sagemaker ARCHIVE",
            )

    async def _ask(self, interface: Interface, arrays: dict[str, Array]) -> dict[str, Array]:
        """InferenceServerException with the server's words."""
        from tritonclient.utils import InferenceServerException

        body, kind = invocation.body(interface, arrays, binary=self._call_as.binary)
        headers = {"Content-Type": kind}
        if self._call_as.target:
            headers[TARGET] = self._call_as.target
        url = f"http://{self._url}/invocations"
        async with self._client.post(url, data=body, headers=headers) as answer:
            reply = await answer.read()
            if answer.status != HTTPStatus.OK:
                words = reply.decode("utf-8", "replace") or f"status {answer.status}"
                raise InferenceServerException(words, status=str(answer.status))
            return invocation.answered(interface, reply, answer.headers.get("Content-Type", JSON))


def described(path: Path) -> Manifest:
    """The manifest in an archive, or in a compiled repository."""
    if not path.is_file():
        return manifest.read(path)
    try:
        with tarfile.open(path, "r:gz") as archive:
            entry = archive.extractfile(manifest.NAME)
            data = json.loads(entry.read()) if entry else {}
    except (OSError, tarfile.TarError, KeyError, EOFError, ValueError) as error:
        message = f"{path} does not say what its pipeline takes: {error}"
        hint = "give the compiled repository, or an archive that `ensemblegen package` made of one"
        raise InputError([Problem("E701", message, hint=hint)]) from None
    return manifest.from_json(data, str(path))
