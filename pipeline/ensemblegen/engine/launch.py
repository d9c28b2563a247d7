"""The command line of a server: an argument list and an environment, for each kind of engine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from ensemblegen.engine import beside, embedded, machine, pools
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.ports import Ports
from ensemblegen.engine.repository import Repository
from ensemblegen.engine.stand_ins import STAND_INS
from ensemblegen.environments.execution import FOLDER

EXIT_TIMEOUT = 5
_GRACE = 5.0
_POOL_FLAG = "--cuda-memory-pool-byte-size"
_REGION_KEYS = ("shm-default-byte-size", "shm-growth-byte-size")
_BACKEND_FLAG = "--backend-config"
_DOCKER_MEMORY = 2 << 30
CACHE_SIZE = 64 << 20
"""Bytes of answers that are kept, of all models together: the least recently used give way."""
_RATE_FLAG = "--rate-limit"
_POLICY_FLAG = "--host-policy"
_SERVICES = {
    "HTTPService": "--allow-http",
    "GRPCInferenceService": "--allow-grpc",
    "Metrics Service": "--allow-metrics",
}
"""What the server tells of at its start, by its own names, and the flag that turns it off."""
_LOGGING = ("--log-info", "--log-file")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller decides of the server's command line."""

    host: str = "127.0.0.1"
    profile: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    command: list[str]
    environment: dict[str, str]
    after: list[str] = field(default_factory=list)
    grace: float = EXIT_TIMEOUT + _GRACE


def prepare(
    engine: Engine, repository: Repository, folder: Path, ports: Ports, settings: Settings
) -> Launch:
    """The launch of `engine` on `folder`, which is the repository or a link to it.

    Regions of shared memory are named later, by `with_regions`.
    """
    if engine.kind is Choice.docker:
        return _docker(engine, repository, ports, settings)
    command = [
        str(engine.program),
        *(f"{beside.FLAG}={each}" for each in (folder, *repository.beside)),
        *_flags(settings.host, ports),
        *_common(settings, repository, gpu=machine.driver()),
        *_pools(repository, settings),
        *_region_flags(_regions(engine, repository), settings.extra),
    ]
    environment = dict(os.environ)
    if engine.kind is Choice.embedded:
        command.append(f"--backend-directory={embedded.backend_directory(engine)}")
        command.append(f"--cache-directory={embedded.cache_directory(engine)}")
        environment = embedded.environment(engine)
    return Launch([*command, *settings.extra], environment)


def with_regions(command: list[str], prefix: str) -> list[str]:
    """The command with the prefix that all shared memory of its Python stubs gets."""
    return [*command, f"--backend-config=python,shm-region-prefix-name={prefix}"]


def unknown_policies(repository: Repository, extra: tuple[str, ...]) -> dict[str, str]:
    """Host policies that no flag gives, so that the server ignores them; each with its model."""
    given = {value.partition(",")[0] for value in _values(extra, _POLICY_FLAG)}
    return {
        policy: model.name
        for model in reversed(repository.models)
        for policy in model.host_policies
        if policy not in given
    }


def loads(only: tuple[str, ...]) -> tuple[str, ...]:
    """Flags for a server that loads these models and no others; none of them loads all."""
    if not only:
        return ()
    return ("--model-control-mode=explicit", *(f"--load-model={name}" for name in only))


def repositories(extra: tuple[str, ...]) -> list[Path]:
    """Those that the user gives the server beside ours."""
    return [Path(value) for value in _values(extra, beside.FLAG)]


def services(extra: tuple[str, ...]) -> list[str]:
    """The services whose start is to be awaited in the log, unless the user moves or mutes it."""
    if any(word.startswith(_LOGGING) for word in extra):
        return []
    return [name for name, flag in _SERVICES.items() if not any(w.startswith(flag) for w in extra)]


def _pools(repository: Repository, settings: Settings) -> list[str]:
    """Room on each GPU for what passes between models."""
    given = any(word.startswith(_POOL_FLAG) for word in settings.extra)
    if given or not any(model.gpu for model in repository.models):
        return []
    size = pools.pool(repository.models, machine.gpu_memory())
    return [f"{_POOL_FLAG}={number}:{size}" for number in range(len(machine.gpus()))]


def _regions(engine: Engine, repository: Repository) -> pools.Regions | None:
    """The shared memory of what runs in stubs: Python models, and ours that stand in for others."""
    aside = {"python"}
    if engine.kind is Choice.embedded:
        aside |= STAND_INS.keys() - engine.native
    return pools.regions(
        [each for each in repository.models if each.backend in aside], pools.free()
    )


def _region_flags(regions: pools.Regions | None, extra: tuple[str, ...]) -> list[str]:
    """Settings of the Python backend, which hold for stand-ins too; not those that the user gives.

    A server refuses none that is given twice, and which of them holds is not documented.
    """
    if regions is None:
        return []
    wanted = zip(_REGION_KEYS, (regions.size, regions.growth), strict=True)
    given = {key for key in _REGION_KEYS if any(f"python,{key}=" in word for word in extra)}
    return [f"{_BACKEND_FLAG}=python,{key}={value}" for key, value in wanted if key not in given]


def _wanted(repository: Repository, extra: tuple[str, ...]) -> list[str]:
    """What configs ask for and a server does not do by itself: a cache, limits of rates."""
    flags = []
    given = [*_values(extra, "--cache-config"), *_values(extra, "--response-cache-byte-size")]
    if any(model.cached for model in repository.models) and not given:
        flags.append(f"--cache-config=local,size={CACHE_SIZE}")
    limited = any(model.limited for model in repository.models)
    if limited and not list(_values(extra, _RATE_FLAG)):
        flags.append(f"{_RATE_FLAG}=execution_count")
    return flags


def _values(extra: tuple[str, ...], flag: str) -> Iterator[str]:
    """What the user gives to `flag`, as `flag=value` or as two words."""
    for word, after in zip_longest(extra, extra[1:], fillvalue=""):
        name, _, value = word.partition("=")
        if name == flag:
            yield value or after


def _common(settings: Settings, repository: Repository, *, gpu: bool) -> list[str]:
    flags = [
        f"--exit-timeout-secs={EXIT_TIMEOUT}",
        "--strict-readiness=true",
        "--exit-on-error=true",
    ]
    if not any(model.completes for model in repository.models):
        # What was checked is what is served, and no stub is started to ask for more.
        flags.append("--disable-auto-complete-config")
    if not gpu:
        flags.append("--allow-gpu-metrics=false")
    if settings.profile is not None:
        flags.append(f"--model-config-name={settings.profile}")
    return [*flags, *_wanted(repository, settings.extra)]


def _flags(host: str, ports: Ports) -> list[str]:
    return [
        f"--http-address={host}",
        f"--http-port={ports.http}",
        f"--grpc-address={host}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-address={host}",
        f"--metrics-port={ports.metrics}",
    ]


def _docker(engine: Engine, repository: Repository, ports: Ports, settings: Settings) -> Launch:
    name = f"ensemblegen-{secrets.token_hex(6)}"
    gpu = any(model.gpu for model in repository.models)
    regions = _regions(engine, repository)
    published = zip((ports.http, ports.grpc, ports.metrics), (8000, 8001, 8002), strict=True)
    command = [
        str(engine.program),
        "run",
        "--rm",
        "--init",
        f"--name={name}",
        f"--shm-size={_docker_memory(regions)}",
        "--ulimit=memlock=-1",
        "--ulimit=stack=67108864",
        *(["--gpus=all"] if gpu else []),
        *(f"--publish={_bracketed(settings.host)}:{outer}:{inner}" for outer, inner in published),
        f"--mount=type=bind,source={repository.path},target=/models,readonly",
        *_beside(repository),
        *(
            f"--mount=type=bind,source={each},target=/models-{i},readonly"
            for i, each in enumerate(repository.beside)
        ),
        str(engine.image),
        "tritonserver",
        f"{beside.FLAG}=/models",
        *(f"{beside.FLAG}=/models-{i}" for i in range(len(repository.beside))),
        *_common(settings, repository, gpu=gpu),
        *_pools(repository, settings),
        *_region_flags(regions, settings.extra),
        *settings.extra,
    ]
    # The client forwards signals to the container; if it is killed, the container would stay.
    after = [str(engine.program), "rm", "--force", name]
    return Launch(command, dict(os.environ), after, grace=EXIT_TIMEOUT + 3 * _GRACE)


def _docker_memory(regions: pools.Regions | None) -> str:
    """The container's /dev/shm: twice what the regions start with, so that they can grow."""
    wanted = 2 * regions.total if regions else 0
    return f"{wanted >> 20}m" if wanted > _DOCKER_MEMORY else f"{_DOCKER_MEMORY >> 30}g"


def _beside(repository: Repository) -> list[str]:
    """Environments are found at `../../envs` of a model's folder, in a container as well."""
    envs = repository.path.parent / FOLDER
    named = any(f"/../../{FOLDER}/" in (model.environment or "") for model in repository.models)
    return [f"--mount=type=bind,source={envs},target=/{FOLDER},readonly"] if named else []


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
