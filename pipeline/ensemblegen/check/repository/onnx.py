"""Does a config fit its ONNX file, as Triton's onnxruntime backend compares the two?

All of it is compared when the model loads (onnxruntime.cc `ValidateInputs`, `ValidateOutputs`;
observed on 24.10). onnxruntime may know more of an output's shape than the file says, so only
sizes that the file fixes are judged there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ensemblegen.artifacts import onnx as artifact
from ensemblegen.artifacts.onnx import Graph, NotOnnxError, Tensor
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.check.repository.files import at_hand
from ensemblegen.check.repository.ports import all_named, dtype
from ensemblegen.errors import Problem, did_you_mean, nearest
from ensemblegen.repository.model import Model, Port, Repository
from ensemblegen.types import DType


def onnx(model: Model, _: Repository) -> Iterator[Problem]:
    if model.backend != "onnxruntime" or model.config is None:
        return
    yield from _optional(model)
    for shown, path in at_hand(model):
        graph = _read(path)
        if isinstance(graph, NotOnnxError):
            if graph.certain:
                span = model.config.span(("backend",) if model.message.backend else ("platform",))
                hint = "export the model again"
                yield Problem("E402", f"{shown} of '{model.name}' {graph}", span, hint)
        elif graph is not None:
            yield from _against(model, shown, graph)


def _read(path: Path) -> Graph | NotOnnxError | None:
    def look() -> Graph | NotOnnxError:
        try:
            return artifact.read(path)
        except NotOnnxError as error:
            return error

    try:
        return stamped(look, path)
    except OSError:
        return None


def _optional(model: Model) -> Iterator[Problem]:
    config = model.config
    if config is None or model.max_batch_size <= 0 or not config.knows("max_batch_size"):
        return
    for port in model.inputs.values():
        if port.optional and config.knows(*port.at, "optional"):
            message = f"input '{port.name}' of '{model.name}' is optional, which onnxruntime does "
            message += "not support in models that take batches"
            span = config.span((*port.at, "optional"))
            yield Problem("E457", message, span, "remove `optional`, or set max_batch_size to 0")


def _against(model: Model, shown: str, graph: Graph) -> Iterator[Problem]:
    odd = next((each for each in (*graph.inputs, *graph.outputs) if each.kind != "tensor"), None)
    if odd is not None and model.config is not None:
        message = f"'{odd.name}' in {shown} of '{model.name}' is a {odd.kind}; the backend takes "
        message += "models of tensors only"
        hint = "export it without: for scikit-learn, options={'zipmap': False}"
        yield Problem("E406", message, model.config.span(("backend",)), hint)
        return
    if model.message.HasField("sequence_batching") or model.message.batch_input:
        return
    inputs = {each.name: each for each in graph.inputs}
    outputs = {each.name: each for each in graph.outputs}
    missing = [name for name in inputs if name not in model.inputs]
    for port in model.inputs.values():
        if port.name not in graph.defaults:
            yield from _port(model, shown, port, inputs, missing)
    for port in model.outputs.values():
        yield from _port(model, shown, port, outputs, [])
    yield from _batches(model, shown, (*graph.inputs, *graph.outputs))
    yield from _missing(model, shown, missing)


def _port(
    model: Model, shown: str, port: Port, tensors: dict[str, Tensor], missing: list[str]
) -> Iterator[Problem]:
    config = model.config
    if config is None or not config.knows(*port.at, "name"):
        return
    tensor, side = tensors.get(port.name), str(port.at[0])
    if tensor is None:
        hint = did_you_mean(port.name, missing or tensors)
        meant = nearest(port.name, missing) or (missing[0] if missing else "")
        if meant in missing:
            missing.remove(meant)
        message = f"{shown} of '{model.name}' has no {side} '{port.name}'"
        yield Problem("E460", message, config.span((*port.at, "name")), hint)
        return
    given = None if port.open else dtype(port.data_type)
    if given and tensor.dtype and given is not tensor.dtype and DType.BF16 is not given:
        message = f"{side} '{port.name}' of '{model.name}' is {tensor.dtype.triton} in {shown}, "
        message += f"but {given.triton} in the config"
        hint = f"declare {tensor.dtype.triton}"
        yield Problem("E461", message, config.span((*port.at, "data_type")), hint)
    if not port.open and not model.completes and config.knows("max_batch_size"):
        yield from _dims(model, shown, port, tensor)


def _dims(model: Model, shown: str, port: Port, tensor: Tensor) -> Iterator[Problem]:
    config, shape = model.config, tensor.shape
    if config is None or not shape or not config.knows(*port.at):
        return
    if port.message.HasField("reshape"):
        field, dims = "reshape", tuple(port.message.reshape.shape)
    else:
        field, dims = "dims", port.dims
    batching = model.max_batch_size > 0
    if getattr(port.message, "allow_ragged_batch", False) or _gathered(model, port):
        return
    if batching and _fixed(shape[0]):
        return
    full = (-1, *dims) if batching else dims
    if not _fits(shape, full):
        message = (
            f"{port.at[0]} '{port.name}' of '{model.name}' is {_text(shape)} in {shown}, but "
            f"{_text(full)} by the config"
        )
        if batching:
            message += " (max_batch_size puts the batch axis first)"
        hint = f"declare dims: {list(_plain(shape[1:] if batching else shape))}"
        yield Problem("E462", message, config.span((*port.at, field)), hint)


def _batches(model: Model, shown: str, tensors: Iterable[Tensor]) -> Iterator[Problem]:
    """A size that is fixed where the batch axis should be, once a model."""
    config = model.config
    if config is None or not config.knows("max_batch_size") or model.max_batch_size <= 0:
        return
    ports = {**model.inputs, **model.outputs}
    for tensor in tensors:
        port = ports.get(tensor.name)
        if port is None or not tensor.shape or not _fixed(tensor.shape[0]):
            continue
        if _gathered(model, port) or getattr(port.message, "allow_ragged_batch", False):
            continue
        message = (
            f"{port.at[0]} '{port.name}' of '{model.name}' is {_text(tensor.shape)} in {shown}: "
            "its first size is fixed, so the model takes no batches"
        )
        hint = (
            "export it with a dynamic batch axis, or set max_batch_size to 0 and write all of "
            f"its sizes in dims, as {list(_plain(tensor.shape))}"
        )
        yield Problem("E467", message, config.span(("max_batch_size",)), hint)
        return


def _fixed(size: int | str) -> bool:
    return isinstance(size, int) and size > 0


def _gathered(model: Model, port: Port) -> bool:
    """Whether the server makes the output from a batch, so that it need not be the model's."""
    return any(port.name in each.target_name for each in model.message.batch_output)


def _fits(shape: tuple[int | str, ...], dims: tuple[int, ...]) -> bool:
    """Sizes that the file leaves open are not judged: onnxruntime may settle those of outputs."""
    if len(shape) != len(dims):
        return False
    return all(b == a for a, b in zip(shape, dims, strict=True) if isinstance(a, int) and a > 0)


def _missing(model: Model, shown: str, missing: list[str]) -> Iterator[Problem]:
    config = model.config
    if config is None or not missing or not model.inputs or not all_named(model, "input"):
        return
    message = (
        f"{shown} needs {', '.join(map(repr, missing))}, which '{model.name}' does not declare"
    )
    hint = "declare all inputs of the file; or none, then Triton reads them from it"
    yield Problem("E403", message, config.key_span(("input",)), hint)


def _plain(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)


def _text(shape: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
