"""Requests to an endpoint that speaks SageMaker's protocol, with tritonclient's own bodies.

Such an endpoint has no metadata: what a pipeline takes is read from its repository or archive.
Imports numpy and tritonclient: for commands that talk to a server only.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from ensemblegen import manifest
from ensemblegen.client.protocol import BINARY, JSON, TARGET
from ensemblegen.client.session import Session
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Call:
    """How to call: tensors as bytes or as JSON, and which archive of a multi-model endpoint."""

    binary: bool = True
    target: str | None = None


class _Input(InferInput):  # type: ignore[misc] # tritonclient has no types
    """Tensors as JSON, where the caller does not say."""

    def set_data_from_numpy(self, input_tensor: Any, binary_data: bool = False) -> Any:
        return super().set_data_from_numpy(input_tensor, binary_data)


class SageMakerSession(Session):
    """A session with `/invocations` at `host:port`."""

    def __init__(self, url: str, call: Call) -> None:
        self._call_as = call
        super().__init__(url)
        if not call.binary:
            self._library = SimpleNamespace(  # type: ignore[assignment]
                InferInput=_Input,
                InferRequestedOutput=lambda name: InferRequestedOutput(name, binary_data=False),
            )

    async def _open(self) -> Any:
        return _Client(self._url, self._call_as.target)

    async def _metadata(self) -> None:
        if not await self._client.alive():
            raise MachineError(
                f"no endpoint answers at http://{self._url}/ping",
                "start one with: ensemblegen serve --sagemaker ARCHIVE",
            )


class _Client:
    """The two calls of tritonclient's client that a session makes."""

    def __init__(self, url: str, target: str | None) -> None:
        self._root = f"http://{url}"
        self._headers = {TARGET: target} if target else {}
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def close(self) -> None:
        await self._http.close()

    async def alive(self) -> bool:
        try:
            async with self._http.get(f"{self._root}/ping") as answer:
                return bool(answer.status == HTTPStatus.OK)
        except aiohttp.ClientError:
            return False

    async def infer(self, model: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The reply, as tritonclient reads it; InferenceServerException with the server's words."""
        del model  # the endpoint serves one, or the header names it
        body, length = InferenceServerClient.generate_request_body(inputs, outputs=outputs)
        kind = JSON if length is None else f"{BINARY}{length}"
        headers = {**self._headers, "Content-Type": kind}
        async with self._http.post(
            f"{self._root}/invocations", data=body, headers=headers
        ) as answer:
            reply = await answer.read()
            if answer.status != HTTPStatus.OK:
                words = reply.decode("utf-8", "replace") or f"status {answer.status}"
                raise InferenceServerException(words, status=str(answer.status))
            kind = answer.headers.get("Content-Type", JSON)
        size = int(kind.removeprefix(BINARY)) if kind.startswith(BINARY) else None
        return InferenceServerClient.parse_response_body(reply, header_length=size)


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
