"""A torch.nn.Module of the author's code, exported and compared with itself."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from . import authors, formats, samples
from .faults import Fault
from .named import named

_TOLERANCE = 1e-4


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the file; the types of its inputs and outputs, and the largest difference."""
    torch = authors.library("torch", "runs the model")
    label, script = request["label"], request["method"] == "script"
    torch.manual_seed(0)  # what the author leaves to chance is the same each time
    model = _module(torch, request)
    inputs = _in_order(model, request["inputs"]) if script else request["inputs"]
    names = [each["name"] for each in inputs]
    whole = model if script else named(model, names, _call(model, names, request))
    given = samples.of(inputs, batched=request["batched"])
    wanted = formats.expected(whole, given, label)
    outputs = request["outputs"] or [f"output{i}" for i in range(len(wanted[0]))]
    _require_outputs(outputs, len(wanted[0]), label)
    described = samples.outputs(outputs, given, wanted, label)
    run = formats.write(whole, given, described, request)
    worst = formats.compare(run, given, wanted, request, _TOLERANCE)
    return {
        "model": type(model).__name__,
        "inputs": request["inputs"],
        "outputs": described,
        "samples": len(given),
        "max_difference": worst,
    }


def _module(torch: Any, request: dict[str, Any]) -> Any:
    label = request["label"]
    found = authors.load(request)
    if not isinstance(found, torch.nn.Module) and callable(found):
        found = authors.called(found, label, request["arguments"])
    if not isinstance(found, torch.nn.Module):
        kind = f"{type(found).__module__}.{type(found).__name__}"
        hint = "name a torch.nn.Module, its class, or a function that gives one"
        raise Fault("file", f"{label} is no torch.nn.Module: it is a {kind}", hint)
    if request["weights"]:
        _load_weights(torch, found, request["weights"], label)
    return found.eval().requires_grad_(requires_grad=False)


def _load_weights(torch: Any, module: Any, path: str, label: str) -> None:
    """A state dict: tensors only, so that nothing of the file is run."""
    try:
        if path.endswith(".safetensors"):
            load_file = authors.library("safetensors.torch", "reads the weights").load_file
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except Fault:
        raise
    except Exception as error:  # noqa: BLE001 - torch's own words
        said = " ".join(str(error).split())
        raise Fault("file", f"{path} does not fit {label}: {said[:300]}") from None


def _in_order(model: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As forward has them, if it knows all their names: what is scripted keeps its arguments."""
    order = list(inspect.signature(model.forward).parameters)
    if not all(each["name"] in order for each in inputs):
        return inputs
    return sorted(inputs, key=lambda each: order.index(each["name"]))


def _call(model: Any, names: list[str], request: dict[str, Any]) -> Any:
    """By name where all inputs are arguments of forward, else in the order of the step."""
    arguments = inspect.signature(model.forward).parameters
    by_name = all(name in arguments for name in names)
    batched = request["batched"]

    def call(module: Any, *tensors: Any) -> Any:
        answer = module(**dict(zip(names, tensors))) if by_name else module(*tensors)  # noqa: B905
        return _with_axis(answer) if batched else answer

    return call


def _with_axis(answer: Any) -> Any:
    """One value a row gets an axis of its own, without which Triton's backend refuses it."""
    if isinstance(answer, tuple):
        return tuple(_with_axis(each) for each in answer)
    return answer.unsqueeze(-1) if getattr(answer, "ndim", 0) == 1 else answer


def _require_outputs(names: Sequence[str], count: int, label: str) -> None:
    if len(names) > count:
        tensors = f"{count} tensor{'s' * (count > 1)}"
        raise Fault("input", f"{label} gives {tensors}; the step declares {len(names)} outputs")
