"""A running tritonserver: started, watched until all models are ready, stopped without trace."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from ensemblegen import manifest
from ensemblegen.engine import (
    abilities,
    beside,
    embedded,
    failure,
    guard,
    launch,
    locate,
    machine,
    overlay,
    probe,
    regions,
)
from ensemblegen.engine import repository as repositories
from ensemblegen.engine.abilities import Way
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.log import Log, plain
from ensemblegen.engine.ports import Ports, Wanted, choose
from ensemblegen.engine.repository import Repository
from ensemblegen.environments import placed
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.trt import plans

_PORT_TRIES = 5
_POLL = 0.05
# Adds the package's place to the path last, so that nothing there hides the standard library.
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from ensemblegen.engine import guard; "
_BOOT += "sys.exit(guard.main(sys.argv[1]))"
_PACKAGE = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Options:
    """How to start a server; what is left out is chosen for the machine.

    `profile` names the `configs/<profile>.pbtxt` to use instead of config.pbtxt; `extra` are flags
    for tritonserver as they stand; `timeout` is in seconds, for all models to be ready; `only`
    names the models to load, and none means all.
    """

    engine: Choice = Choice.auto
    server: Path | None = None
    target: str = locate.EMBEDDED_RELEASE
    host: str = "127.0.0.1"
    ports: Wanted = field(default_factory=Wanted)
    profile: str | None = None
    log_file: Path | None = None
    extra: tuple[str, ...] = ()
    timeout: float = 300.0
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendUse:
    """A backend that the repository uses, and whether it is NVIDIA's or our stand-in."""

    name: str
    native: bool


class LoadError(InputError):
    """The server refused the repository; `reasons` has its words by model ('' is the server)."""

    def __init__(self, reasons: dict[str, str], lines: list[str]) -> None:
        self.reasons = reasons
        self.lines = lines
        super().__init__([_problem(model, reason) for model, reason in reasons.items()])


class Server:
    """Use `Server.start` as a context manager; it is ready inside the block and gone after it."""

    def __init__(self, engine: Engine, repository: Repository, options: Options) -> None:
        self.engine = engine
        self.repository = repository
        self.options = options
        self.ports = Ports(0, 0, 0)
        self.pid: int | None = None
        self.seconds = 0.0
        """How long the start took, until every model was ready."""
        self._guard: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None
        self._missing: set[str] = set()

    @classmethod
    def start(cls, repository: Path, options: Options | None = None) -> Server:
        """A server on `repository` (compiled or hand-written) with every model ready.

        InputError where the repository does not load, in the server's words; MachineError where
        this machine cannot serve it.
        """
        options = options or Options()
        read = repositories.read(repository, options.profile, options.only)
        _require_archives(read.path)
        _require_plans(read.path)
        beside.require_given(read.path, launch.repositories(options.extra))
        engine = locate.find(options.engine, options.server, options.target)
        require(engine, read)
        regions.sweep()
        server = cls(engine, read, options)
        server._start()
        return server

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """Where to reach the server, which is not where it listens if that is everywhere."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.options.host, self.options.host)  # noqa: S104 - not bound here

    @property
    def http(self) -> str:
        """`host:port` of HTTP, as tritonclient takes it."""
        return self._address(self.ports.http)

    @property
    def grpc(self) -> str:
        return self._address(self.ports.grpc)

    @property
    def metrics(self) -> str:
        return self._address(self.ports.metrics)

    @property
    def backends(self) -> tuple[BackendUse, ...]:
        native = self.engine.native
        return tuple(BackendUse(name, name in native) for name in self.repository.backends)

    @property
    def log(self) -> list[str]:
        """The last lines that the server wrote."""
        return self._log.lines() if self._log else []

    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def wait(self, timeout: float | None = None) -> int | None:
        """The server's exit code, or None if it still runs after `timeout` seconds."""
        if self._guard is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._guard.wait(timeout)
        return None

    def stop(self, *, kill: bool = False) -> None:
        """End the server and wait until nothing of it is left; `kill` does not let it finish."""
        if self._guard is None or self._guard.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guard.stdin.write(b"kill\n" if kill else b"stop\n")
            self._guard.stdin.flush()
        try:
            self._guard.wait()
        except BaseException:
            # A second Ctrl-C: closing the pipe leaves the rest to the guard.
            self._guard.stdin.close()
            raise
        self._close()

    def _start(self) -> None:
        began = time.monotonic()
        for attempt in range(_PORT_TRIES):
            # Who lost a race for the usual ports would only lose the next one as well.
            wanted = replace(self.options.ports, usual=self.options.ports.usual and not attempt)
            self.ports = choose(self.options.host, wanted)
            self._missing = set(launch.services(self.options.extra))
            self._spawn()
            try:
                taken = self._until_ready(began + self.options.timeout)
            except BaseException:
                self.stop(kill=True)
                raise
            if taken is None:
                self.seconds = time.monotonic() - began
                return
            self.stop(kill=True)
            if self.options.ports.fixed or attempt == _PORT_TRIES - 1:
                break
        raise MachineError(f"another program took {taken} while the server started", "try again")

    def _spawn(self) -> None:
        folder, link = _served(self.engine, self.repository)
        extra = (*launch.loads(self.options.only), *self.options.extra)
        settings = launch.Settings(self.options.host, self.options.profile, extra)
        launched = launch.prepare(self.engine, self.repository, folder, self.ports, settings)
        prefix = regions.new_prefix()
        command = launched.command
        if self.engine.kind is not Choice.docker:
            command = launch.with_regions(command, prefix)
        orders = guard.Orders(
            command=command,
            prefix=prefix,
            grace=launched.grace,
            remove=[str(link)] if link else [],
            after=launched.after,
        )
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(_PACKAGE), orders.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=launched.environment,
            start_new_session=True,
        )
        assert self._guard.stdout is not None and self._guard.stderr is not None  # noqa: S101, PT018
        try:
            self._log = Log(self._guard.stdout, self.options.log_file)
        except MachineError:
            self._guard.stdout.close()
            self.stop(kill=True)
            raise
        first = self._guard.stderr.readline()
        try:
            self.pid = json.loads(first)["pid"]
        except (ValueError, KeyError, TypeError):
            words = (first + self._guard.stderr.read()).decode("utf-8", "replace").strip()
            self.stop(kill=True)
            last = words.splitlines()[-1] if words else "no reason given"
            raise MachineError(f"tritonserver cannot be started: {last}") from None

    def _until_ready(self, deadline: float) -> str | None:
        """None when ready, or the address that another program has."""
        waiting = [model.name for model in self.repository.models]
        while True:
            ended = self._guard is None or self._guard.poll() is not None
            if not ended:
                waiting = probe.not_ready(self.host, self.ports.http, waiting)
                if not waiting and self._answers():
                    return None
                stuck = failure.stuck(self.log)
                if stuck:
                    raise LoadError(stuck, self.log)
                if failure.port_taken(self.log) is None and time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
            return self._give_up(waiting, ended=ended)

    def _answers(self) -> bool:
        """Whether it is our server that said ready, not another one that was faster to the port."""
        lines = self.log
        self._missing -= failure.started(lines)
        return not self._missing and failure.port_taken(lines) is None and self.running()

    def _give_up(self, waiting: list[str], *, ended: bool) -> str:
        if ended and self._log is not None:
            self._log.join(2)
        lines = self.log
        taken = failure.port_taken(lines)
        if taken is not None:
            return taken
        reasons = failure.reasons(lines)
        if reasons and ended:
            raise LoadError(reasons, lines)
        tail = "\n".join(plain(lines)[-20:])
        if ended:
            raise MachineError(f"tritonserver ended before it was ready:\n{tail}")
        names = ", ".join(waiting)
        raise MachineError(
            f"not ready after {self.options.timeout:.0f} s: {names}. "
            f"The server's last lines:\n{tail}",
            "give it longer with --timeout, or look into the models",
        )

    def _close(self) -> None:
        if self._log is not None:
            self._log.join(2)
        for pipe in (self._guard.stdin, self._guard.stderr) if self._guard else ():
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _address(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def _require_archives(repository: Path) -> None:
    """InputError where an environment of a compiled repository is not the one that it should be."""
    if (repository / manifest.NAME).is_file():
        problems = list(placed.unusable(repository, manifest.read(repository)))
        if problems:
            raise InputError(problems)


def _require_plans(repository: Path) -> None:
    """InputError where a TensorRT plan is still to be built."""
    problems = [
        Problem("E496", f"the plan of '{model}' is not built yet", hint=f"python3 {builder}")
        for model, builder in plans.pending(repository).items()
    ]
    if problems:
        raise InputError(problems)


def require(engine: Engine, repository: Repository) -> None:
    """MachineError where `engine` cannot serve `repository` on this machine."""
    on_gpu = [model.name for model in repository.models if model.gpu]
    if on_gpu and not machine.gpus():
        raise MachineError(
            f"'{on_gpu[0]}' is placed on a GPU (KIND_GPU), and this machine has none",
            "compile with --device cpu, or serve with --device cpu",
        )
    if engine.kind is Choice.embedded:
        embedded.require(engine, repository)
    elif engine.kind is Choice.path:
        for backend in repository.backends:
            ability = abilities.of_backend(backend, engine)
            if ability.way is Way.none:
                raise MachineError(ability.what, ability.remedy)


def _served(engine: Engine, repository: Repository) -> tuple[Path, Path | None]:
    """The folder to serve, and one that goes with the server.

    Through a link where the repository's path would not survive Triton's shell, and through an
    overlay where models need stubs or settings that they do not bring.
    """
    unsafe = [each for each in repository.beside if not embedded.safe_for_stub(each)]
    if unsafe and engine.kind is not Choice.docker:
        raise MachineError(
            f"Triton 24.10 cannot start models in {unsafe[0]}",
            "move the repository to a path of letters, digits and . _ - + = @ , :",
        )
    stubs, configs = overlay.lacking(engine, repository), overlay.resident(engine, repository)
    if (stubs or configs) and embedded.safe_for_stub(repository.path):
        folder = embedded.temporary_folder()
        return overlay.make(repository, stubs, configs, folder), folder
    if engine.kind is Choice.docker or embedded.safe_for_stub(repository.path):
        return repository.path, None
    archived = [model.name for model in repository.models if model.environment]
    if archived:
        raise MachineError(
            f"'{archived[0]}' has its own environment, and Triton 24.10 cannot start it in "
            f"{repository.path}",
            "move the repository to a path of letters, digits and . _ - + = @ , :",
        )
    folder = embedded.temporary_folder()
    (folder / "repository").symlink_to(repository.path, target_is_directory=True)
    return folder / "repository", folder


def _problem(model: str, reason: str) -> Problem:
    subject = f"'{model}' does not load" if model else "the server did not start"
    return Problem("E702", f"{subject}: {reason}")
