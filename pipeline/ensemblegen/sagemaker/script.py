"""What the container's start script does (server, docker/sagemaker/serve, 24.10).

The flags come in its order; where it is told to, it leaves Triton's own defaults alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ensemblegen.errors import InputError, Problem

DEFAULT = "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME"
MULTI_MODEL = "SAGEMAKER_MULTI_MODEL"
ADDITIONAL = "SAGEMAKER_TRITON_ADDITIONAL_ARGS"
PORT = "SAGEMAKER_BIND_TO_PORT"
THREADS = "SAGEMAKER_TRITON_THREAD_COUNT"
VERBOSE = "SAGEMAKER_TRITON_LOG_VERBOSE"
REGION = "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE"
GROWTH = "SAGEMAKER_TRITON_SHM_GROWTH_BYTE_SIZE"
REGION_DEFAULT = "16777216"

_ALWAYS = ("--allow-sagemaker=true", "--model-control-mode=explicit")
_ASIDE = ("grpc", "metrics")
_FLAGS = (
    ("SAGEMAKER_TRITON_DISABLE_MODEL_NAMESPACING", "--model-namespacing={}", "true"),
    (PORT, "--sagemaker-port={}", None),
    ("SAGEMAKER_SAFE_PORT_RANGE", "--sagemaker-safe-port-range={}", None),
    ("SAGEMAKER_TRITON_BUFFER_MANAGER_THREAD_COUNT", "--buffer-manager-thread-count={}", None),
    (THREADS, "--sagemaker-thread-count={}", None),
    (VERBOSE, "--log-verbose={}", "true"),
    ("SAGEMAKER_TRITON_LOG_INFO", "--log-info={}", None),
    ("SAGEMAKER_TRITON_LOG_WARNING", "--log-warning={}", None),
    ("SAGEMAKER_TRITON_LOG_ERROR", "--log-error={}", None),
    (REGION, "--backend-config=python,shm-default-byte-size={}", REGION_DEFAULT),
    (GROWTH, "--backend-config=python,shm-growth-byte-size={}", "1048576"),
    ("SAGEMAKER_TRITON_GRPC_PORT", "--grpc-port={}", None),
    ("SAGEMAKER_TRITON_METRICS_PORT", "--metrics-port={}", None),
)


def multi_model(environment: Mapping[str, str]) -> bool:
    """Whether the container would serve many archives."""
    return environment.get(MULTI_MODEL) == "true"


def flags(environment: Mapping[str, str], repository: Path) -> list[str]:
    """The arguments of tritonserver; `repository` is where the container unpacks its one archive.

    InputError E644 with the script's own words where it would end.
    """
    found = [f"--model-repository={repository}", *_ALWAYS]
    for each in _ASIDE:
        allowed = environment.get(f"SAGEMAKER_TRITON_ALLOW_{each.upper()}", "false")
        found.append(f"--allow-{each}={allowed}")
    found.append("--allow-http=false")
    for name, flag, otherwise in _FLAGS:
        value = environment.get(name) or otherwise
        if value is not None:
            found.append(flag.format(value))
    if not multi_model(environment):
        found.append(f"--load-model={default_model(environment, repository)}")
    return [*found, *shlex.split(environment.get(ADDITIONAL, ""))]


def default_model(environment: Mapping[str, str], repository: Path) -> str:
    """The model that requests go to."""
    if (repository / "config.pbtxt").is_file():
        hint = "pack the folder above the model's: one folder a model, each with its config.pbtxt"
        raise _ended(
            "Incorrect directory structure. Model directory needs to contain the top level folder",
            hint,
        )
    given = environment.get(DEFAULT)
    if given:
        if not (repository / given).is_dir():
            raise _ended(f"Directory with provided {DEFAULT} {given} does not exist")
        return given
    folders = sorted(each.name for each in repository.iterdir() if each.is_dir())
    if not folders:
        raise _ended("No model found in model repository")
    if len(folders) > 1:
        hint = f"set {DEFAULT} to one of: {', '.join(folders)}"
        raise _ended("More than 1 model directory found in model repository", hint)
    return folders[0]


def _ended(words: str, hint: str | None = None) -> InputError:
    return InputError([Problem("E644", f"the container would end: {words}", hint=hint)])
