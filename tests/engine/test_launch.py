"""The command lines of the engines, as argument lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ensemblegen.engine import launch, machine, pools
from ensemblegen.engine.launch import Settings
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.ports import Ports
from ensemblegen.engine.repository import Model, Repository

PORTS = Ports(8000, 8001, 8002)
PATH = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))
MIB = pools.MIB


def _repository(*, gpu: bool) -> Repository:
    return Repository(Path("/srv/models"), (Model("net", "pytorch", gpu, None, ()),))


def test_a_server_on_path() -> None:
    engine = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))
    settings = Settings(profile="cpu", extra=("--log-verbose=1",))
    made = launch.prepare(engine, _repository(gpu=False), Path("/srv/models"), PORTS, settings)
    assert made.command[:2] == [
        "/opt/tritonserver/bin/tritonserver",
        "--model-repository=/srv/models",
    ]
    assert {
        "--http-address=127.0.0.1",
        "--grpc-port=8001",
        "--metrics-address=127.0.0.1",
        "--disable-auto-complete-config",
        "--exit-timeout-secs=5",
        "--strict-readiness=true",
        "--exit-on-error=true",
        "--model-config-name=cpu",
    } <= set(made.command)
    assert made.command[-1] == "--log-verbose=1"  # the user has the last word
    assert not made.after


def test_configs_that_need_it_are_completed() -> None:
    engine = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))
    models = (Model("net", "onnxruntime", False, None, (), completes=True),)
    repository = Repository(Path("/srv/models"), models)
    made = launch.prepare(engine, repository, repository.path, PORTS, Settings())
    assert "--disable-auto-complete-config" not in made.command


def test_regions_are_named() -> None:
    named = launch.with_regions(["tritonserver"], "ensemblegen_1_ab_")
    assert named[-1] == "--backend-config=python,shm-region-prefix-name=ensemblegen_1_ab_"


def test_docker() -> None:
    image = "nvcr.io/nvidia/tritonserver:24.10-py3"
    engine = Engine(Choice.docker, Path("/usr/bin/docker"), "24.10", image=image)
    settings = Settings(host="127.0.0.1", extra=("--log-verbose=1",))
    repository = _repository(gpu=True)
    made = launch.prepare(engine, repository, repository.path, PORTS, settings)
    name = next(word for word in made.command if word.startswith("--name=")).partition("=")[2]
    at = made.command.index(image)
    before, after = made.command[:at], made.command[at + 1 :]
    assert before == [
        "/usr/bin/docker",
        "run",
        "--rm",
        "--init",
        f"--name={name}",
        "--shm-size=2g",
        "--ulimit=memlock=-1",
        "--ulimit=stack=67108864",
        "--gpus=all",
        "--publish=127.0.0.1:8000:8000",
        "--publish=127.0.0.1:8001:8001",
        "--publish=127.0.0.1:8002:8002",
        "--mount=type=bind,source=/srv/models,target=/models,readonly",
    ]
    assert after[:2] == ["tritonserver", "--model-repository=/models"]
    assert after[-1] == "--log-verbose=1"
    assert made.after == ["/usr/bin/docker", "rm", "--force", name]


def test_docker_without_a_gpu() -> None:
    engine = Engine(Choice.docker, Path("/usr/bin/docker"), "24.10", image="image")
    repository = _repository(gpu=False)
    made = launch.prepare(engine, repository, repository.path, PORTS, Settings(host="::1"))
    assert "--gpus=all" not in made.command
    assert "--allow-gpu-metrics=false" in made.command
    assert "--publish=[::1]:8000:8000" in made.command


def test_gpus_get_room_for_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU 0: a", "GPU 1: b"])
    engine = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))

    def pools(settings: Settings, *, gpu: bool) -> list[str]:
        made = launch.prepare(engine, _repository(gpu=gpu), Path("/srv/models"), PORTS, settings)
        return [word for word in made.command if "cuda-memory-pool" in word]

    flag = "--cuda-memory-pool-byte-size"
    assert pools(Settings(), gpu=True) == [f"{flag}=0:268435456", f"{flag}=1:268435456"]
    assert pools(Settings(), gpu=False) == []
    assert pools(Settings(extra=(f"{flag}=0:1",)), gpu=True) == [f"{flag}=0:1"]


def test_gpus_get_room_for_large_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU 0: a"])
    monkeypatch.setattr(machine, "gpu_memory", lambda: 16 << 30)
    made = launch.prepare(PATH, _large(gpu=True), Path("/srv/models"), PORTS, Settings())
    pool = next(word for word in made.command if "cuda-memory-pool" in word)
    assert pool == f"--cuda-memory-pool-byte-size=0:{2 * 2 * 200 * MIB}"


def test_stubs_get_room_for_large_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "free", lambda: 64 << 30)

    def flags(*extra: str) -> list[str]:
        settings = Settings(extra=extra)
        made = launch.prepare(PATH, _large(gpu=False), Path("/srv/models"), PORTS, settings)
        return [word for word in made.command if "python,shm-" in word]

    size = "--backend-config=python,shm-default-byte-size="
    growth = "--backend-config=python,shm-growth-byte-size="
    assert flags() == [f"{size}{251 * MIB}", f"{growth}{31 * MIB}"]
    assert flags(f"{size}1048576") == [f"{growth}{31 * MIB}", f"{size}1048576"]
    assert flags(f"{growth}1048576") == [f"{size}{251 * MIB}", f"{growth}1048576"]
    two_words = "python,shm-default-byte-size=1048576"
    assert flags("--backend-config", two_words) == [f"{growth}{31 * MIB}", two_words]


def test_a_container_gets_as_much_and_as_much_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "free", lambda: 64 << 30)
    engine = Engine(Choice.docker, Path("/usr/bin/docker"), "24.10", image="image")
    models = tuple(replace(each, instances=5) for each in _large(gpu=False).models)
    repository = Repository(Path("/srv/models"), models)
    made = launch.prepare(engine, repository, repository.path, PORTS, Settings())
    assert "--shm-size=2510m" in made.command
    at = made.command.index("image")
    assert f"--backend-config=python,shm-default-byte-size={251 * MIB}" in made.command[at:]


def test_only_the_embedded_server_runs_native_models_in_stubs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "free", lambda: 64 << 30)
    models = (Model("net", "pytorch", False, None, (), batch_bytes=200 * MIB),)
    repository = Repository(Path("/srv/models"), models)
    made = launch.prepare(PATH, repository, repository.path, PORTS, Settings())
    assert not any("python,shm-" in word for word in made.command)


def _large(*, gpu: bool) -> Repository:
    model = Model("step", "python", gpu, None, (), instances=2, batch_bytes=200 * MIB)
    return Repository(Path("/srv/models"), (model,))


def test_services_to_wait_for() -> None:
    assert launch.services(()) == ["HTTPService", "GRPCInferenceService", "Metrics Service"]
    assert launch.services(("--allow-grpc=false",)) == ["HTTPService", "Metrics Service"]
    assert launch.services(("--log-info=false",)) == []


def test_what_models_ask_for_is_turned_on() -> None:
    plain, extra = Model("net", "pytorch", False, None, ()), ("--log-verbose=1",)
    wants = replace(plain, cached=True, limited=True)
    flags = {"--cache-config=local,size=67108864", "--rate-limit=execution_count"}

    def made(model: Model, *extra: str) -> list[str]:
        repository = Repository(Path("/srv/models"), (model,))
        return launch.prepare(
            PATH, repository, repository.path, PORTS, Settings(extra=extra)
        ).command

    assert flags <= set(made(wants, *extra))
    assert not flags & set(made(plain, *extra))
    own = ("--cache-config=local,size=1048576", "--rate-limit", "off")
    assert not flags & set(made(wants, *own))
    # Resources alone turn no rate limiter on.
    assert flags <= set(made(wants, "--rate-limit-resource=R:2"))


def test_host_policies_that_the_server_does_not_get() -> None:
    model = Model("net", "pytorch", False, None, (), host_policies=("near", "far"))
    repository = Repository(Path("/srv/models"), (model, replace(model, name="other")))
    known = ("--host-policy=near,numa-node=0", "--host-policy=near,cpu-cores=0-3")
    assert launch.unknown_policies(repository, known) == {"far": "net"}
    assert launch.unknown_policies(repository, (*known, "--host-policy", "far,numa-node=1")) == {}
