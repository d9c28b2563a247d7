"""Requests to a server over HTTP or gRPC: a bounded number in flight, results in order.

Imports numpy and tritonclient: for commands that talk to a server only.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from ensemblegen.client.interface import Interface, Protocol, wire
from ensemblegen.client.rows import Row
from ensemblegen.client.tensors import Array, arrays
from ensemblegen.errors import InputError, MachineError, Problem

_INSTALL = "pip install 'ensemblegen[client]'"
_WINDOW = 4
_ANSWERS = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """How rows become requests: rows a request, requests in flight, seconds a request may take."""

    batch: int = 1
    concurrency: int = 16
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one row came to: its outputs by name in item shape, or problems; and its inputs."""

    index: int
    outputs: dict[str, Array] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    inputs: dict[str, Array] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Item:
    index: int
    row: Row
    arrays: dict[str, Array]


class Session:
    """A connection to `host:port`; use it as a context manager, since open ones delay a server.

    Synchronous outside, asynchronous inside: calls may not be nested in a running event loop.
    """

    def __init__(self, url: str, protocol: Protocol = Protocol.http) -> None:
        self._url = url.removeprefix("http://").removeprefix("grpc://").rstrip("/")
        self._protocol = protocol
        self._library = _library(protocol)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_told)
        try:
            self._client = self._loop.run_until_complete(self._open())
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.run_until_complete(_cancelled(asyncio.all_tasks(self._loop)))
        self._loop.run_until_complete(self._client.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def interface(self, model: str) -> Interface:
        """What the server says that `model` takes and answers."""
        return Interface.from_config(self._config(model))

    def require_triton(self) -> None:
        """MachineError unless a server of this protocol answers."""
        self._loop.run_until_complete(self._metadata())

    def models(self) -> list[str]:
        """Names of the models that are ready."""
        return self._loop.run_until_complete(self._models())

    def ensembles(self) -> list[str]:
        """Names of the ensembles among the models that are ready."""
        configs = [(name, self._config(name)) for name in self.models()]
        return [name for name, config in configs if config.get("platform") == "ensemble"]

    def infer(
        self, interface: Interface, rows: Iterable[Row], load: Load | None = None
    ) -> Iterator[Result]:
        """One result a row, in the order of the rows, which are read as they are needed.

        A row that does not fit or that the server refuses has problems and does not stop the
        others; MachineError where the server cannot be reached.
        """
        results = self._results(interface, iter(rows), load or Load())
        try:
            while True:
                following = self._loop.create_task(_following(results))
                try:
                    result = self._loop.run_until_complete(following)
                except BaseException:
                    # Ctrl-C leaves it half way, and what still runs cannot be closed.
                    self._loop.run_until_complete(_cancelled({following}))
                    raise
                if result is None:
                    return
                yield result
        finally:
            if not self._loop.is_closed():
                self._loop.run_until_complete(results.aclose())

    async def _results(
        self, interface: Interface, rows: Iterator[Row], load: Load
    ) -> AsyncGenerator[Result, None]:
        gate = asyncio.Semaphore(load.concurrency)
        pending: deque[asyncio.Task[list[Result]]] = deque()

        async def answered(items: list[_Item]) -> list[Result]:
            async with gate:
                return await self._request(interface, items, load)

        try:
            for batch in _batches(interface, rows, load.batch):
                work = _done([batch]) if isinstance(batch, Result) else answered(batch)
                pending.append(asyncio.ensure_future(work))
                if len(pending) >= load.concurrency * _WINDOW:
                    for result in await pending.popleft():
                        yield result
            while pending:
                for result in await pending.popleft():
                    yield result
        finally:
            await _cancelled(pending)

    async def _request(self, interface: Interface, items: list[_Item], load: Load) -> list[Result]:
        try:
            return await self._call(interface, items, load)
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            # Too slow for this request is not out of reach, though Python files both as OSError.
            if not isinstance(error, asyncio.TimeoutError):
                self._raise_if_unreachable(error)
            if len(items) > 1:
                # One bad row must not fail its neighbours.
                return [
                    result
                    for each in items
                    for result in await self._request(interface, [each], load)
                ]
            problem = Problem("E706", _words(error), items[0].row.span)
            return [Result(items[0].index, problems=(problem,))]

    async def _call(self, interface: Interface, items: list[_Item], load: Load) -> list[Result]:
        arrays = {}
        for name in items[0].arrays:
            values = [item.arrays[name] for item in items]
            arrays[name] = np.stack(values) if interface.batched else values[0]
        outputs = await asyncio.wait_for(self._ask(interface, arrays), load.timeout)
        return [
            Result(
                item.index,
                {
                    name: _part(interface, name, array, i, len(items))
                    for name, array in outputs.items()
                },
                inputs=item.arrays,
            )
            for i, item in enumerate(items)
        ]

    async def _ask(self, interface: Interface, arrays: dict[str, Array]) -> dict[str, Array]:
        """All outputs for one request, whose arrays have the batch axis, if there is one."""
        inputs = []
        for tensor in interface.inputs:
            if tensor.name in arrays:
                array = arrays[tensor.name]
                given = self._library.InferInput(tensor.name, list(array.shape), wire(tensor.dtype))
                given.set_data_from_numpy(array)
                inputs.append(given)
        names = [tensor.name for tensor in interface.outputs]
        wanted = [self._library.InferRequestedOutput(name) for name in names]
        reply = await self._client.infer(interface.model, inputs, outputs=wanted)
        return {name: reply.as_numpy(name) for name in names}

    async def _open(self) -> Any:
        return self._library.InferenceServerClient(self._url)

    def _config(self, model: str) -> dict[str, Any]:
        return self._loop.run_until_complete(self._model_config(model))

    async def _model_config(self, model: str) -> dict[str, Any]:
        try:
            config = await self._client.get_model_config(model, **self._as_json())
        except Exception as error:  # noqa: BLE001
            if "unknown model" not in _words(error):
                raise self._no_triton(error) from None
            message = f"the server at {self._url} has no model '{model}': {_words(error)}"
            raise InputError([Problem("E704", message)]) from None
        found: dict[str, Any] = config.get("config", config)
        return found

    async def _metadata(self) -> None:
        try:
            asked = self._client.get_server_metadata(**self._as_json())
            found = await asyncio.wait_for(asked, _ANSWERS)
            if not (isinstance(found, dict) and "version" in found):
                raise RuntimeError("the answer is not that of an inference server")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001
            raise self._no_triton(error) from None

    async def _models(self) -> list[str]:
        try:
            index = await self._client.get_model_repository_index(**self._as_json())
        except Exception as error:  # noqa: BLE001
            raise self._no_triton(error) from None
        listed = index.get("models", []) if isinstance(index, dict) else index
        return [str(each["name"]) for each in listed if each.get("state") == "READY"]

    def _as_json(self) -> dict[str, bool]:
        return {"as_json": True} if self._protocol is Protocol.grpc else {}

    def _raise_if_unreachable(self, error: Exception) -> None:
        if isinstance(error, OSError) or _lost(error):
            raise self._no_triton(error) from None

    def _no_triton(self, error: Exception) -> MachineError:
        return MachineError(
            f"no Triton answers at {self._url} over {self._protocol.value}: {_words(error)}",
            "start one with: ensemblegen serve <repository>",
        )


def _told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ctrl-C may come while a task of the library runs, which nobody asks for its end then."""
    if not isinstance(context.get("exception"), KeyboardInterrupt):
        loop.default_exception_handler(context)


async def _following(results: AsyncGenerator[Result, None]) -> Result | None:
    return await anext(results, None)


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, whatever they end with."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _done(results: list[Result]) -> list[Result]:
    return results


def _library(protocol: Protocol) -> ModuleType:
    try:
        return importlib.import_module(f"tritonclient.{protocol.value}.aio")
    except (ImportError, RuntimeError) as error:
        raise MachineError(
            f"tritonclient cannot talk {protocol.value}: {error}", _INSTALL
        ) from None


def _batches(
    interface: Interface, rows: Iterator[Row], size: int
) -> Iterator[list[_Item] | Result]:
    """Consecutive rows of equal shapes, at most `size` and what the model takes."""
    limit = min(size, interface.max_batch_size) if interface.batched else 1
    batch: list[_Item] = []
    for index, row in enumerate(rows):
        try:
            item = _Item(index, row, arrays(interface, row))
        except InputError as error:
            if batch:
                yield batch
                batch = []
            yield Result(index, problems=error.problems)
            continue
        if batch and (len(batch) >= limit or _shapes(batch[0]) != _shapes(item)):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _shapes(item: _Item) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in item.arrays.items()}


def _part(interface: Interface, name: str, array: Array | None, index: int, rows: int) -> Array:
    if array is None:
        raise RuntimeError(f"the reply has no output '{name}'")
    if not interface.batched:
        return array
    if array.ndim == 0 or array.shape[0] != rows:
        raise RuntimeError(
            f"output '{name}' has the shape {list(array.shape)} for a batch of {rows}"
        )
    part: Array = np.asarray(array[index])
    return part


def _words(error: Exception) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "the server did not answer in time"
    message = getattr(error, "message", None)
    text = message() if callable(message) else str(error)
    return str(text) or type(error).__name__


def _lost(error: Exception) -> bool:
    """Whether the connection failed, as opposed to the request."""
    status = getattr(error, "status", None)
    code = str(status()) if callable(status) else ""
    text = _words(error)
    return "UNAVAILABLE" in code and ("connect" in text.lower() or "Socket closed" in text)
