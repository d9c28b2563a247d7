"""The archives of a multi-model endpoint: loaded when they are asked for, the oldest gone first.

The platform in front of the container, as it is documented for multi-model endpoints: an archive
is fetched, unpacked and loaded by the first request for it; where memory is short, or the container
says so with 507, the least recently used one is unloaded. A request never meets one that is on its
way out: it is taken from the book first, then its last requests are waited for, then it goes.

Loads and unloads take turns, so that what each archive takes can be measured. All of it runs in one
event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ensemblegen.client.protocol import JSON, TARGET
from ensemblegen.errors import EnsemblegenError
from ensemblegen.sagemaker import layout, memory
from ensemblegen.sagemaker.archives import Archives
from ensemblegen.sagemaker.endpoint import Endpoint

if TYPE_CHECKING:
    from aiohttp import ClientSession

_LOOK = 0.1
_PATIENCE = 300
"""How often the end of stubs is looked for, and how often at most."""
OK, MISSING, CONFLICT, BAD, FULL, LOST = 200, 404, 409, 400, 507, 502


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answers."""

    status: int
    body: bytes = b""
    content_type: str = JSON

    @classmethod
    def error(cls, status: int, message: str) -> Reply:
        return cls(status, json.dumps({"error": message}).encode())

    @classmethod
    def of(cls, value: object) -> Reply:
        return cls(OK, json.dumps(value).encode())


class RefusedError(Exception):
    """An archive does not load; `reply` is for everyone who asked for it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode("utf-8", "replace"))
        self.reply = reply


@dataclass
class Loaded:
    """An archive in the book: on its way in, or answering."""

    name: str
    ready: asyncio.Future[None]
    users: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key(self) -> str:
        """Its name in the adaptor's paths."""
        return key(self.name)


@dataclass
class Counts:
    """What happened since the start."""

    loads: int = 0
    evictions: int = 0
    full: int = 0
    """Times that the container answered 507."""


class Fleet:
    """The book of one endpoint. `limit` are the bytes that the server and its stubs may take."""

    def __init__(
        self, endpoint: Endpoint, session: ClientSession, archives: Archives, limit: int | None
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._archives = archives
        self._limit = limit
        self._book: dict[str, Loaded] = {}  # the least recently used first
        self._known: dict[str, int] = {}  # what an archive took when it was loaded last
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself does not keep them
        self.counts = Counts()

    async def invoke(self, name: str, body: bytes, content_type: str) -> Reply:
        """Answer a request, once the archive is there."""
        try:
            async with self._held(name) as loaded:
                reply = await self._invoke(loaded, body, content_type)
        except RefusedError as error:
            return error.reply
        if reply.status == FULL:
            self.counts.full += 1
            if await self._make_room(name):
                return await self.invoke(name, body, content_type)
        return reply

    async def load(self, name: str) -> Reply:
        """Load an archive; 409 if it is there already."""
        if name in self._book:
            return Reply.error(CONFLICT, f"{name} is loaded")
        try:
            async with self._held(name):
                return Reply(OK)
        except RefusedError as error:
            return error.reply

    async def unload(self, name: str) -> Reply:
        """Let an archive go when its last request is answered."""
        loaded = self._book.get(name)
        if loaded is None:
            return Reply.error(MISSING, f"{name} is not loaded")
        async with self._turn:
            if self._book.get(name) is loaded:
                await self._evict(loaded)
        return Reply(OK)

    def describe(self, name: str) -> Reply:
        if name not in self._book:
            return Reply.error(MISSING, f"{name} is not loaded")
        return Reply.of(self._entry(name))

    def list(self) -> Reply:
        """What is loaded, the least recently used first."""
        return Reply.of({"models": [self._entry(name) for name in self._book]})

    def _entry(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": str(self._folder(name) / layout.SINGLE)}

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[Loaded]:
        """The archive, which stays until the block ends; RefusedError where it does not load."""
        loaded = self._book.pop(name, None)
        if loaded is None:
            loaded = Loaded(name, asyncio.get_running_loop().create_future())
            self._book[name] = loaded
            task = asyncio.create_task(self._bring(loaded))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._book[name] = loaded
        loaded.users += 1
        loaded.idle.clear()
        try:
            await asyncio.shield(loaded.ready)
            yield loaded
        finally:
            loaded.users -= 1
            if not loaded.users:
                loaded.idle.set()

    async def _bring(self, loaded: Loaded) -> None:
        """Fetch, unpack and load; whoever waits for `ready` is told how that ended."""
        try:
            async with self._turn:
                await self._in_turn(loaded)
        except RefusedError as error:
            self._refuse(loaded, error)
        except (EnsemblegenError, OSError) as error:
            self._refuse(loaded, RefusedError(Reply.error(BAD, str(error))))
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits must not wait on
            words = f"{loaded.name} was not loaded: {error or type(error).__name__}"
            self._refuse(loaded, RefusedError(Reply.error(LOST, words)))
        else:
            loaded.ready.set_result(None)

    def _refuse(self, loaded: Loaded, error: RefusedError) -> None:
        self._book.pop(loaded.name, None)
        shutil.rmtree(self._folder(loaded.name), ignore_errors=True)
        loaded.ready.set_exception(error)
        loaded.ready.exception()  # told to nobody, where nobody waits any more

    async def _in_turn(self, loaded: Loaded) -> None:
        await self._shrink(self._known.get(loaded.name, max(self._known.values(), default=0)))
        folder = self._folder(loaded.name)
        await asyncio.to_thread(self._place, loaded.name, folder)
        before = await self._used()
        reply = await self._load(loaded, folder / layout.SINGLE)
        while reply.status == FULL:
            self.counts.full += 1
            oldest = self._oldest()
            if oldest is None:
                break
            await self._evict(oldest)
            before = await self._used()
            reply = await self._load(loaded, folder / layout.SINGLE)
        if reply.status != OK:
            raise RefusedError(reply)
        self.counts.loads += 1
        self._known[loaded.name] = max(0, await self._used() - before)
        await self._shrink(0)

    def _place(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        archive = folder / Path(name).name
        if not self._archives.fetch(name, archive):
            raise RefusedError(Reply.error(MISSING, f"there is no archive {name}"))
        self._endpoint.place(archive, folder / layout.SINGLE)
        archive.unlink()

    async def _shrink(self, coming: int) -> None:
        """Let archives go until what is there and what comes fit, or nothing else is there."""
        if self._limit is None:
            return
        while await self._used() + coming > self._limit:
            oldest = self._oldest()
            if oldest is None:
                return
            await self._evict(oldest)

    def _oldest(self, but: str = "") -> Loaded | None:
        """The least recently used archive that answers; one that is on its way in does not yet."""
        there = (each for each in self._book.values() if each.ready.done() and each.name != but)
        return next(there, None)

    async def _make_room(self, name: str) -> bool:
        """Evict another archive than `name`, if there is one."""
        async with self._turn:
            oldest = self._oldest(but=name)
            if oldest is not None:
                await self._evict(oldest)
        return oldest is not None

    async def _evict(self, loaded: Loaded) -> None:
        """Out of the book, then out of the server; the caller has the turn."""
        self._book.pop(loaded.name, None)
        if loaded.users:
            await loaded.idle.wait()
        url = f"http://{self._endpoint.address}/models/{loaded.key}"
        async with self._session.delete(url, headers={TARGET: loaded.name}) as answer:
            await answer.read()
        self.counts.evictions += 1
        await self._gone(self._folder(loaded.name))
        await asyncio.to_thread(shutil.rmtree, self._folder(loaded.name), ignore_errors=True)

    async def _gone(self, folder: Path) -> None:
        """Wait for the stubs: the adaptor waits for the model that it loaded, not for members."""
        for _ in range(_PATIENCE):
            if not await asyncio.to_thread(memory.works_in, self._endpoint.pid, folder):
                return
            await asyncio.sleep(_LOOK)

    async def _load(self, loaded: Loaded, folder: Path) -> Reply:
        order = json.dumps({"model_name": loaded.key, "url": str(folder)}).encode()
        return await self._post("/models", loaded.name, order, JSON)

    async def _invoke(self, loaded: Loaded, body: bytes, content_type: str) -> Reply:
        from aiohttp import ServerDisconnectedError

        path = f"/models/{loaded.key}/invoke"
        try:
            return await self._post(path, loaded.name, body, content_type)
        except ServerDisconnectedError:
            # It closed a connection that it had kept, before it took anything from it.
            return await self._post(path, loaded.name, body, content_type)

    async def _post(self, path: str, name: str, body: bytes, content_type: str) -> Reply:
        headers = {TARGET: name, "Content-Type": content_type}
        url = f"http://{self._endpoint.address}{path}"
        async with self._session.post(url, data=body, headers=headers) as answer:
            kind = answer.headers.get("Content-Type", JSON)
            return Reply(answer.status, await answer.read(), kind)

    async def _used(self) -> int:
        if self._limit is None:
            return 0
        return await asyncio.to_thread(memory.of_tree, self._endpoint.pid)

    def _folder(self, name: str) -> Path:
        return self._endpoint.folder / layout.MULTI / key(name)


def key(name: str) -> str:
    """An archive's name as a folder's and a path's: SageMaker, too, hashes it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
