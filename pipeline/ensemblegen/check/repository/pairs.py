"""Do `backend` and `platform` name what runs the model? (core model_config_utils.cc)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ensemblegen.errors import Edit, Fix, Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository.model import MODEL_FILES, PLATFORM_BACKENDS, Model, Repository

_PLATFORMS = {
    "pytorch": ("pytorch_libtorch", "torch_aoti"),
    "onnxruntime": ("onnxruntime_onnx",),
    "tensorrt": ("tensorrt_plan",),
    "tensorflow": ("tensorflow_savedmodel", "tensorflow_graphdef"),
}
"""Backends for which core compares the platform; others may say anything."""
_OTHERS = frozenset({"python", "openvino", "fil", "dali", "vllm", "tensorrtllm", "identity"})
_GONE = {
    "custom": 'it is of TensorRT Inference Server 1.x: write backend: "..." with the name of yours',
    "caffe2_netdef": "Triton has no backend for Caffe2 any more: convert the model to ONNX",
}
_ALONE = PLATFORM_BACKENDS.keys() | {"ensemble", "torch_aoti"}
_WEIGHTS = frozenset({".dali", ".model", ".onnx", ".plan", ".pt", ".pth", ".py", ".tl", ".xml"})


def pairs(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or config.broken or model.is_ensemble:
        return
    message = config.message
    if not (config.knows("backend") and config.knows("platform")):
        return
    if message.platform and not message.backend:
        if message.platform not in _ALONE:
            yield _unknown_platform(model, config)
    elif message.backend in PLATFORM_BACKENDS:
        yield _platform_as_backend(model, config)
    elif message.platform:
        yield from _mismatch(model, config)
    elif not message.backend:
        yield from _neither(model, config)


def _unknown_platform(model: Model, config: Config) -> Problem:
    platform = config.message.platform
    text = f"'{model.name}' has the platform '{platform}', which Triton does not know"
    if platform in _GONE:
        return Problem("E433", text, config.span(("platform",)), _GONE[platform])
    if platform not in _PLATFORMS and platform not in _OTHERS:
        return Problem("E433", text, config.span(("platform",)), "name its backend instead")
    hint = f'write backend: "{platform}"'
    edit = Edit(config.key_span(("platform",)), "backend")
    return Problem("E433", text, config.span(("platform",)), hint, Fix(hint, (edit,)))


def _platform_as_backend(model: Model, config: Config) -> Problem:
    backend, platform = config.message.backend, config.message.platform
    text = f"'{model.name}' has the backend '{backend}', which is the name of a platform"
    if platform:
        right = PLATFORM_BACKENDS[backend]
        edit = Edit(config.span(("backend",)), f'"{right}"')
        hint = f'write backend: "{right}"'
    else:
        edit = Edit(config.key_span(("backend",)), "platform")
        hint = f'write platform: "{backend}"'
    return Problem("E433", text, config.span(("backend",)), hint, Fix(hint, (edit,)))


def _mismatch(model: Model, config: Config) -> Iterator[Problem]:
    message = config.message
    right = _PLATFORMS.get(message.backend)
    if right is None or message.platform in right:
        return
    text = f"'{model.name}' has the backend '{message.backend}' and the platform "
    text += f"'{message.platform}'"
    fix = None
    hint = f"its platform is {' or '.join(right)}"
    if message.platform == message.backend and message.backend != "tensorflow":
        hint = f'write platform: "{right[0]}", or leave it out'
        fix = Fix(hint, (Edit(config.span(("platform",)), f'"{right[0]}"'),))
    yield Problem("E433", text, config.span(("platform",)), hint, fix)


def _neither(model: Model, config: Config) -> Iterator[Problem]:
    """Triton then goes by the model's file, or by what follows a dot in its name."""
    name = config.message.default_model_filename
    if "." in model.name or name in MODEL_FILES or not config.knows("default_model_filename"):
        return
    found = set().union(*model.version_files.values()) if model.version_files else set()
    if not name and not found.isdisjoint(MODEL_FILES):
        return
    text = f"'{model.name}' names neither backend nor platform"
    span = config.key_span(("name",)) if config.message.name else config.span(())
    weights = sorted(each for each in found if Path(each).suffix in _WEIGHTS)
    if name or weights:
        text += f", and Triton cannot tell them by {name or weights[0]}"
        yield Problem("E440", text, span, 'add the backend: backend: "python", say')
    else:
        text += ": Triton goes by the name of the model's file"
        yield Problem("E434", text, span, 'say it: backend: "python", for instance')
