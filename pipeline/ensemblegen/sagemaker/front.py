"""The front door of a multi-model endpoint, over HTTP.

GET    /ping
POST   /invocations                    with X-Amzn-SageMaker-Target-Model
POST   /endpoints/<any>/invocations    the same, as boto3 says it
GET    /models                         what is loaded
POST   /models                         {"model_name": archive}: load it
GET    /models/<archive>
DELETE /models/<archive>
POST   /models/<archive>/invoke
"""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING

from ensemblegen.client.protocol import JSON, TARGET
from ensemblegen.errors import MachineError
from ensemblegen.sagemaker import memory
from ensemblegen.sagemaker.archives import Archives
from ensemblegen.sagemaker.endpoint import Endpoint
from ensemblegen.sagemaker.fleet import BAD, LOST, OK, Counts, Fleet, Reply

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

_LARGEST = 1 << 30
_INSTALL = "pip install 'ensemblegen[client]'"


class Front:
    """Use it as a context manager around a running endpoint; it answers inside the block."""

    def __init__(
        self, endpoint: Endpoint, archives: Archives, limit: int | None, host: str, port: int
    ) -> None:
        self._endpoint, self._archives, self._limit = endpoint, archives, limit
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front", daemon=True)
        self._fleet: Fleet | None = None
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None

    @property
    def address(self) -> str:
        return f"{self._host}:{self._port}"

    @property
    def counts(self) -> Counts:
        return self._fleet.counts if self._fleet else Counts()

    @property
    def memory(self) -> int:
        """Bytes that the server and its stubs take now."""
        return memory.of_tree(self._endpoint.pid)

    def __enter__(self) -> Front:
        self._thread.start()
        try:
            self._wait(asyncio.run_coroutine_threadsafe(self._open(), self._loop))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _wait(self, done: Future[None]) -> None:
        try:
            done.result()
        except ImportError as error:
            raise MachineError(f"the front door needs {error.name}", _INSTALL) from None
        except OSError as error:
            raise MachineError(
                f"port {self._port} on {self._host} cannot be used: {error.strerror or error}"
            ) from None

    def _close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        import aiohttp
        from aiohttp import web

        # No limits of its own: how many requests there are is up to those who send them.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        self._fleet = Fleet(self._endpoint, self._session, self._archives, self._limit)
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_get("/ping", self._ping)
        for path in ("/invocations", "/endpoints/{endpoint}/invocations"):
            application.router.add_post(path, self._invocations)
        application.router.add_get("/models", self._list)
        application.router.add_post("/models", self._load)
        application.router.add_post("/models/{name:.+}/invoke", self._invoke)
        application.router.add_get("/models/{name:.+}", self._describe)
        application.router.add_delete("/models/{name:.+}", self._unload)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def _shut(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    @property
    def _book(self) -> Fleet:
        assert self._fleet is not None  # noqa: S101 - made before the first request
        return self._fleet

    async def _ping(self, request: web.Request) -> web.Response:
        del request
        return _answer(Reply(OK) if self._endpoint.running() else Reply(LOST))

    async def _invocations(self, request: web.Request) -> web.Response:
        name = request.headers.get(TARGET)
        if not name:
            return _answer(Reply.error(BAD, f"no header {TARGET}: which archive is meant?"))
        return await self._answered(request, name)

    async def _invoke(self, request: web.Request) -> web.Response:
        return await self._answered(request, request.match_info["name"])

    async def _answered(self, request: web.Request, name: str) -> web.Response:
        from aiohttp import ClientError

        kind = request.headers.get("Content-Type", JSON)
        body = await request.read()
        try:
            return _answer(await self._book.invoke(name, body, kind))
        except ClientError as error:
            return _answer(Reply.error(LOST, f"the server did not answer: {error}"))

    async def _list(self, request: web.Request) -> web.Response:
        del request
        return _answer(self._book.list())

    async def _load(self, request: web.Request) -> web.Response:
        try:
            name = json.loads(await request.read())["model_name"]
        except (ValueError, KeyError, TypeError):
            return _answer(Reply.error(BAD, 'the body must be {"model_name": archive}'))
        return _answer(await self._book.load(str(name)))

    async def _describe(self, request: web.Request) -> web.Response:
        return _answer(self._book.describe(request.match_info["name"]))

    async def _unload(self, request: web.Request) -> web.Response:
        return _answer(await self._book.unload(request.match_info["name"]))


def _answer(reply: Reply) -> web.Response:
    from aiohttp import web

    headers = {"Content-Type": reply.content_type}
    return web.Response(status=reply.status, body=reply.body, headers=headers)
