"""`ensemblegen check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ensemblegen.cli.render import Format, console, print_json, print_problems, problem_json


def check(
    pipeline: Annotated[Path, typer.Argument(help="The pipeline.yaml.")],
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Find what is wrong with a pipeline.yaml, each at its line and column.

    Example: ensemblegen check pipeline.yaml
    """
    from ensemblegen.compile import examine
    from ensemblegen.errors import InputError

    checked = examine(pipeline)
    if any(problem.severity == "error" for problem in checked.problems):
        raise InputError(checked.problems)
    if format is Format.json:
        print_json({"ok": True, "problems": [problem_json(each) for each in checked.problems]})
        return
    print_problems(checked.problems)
    console().print(f"{pipeline}: {len(checked.graph.nodes)} steps, no errors")
