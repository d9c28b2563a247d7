"""The JSON Schema of pipeline.yaml, for editors: made from the very models that read the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from ensemblegen.artifacts.step_source import Arrays, ArraysPerDevice
from ensemblegen.backends.onnxruntime import ACCELERATORS
from ensemblegen.branches.routing import TENSORS, Over
from ensemblegen.converters.source import ForestSource, NetworkSource
from ensemblegen.members.onnx import Accelerator, Accelerators
from ensemblegen.members.recipe import EngineSpec
from ensemblegen.members.tensorrt import PlanInput
from ensemblegen.members.threads import Threads
from ensemblegen.serving import DynamicBatching, Instances, Resource, Warmup
from ensemblegen.spec import OutputSpec, PerDevice, PipelineSpec, StepInput, StepSpec

# What a reader also accepts, beside the mapping that pydantic describes.
_SHORT_FORMS: dict[type, dict[str, Any]] = {
    StepInput: {"type": "string", "description": "step.output, or a pipeline input"},
    PlanInput: {"type": "string", "description": "step.output, or a pipeline input"},
    EngineSpec: {"type": "string", "minLength": 1, "description": "The path of a plan."},
    OutputSpec: {"type": "string", "description": "step.output, or a pipeline input"},
    Instances: {"type": "integer", "minimum": 1},
    DynamicBatching: {"type": "boolean"},
    Warmup: {
        "anyOf": [
            {"type": "boolean"},
            {"enum": list(get_args(Warmup.model_fields["data"].annotation))},
        ]
    },
    Resource: {"type": "integer", "minimum": 1},
    Over: TENSORS,
    PerDevice: {"type": "string", "minLength": 1},
    ArraysPerDevice: {"enum": list(get_args(Arrays))},
    ForestSource: {"type": "string", "minLength": 1},
    NetworkSource: {"type": "string", "minLength": 1},
    Threads: {"type": "integer", "minimum": 1},
    Accelerator: {"enum": list(ACCELERATORS)},
    Accelerators: {"$ref": "#/$defs/Accelerator"},
}


def json_schema(kinds: Mapping[str, type[StepSpec]]) -> dict[str, Any]:
    """The schema as plain data: draft 2020-12."""
    models: list[type[Any]] = [PipelineSpec, *kinds.values()]
    references, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    for model, short in _SHORT_FORMS.items():
        long = definitions.pop(model.__name__)
        definitions[f"{model.__name__}Mapping"] = long
        definitions[model.__name__] = {
            "anyOf": [short, {"$ref": f"#/$defs/{model.__name__}Mapping"}]
        }
    _allow_lists_of_assets(definitions)
    root: dict[str, Any] = definitions.pop(PipelineSpec.__name__)
    steps = [references[(model, "validation")] for model in kinds.values()]
    names = root["properties"]["steps"]["patternProperties"]
    root["properties"]["steps"]["patternProperties"] = {each: {"oneOf": steps} for each in names}
    _close({**definitions, PipelineSpec.__name__: root})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ensemblegen pipeline",
        **root,
        "$defs": definitions,
    }


def _close(node: Any) -> None:
    """Where names have a pattern, other names are mistakes."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for child in node.values():
            _close(child)
    elif isinstance(node, list):
        for child in node:
            _close(child)


def _allow_lists_of_assets(definitions: dict[str, Any]) -> None:
    names = TypeAdapter(list[str]).json_schema()
    for definition in definitions.values():
        assets = definition.get("properties", {}).get("assets")
        if assets is not None and assets.get("type") == "object":
            definition["properties"]["assets"] = {"anyOf": [names, assets]}
