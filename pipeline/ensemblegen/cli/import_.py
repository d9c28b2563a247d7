"""`ensemblegen import`.

`--format json` is one value:

    ok          whether the exit code is 0
    repository  the path of what was imported
    pipelines   [{path, ensemble, steps, models}], those that were written; models are the names of
                what goes along because a member calls it.
                steps: [{name, model, kind, config}]; config are the fields that have no word
    equal       the names of the models whose compiled configs are what their originals are
    problems    [{code, severity, title, message, path, line, column, end_column, hint, fixable}]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import release
from ensemblegen.cli.render import (
    Format,
    console,
    near,
    print_json,
    print_problems,
    problem_json,
    visible,
)

if TYPE_CHECKING:
    from ensemblegen.importing.pipelines import Pipeline
    from ensemblegen.importing.run import Imported, Options


def import_(
    repository: Annotated[
        Path, typer.Argument(help="The model repository, or the folder of one ensemble in it.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder that the pipelines go into.")
    ] = Path(),
    ensemble: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one, with those inside it.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the models' folders to DIR/models.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Take along the models that are in no ensemble.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    target: Annotated[
        str | None,
        typer.Option(metavar="YY.MM", help="The Triton release that they are for."),
    ] = None,
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Turn a model repository that someone wrote by hand into pipelines.

    One ensemble becomes pipeline.yaml; of several, each becomes ENSEMBLE.yaml. Each is compiled
    and its configs compared with the originals; what cannot be carried is reported, and an
    ensemble that would lose something is not written.

    Example: ensemblegen import model_repository -o pipelines
    """
    from ensemblegen.importing.run import Options, run

    options = Options(output, ensemble, copy, every, force, release.target(target))
    done = run(repository, options)
    failed = any(each.severity == "error" for each in done.problems)
    if format is Format.json:
        print_json(_json(done, options, ok=not failed))
    else:
        print_problems(done.problems)
        _show(done, options)
    if failed:
        raise typer.Exit(1)


def _show(done: Imported, options: Options) -> None:
    from ensemblegen.importing.run import where

    out = console()
    for each in done.pipelines:
        place = visible(near(str(options.output / each.file)))
        out.print(f"{place}: ensemble '{visible(each.name)}'", markup=False)
        rows = [_row(*step) for step in each.steps(where(options))]
        rows += [(model.name, "called", where(options)(model), "") for model in each.models]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True))
            out.print(visible(f"  {'  '.join(cells)}".rstrip()), markup=False)
    if done.pipelines:
        configs = f"{len(done.equal)} config{'' if len(done.equal) == 1 else 's'}"
        out.print(f"compiled again, {configs} equal the originals", markup=False)


def _row(name: str, data: dict[str, Any]) -> tuple[str, str, str, str]:
    kind = next(word for word in ("reuse", "ensemble", "backend") if word in data)
    config = ", ".join(data.get("config", ()))
    if kind == "backend":
        return name, data["backend"] or "-", data["folder"], config and f"config: {config}"
    return name, kind, data[kind], ""


def _json(done: Imported, options: Options, *, ok: bool) -> dict[str, Any]:
    return {
        "ok": ok,
        "repository": str(done.repository.path),
        "pipelines": [_pipeline(each, options) for each in done.pipelines],
        "equal": sorted(done.equal),
        "problems": [problem_json(each) for each in done.problems],
    }


def _pipeline(each: Pipeline, options: Options) -> dict[str, Any]:
    from ensemblegen.importing.run import where

    steps = zip(each.steps(where(options)), each.ensemble.steps, strict=True)
    return {
        "path": str(options.output / each.file),
        "ensemble": each.name,
        "steps": [
            {
                "name": name,
                "model": step.name,
                "kind": next(word for word in ("reuse", "ensemble", "backend") if word in data),
                "config": list(data.get("config", ())),
            }
            for (name, data), step in steps
        ],
        "models": [model.name for model in each.models],
    }
