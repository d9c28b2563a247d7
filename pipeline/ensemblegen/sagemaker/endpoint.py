"""The container of an endpoint on this machine: Triton behind its SageMaker adaptor.

Started as the container's start script does it, with the folders of `/opt/ml` in a temporary
folder. The adaptor listens on every address of the machine: it has no flag for that.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ensemblegen import manifest
from ensemblegen.engine import embedded, failure, guard, launch, locate, overlay, regions, server
from ensemblegen.engine import repository as repositories
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.log import plain
from ensemblegen.engine.ports import Wanted, choose, free
from ensemblegen.engine.process import Process
from ensemblegen.environments import placed, stubs
from ensemblegen.errors import InputError, MachineError
from ensemblegen.sagemaker import described, layout, script

HOST = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - the adaptor's, not ours
_USUAL = 8080
_POLL = 0.05
_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to start it; `timeout` is in seconds, for the model of a single archive to be ready.

    `variables` are those of the container; `extra` are flags for tritonserver as they stand.
    """

    engine: Choice = Choice.auto
    server: Path | None = None
    port: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    log_file: Path | None = None
    timeout: float = 300.0


class Endpoint:
    """Use `Endpoint.start` as a context manager; it answers inside the block."""

    def __init__(self, engine: Engine, folder: Path, options: Options) -> None:
        self.engine = engine
        self.folder = folder
        """What `/opt/ml` is in the container."""
        self.options = options
        self.port = _port(options.port)
        self._process: Process | None = None

    @classmethod
    def single(cls, archive: Path, options: Options) -> Endpoint:
        """With one archive. InputError where the container would end or a model does not load."""
        return cls._started(options, archive)

    @classmethod
    def multi(cls, options: Options) -> Endpoint:
        """Without any archive: they come through `/models`."""
        return cls._started(options, None)

    @classmethod
    def _started(cls, options: Options, archive: Path | None) -> Endpoint:
        engine = locate.find(options.engine, options.server, locate.EMBEDDED_RELEASE)
        if engine.kind is Choice.docker:
            hint = "leave --engine out, or run the container yourself: its program is `serve`"
            raise MachineError("the adaptor is started here as in a container, not in one", hint)
        regions.sweep()
        folder = embedded.temporary_folder()
        try:
            endpoint = cls(engine, folder, options)
            endpoint._start(archive)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return endpoint

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """`host:port` where it answers `/ping` and `/invocations`, or `/models`."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None  # noqa: S101 - started
        return self._process.pid

    @property
    def log(self) -> list[str]:
        """The last lines that the server wrote."""
        return self._process.log if self._process else []

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def wait(self, timeout: float | None = None) -> int | None:
        """The server's exit code, or None if it still runs after `timeout` seconds."""
        return self._process.wait(timeout) if self._process else None

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, archive: Path, folder: Path) -> None:
        """Unpack an archive where the adaptor is to find it; InputError where it could not."""
        layout.unpack(archive, folder)
        layout.require_findable(folder, archive.name)
        self._fit(folder)

    def _fit(self, folder: Path) -> None:
        """Give unpacked models what this machine's server needs beside them."""
        read = repositories.read(folder)
        if (folder / manifest.NAME).is_file():
            problems = list(placed.unusable(folder, manifest.read(folder)))
            if problems:
                raise InputError(problems)
        server.require(self.engine, read)
        for name, stub in overlay.lacking(self.engine, read).items():
            shutil.copy2(stub, folder / name / stubs.NAME)
            (folder / name / stubs.NAME).chmod(0o755)
        for name, texts in overlay.resident(self.engine, read).items():
            for inner, text in texts.items():
                (folder / name / inner).write_text(text, encoding="utf-8")

    def _start(self, archive: Path | None) -> None:
        variables = dict(self.options.variables) | {script.PORT: str(self.port)}
        served = self.folder / layout.SINGLE
        if archive is None:
            variables[script.MULTI_MODEL] = "true"
            served.mkdir()  # the script names an empty folder, because the server must have one
        else:
            variables.pop(script.MULTI_MODEL, None)
            layout.unpack(archive, served)
            variables[script.DEFAULT] = script.default_model(variables, served)
            self._fit(served)
        prefix = regions.new_prefix()
        # The script leaves Triton its 30 s to end, which nobody at a terminal waits for.
        ends = f"--exit-timeout-secs={launch.EXIT_TIMEOUT}"
        flags = [*script.flags(variables, served), ends, *self.options.extra]
        launched = launch.bare(self.engine, flags)
        orders = guard.Orders(
            command=launch.with_regions(launched.command, prefix),
            prefix=prefix,
            grace=launched.grace,
            remove=[str(self.folder)],
            after=[],
        )
        known = launched.environment | variables
        self._process = Process(orders, known, self.options.log_file)
        try:
            self._until_ready()
        except BaseException:
            self._process.stop(kill=True)
            raise

    def _until_ready(self) -> None:
        assert self._process is not None  # noqa: S101 - started
        deadline = time.monotonic() + self.options.timeout
        while self._process.running():
            if _answers(self.port) and self._process.running():
                return
            stuck = failure.stuck(self.log)
            if stuck:
                raise server.LoadError(stuck, self.log)
            if time.monotonic() > deadline:
                hint = "give it longer with --timeout, or look into the models"
                seconds = f"{self.options.timeout:.0f} s"
                raise MachineError(f"no good /ping after {seconds}:\n{self._tail()}", hint)
            time.sleep(_POLL)
        self._process.read_to_end()
        reasons = failure.reasons(self.log)
        if reasons:
            raise server.LoadError(reasons, self.log)
        raise MachineError(f"tritonserver ended before it was ready:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(plain(self.log)[-20:])


def variables(archive: Path) -> dict[str, str]:
    """Those of `sagemaker.json` beside an archive or in a folder, with the user's over them."""
    path = (archive if archive.is_dir() else archive.parent) / described.NAME
    known = described.read(path).environment if path.is_file() else {}
    own = {name: value for name, value in os.environ.items() if name.startswith("SAGEMAKER_")}
    return {**known, **own}


def _port(wanted: int | None) -> int:
    if wanted is None and free(_EVERYWHERE, _USUAL):
        return _USUAL
    return choose(_EVERYWHERE, Wanted(http=wanted)).http


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECOND)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    return False
