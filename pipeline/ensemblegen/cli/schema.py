"""`ensemblegen schema`."""

from __future__ import annotations

from ensemblegen.cli.render import print_json


def schema() -> None:
    """Print the JSON Schema of pipeline.yaml, for editors.

    Example: ensemblegen schema > pipeline.schema.json
    """
    from ensemblegen.members import SPECS
    from ensemblegen.schema import json_schema

    print_json(json_schema(SPECS))
