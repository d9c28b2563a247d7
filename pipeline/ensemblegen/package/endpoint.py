"""The environment variables of an endpoint's container, computed from what it is to serve.

Shared memory. The start script gives each Python instance 16 MiB, in a container whose /dev/shm
nobody can enlarge: `engine.pools` has the formula for what they need. Nothing is set for
repositories that do not say what passes between their models.

Threads of the adaptor. Each reads and writes one request at a time and waits for none, so there are
as many as instances that could be answered at once, from Triton's own 8 to 32.

Loading. Triton loads 4 models at once; a pipeline with more of them loads up to 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ensemblegen.engine import launch, pools
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import InputError, Problem
from ensemblegen.package.pipelines import Pipeline
from ensemblegen.sagemaker import script

LONGEST = 1024
"""Characters of a variable's value that SageMaker takes (CreateModel, EnvironmentMap)."""
_THREADS = (8, 32)
_LOADERS = (4, 16)


def environment(pipelines: Sequence[Pipeline], *, multi_model: bool, sized: bool) -> dict[str, str]:
    """The variables for an endpoint with these pipelines.

    `sized` says whether their models' `batch_bytes` are known. InputError E647 for what cannot be
    said in a variable.
    """
    models = [model for pipeline in pipelines for model in pipeline.models]
    found = {script.VERBOSE: "false"}
    if not multi_model:
        found[script.DEFAULT] = pipelines[0].name
    if sized and any(model.backend == "python" for model in models):
        found |= _regions(models)
    threads = _between(max(map(_instances, pipelines)), _THREADS)
    if threads != _THREADS[0]:
        found[script.THREADS] = str(threads)
    arguments = _arguments(pipelines, models, multi_model=multi_model)
    if arguments:
        found[script.ADDITIONAL] = " ".join(arguments)
    _require_sayable(found)
    return dict(sorted(found.items()))


def shared_memory(pipelines: Sequence[Pipeline], variables: Mapping[str, str]) -> int:
    """Bytes of /dev/shm that the Python instances of `pipelines` take at the start."""
    models = [model for pipeline in pipelines for model in pipeline.models]
    count = sum(model.instances for model in models if model.backend == "python")
    return count * int(variables.get(script.REGION, script.REGION_DEFAULT))


def _regions(models: Sequence[Model]) -> dict[str, str]:
    regions = pools.regions([each for each in models if each.backend == "python"], None)
    size, growth = (regions.size, regions.growth) if regions else (pools.MIB, pools.MIB)
    return {script.REGION: str(size), script.GROWTH: str(growth)}


def _arguments(
    pipelines: Sequence[Pipeline], models: Sequence[Model], *, multi_model: bool
) -> list[str]:
    """Flags for which the start script has no variable of their own."""
    repository = Repository(Path(), tuple(models))
    found = launch.wanted(repository)
    if any(model.gpu for model in models):
        size = pools.pool(models, None)
        devices = sorted({gpu for model in models for gpu in model.gpus}) or [0]
        found += [f"--cuda-memory-pool-byte-size={device}:{size}" for device in devices]
    if not any(model.completes for model in models):
        found.append("--disable-auto-complete-config")
    loaders = _between(max(len(each.models) for each in pipelines), _LOADERS)
    if loaders != _LOADERS[0]:
        found.append(f"--model-load-thread-count={loaders}")
    if not multi_model:
        found += [f"--load-model={name}" for name in pipelines[0].loaded]
    return found


def _instances(pipeline: Pipeline) -> int:
    return sum(model.instances for model in pipeline.models if not model.ensemble)


def _between(number: int, bounds: tuple[int, int]) -> int:
    return max(bounds[0], min(bounds[1], number))


def _require_sayable(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        if len(value) > LONGEST:
            message = f"{name} would have {len(value)} characters, and SageMaker takes {LONGEST}"
            hint = "shorten the names of models that only Python code calls"
            raise InputError([Problem("E647", message, hint=hint)])
