"""The JSON Schema of pipeline.yaml, for editors: made from the very models that read the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from ensemblegen.spec import DynamicBatching, Instances, PipelineSpec, StepInput, StepSpec

# What a reader also accepts, beside the mapping that pydantic describes.
_SHORT_FORMS: dict[type, dict[str, Any]] = {
    StepInput: {"type": "string", "description": "step.output, or a pipeline input"},
    Instances: {"type": "integer", "minimum": 1},
    DynamicBatching: {"type": "boolean"},
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
    root["properties"]["steps"]["additionalProperties"] = {"oneOf": steps}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ensemblegen pipeline",
        **root,
        "$defs": definitions,
    }


def _allow_lists_of_assets(definitions: dict[str, Any]) -> None:
    names = TypeAdapter(list[str]).json_schema()
    for definition in definitions.values():
        assets = definition.get("properties", {}).get("assets")
        if assets is not None and assets.get("type") == "object":
            definition["properties"]["assets"] = {"anyOf": [names, assets]}
