"""Steps whose network is exported from transformers or a torch.nn.Module, in a backend's format.

A kind that takes such steps has a field of `NetworkWord`, calls `export` with its format, and asks
`input_types` and `output_types` for the types that the export found.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from ensemblegen.content import Linked
from ensemblegen.converters.source import NetworkSource
from ensemblegen.members import converted
from ensemblegen.members.kind import Site
from ensemblegen.spec import StepSpec, TensorSpec
from ensemblegen.types import ANY, DType, Shape, Tensor, compatible

Format = Literal["torchscript", "onnx"]
Facts = Mapping[str, Any]


def export(
    source: NetworkSource, step: StepSpec, site: Site, form: Format, result: str
) -> tuple[Linked, Facts] | None:
    """The file `result` in the format `form`; None after reporting why there is none."""
    options: dict[str, Any] = {"format": form, "outputs": list(step.outputs)}
    files: tuple[pathlib.Path, ...] | None
    if source.word == "transformers":
        names = [{"name": name} for name in step.inputs]
        words = ("revision", "task", "dtype", "max_length")
        options.update({word: getattr(source, word) for word in words}, inputs=names)
        files = _folder(source, site)
    else:
        given = _module_options(source, step, site, form)
        if given is None:
            return None
        options.update(given)
        files = _weights(source, site)
        if files is None:
            return None
    return converted.convert(source, site, result, options, files)


def input_types(site: Site, facts: Facts) -> dict[str, Tensor]:
    """What the model takes, by the names of the step's inputs."""
    return {each["name"]: _tensor(each, site) for each in facts["inputs"]}


def output_types(step: StepSpec, site: Site, facts: Facts) -> dict[str, Tensor]:
    """What the model gives, by the names of the step or, without any, by the model's own."""
    found = [(each["name"], _tensor(each, site)) for each in facts["outputs"]]
    if not step.outputs:
        return dict(found)
    for (name, declared), (_, given) in zip(step.outputs.items(), found):  # noqa: B905
        wanted = Tensor(declared.dtype, tuple(declared.shape))
        if wanted.dtype is not given.dtype or not compatible(wanted.shape, given.shape):
            message = f"the model gives {given} for '{name}', not {wanted}"
            hint = "leave `outputs` out: they are known"
            site.problem("E407", message, "outputs", name, hint=hint)
    return {name: Tensor(each.dtype, tuple(each.shape)) for name, each in step.outputs.items()}


def _tensor(described: Mapping[str, Any], site: Site) -> Tensor:
    """Sizes that are the model's own are the step's own until an edge joins them to others."""
    shape: Shape = tuple(
        f"{site.name}/{dim}" if isinstance(dim, str) else dim for dim in described["shape"]
    )
    return Tensor(DType(described["dtype"]), shape)


def _folder(source: NetworkSource, site: Site) -> tuple[pathlib.Path, ...]:
    """What decides the result; of a hub's model, its name and revision do."""
    folder = site.folder / source.place
    if not folder.is_dir():
        return ()
    found = (path for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(each for each in found if not _hidden(each.relative_to(folder))))


def _hidden(path: pathlib.Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _weights(source: NetworkSource, site: Site) -> tuple[pathlib.Path, ...] | None:
    code = converted.named_files(source, site)
    if source.weights is None or code is None:
        return code
    path = site.file(source.weights, converted.key(site), "weights")
    return None if path is None else (*code, path)


def _module_options(
    source: NetworkSource, step: StepSpec, site: Site, form: Format
) -> dict[str, Any] | None:
    before = len(site.problems)
    if form == "onnx" and source.method == "script":
        message = "ONNX is made by tracing: only TorchScript is compiled from code"
        site.key_problem("E112", message, converted.key(site), "method", hint="remove method")
    inputs = [_input(name, source, step, site) for name in step.inputs]
    size = step.max_batch_size
    if len(site.problems) > before:
        return None
    return {
        "inputs": inputs,
        "arguments": source.arguments,
        "weights": source.weights,
        "method": source.method,
        "batched": (site.pipeline.max_batch_size if size is None else size) > 0,
    }


def _input(name: str, source: NetworkSource, step: StepSpec, site: Site) -> dict[str, Any]:
    spec = source.example.get(name) or _declared(step.inputs[name].source or "", site)
    if spec is None:
        message = f"the type of '{name}' is not declared where it comes from"
        hint = f"add `example: {{{name}: {{dtype: fp32, shape: [4]}}}}` beside `module`"
        site.problem("E418", message, "inputs", name, hint=hint)
        return {}
    shape = [f"{name}_{i}" if dim == ANY else dim for i, dim in enumerate(spec.shape)]
    return {"name": name, "dtype": str(spec.dtype), "shape": shape}


def _declared(text: str, site: Site) -> TensorSpec | None:
    """The type of what feeds an input, as far as pipeline.yaml itself says it."""
    if text in site.pipeline.inputs:
        return site.pipeline.inputs[text]
    name, _, output = text.partition(".")
    step = site.pipeline.steps.get(name)
    return step.outputs.get(output) if step is not None else None
