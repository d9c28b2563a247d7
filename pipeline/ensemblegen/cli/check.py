"""`ensemblegen check`.

`--format json` is one value:

    ok        whether the exit code is 0
    checked   [{path, kind, steps, variants, models, ensembles}]; kind is pipeline, config, model,
              repository or repositories; steps is null unless the form of a pipeline is right;
              variants is how many pipelines a template makes, 0 for what is none
    counts    {error, warning, info, fixable}
    problems  [{code, severity, title, message, path, line, column, end_column, hint, fixable}]
    changes   [{path, created, applied, diff}]; what --fix did or --diff would do, else empty
    refused   why some fixes are left to the user, a sentence each
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli import release
from ensemblegen.cli.render import draw_problems, json_text, print_json, problem_json, visible

if TYPE_CHECKING:
    from ensemblegen.errors import Problem
    from ensemblegen.fixes import Change, Plan
    from ensemblegen.targets import Target
    from ensemblegen.verdict import Checked, Choice, Verdict


class Form(str, Enum):
    """For people, or for the machines that read problems."""

    human = "human"
    json = "json"
    sarif = "sarif"
    github = "github"


class Lowest(str, Enum):
    """The severities, as an option has them."""

    error = "error"
    warning = "warning"
    info = "info"


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="pipeline.yaml, config.pbtxt, a model, a repository, or a folder above some.",
        ),
    ],
    target: Annotated[
        str | None, typer.Option(metavar="YY.MM", help="The Triton release of repositories.")
    ] = None,
    format: Annotated[Form, typer.Option(help="For people or machines.")] = Form.human,
    fix: Annotated[bool, typer.Option("--fix", help="Show what can be mended, mend it.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change.")] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE,...", help="Only these; E3 stands for all that begin so."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODE,...", help="All but these.")
    ] = None,
    severity: Annotated[Lowest, typer.Option(help="The lowest to show.")] = Lowest.info,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
) -> None:
    """Find what is wrong with a pipeline.yaml or a model repository, at its line and column.

    The exit code is 1 if an error remains. `ensemblegen explain CODE` says more of one.

    Example: ensemblegen check model_repository
    """
    from ensemblegen.verdict import Choice

    if fix and diff:
        raise typer.BadParameter("--fix and --diff exclude each other")
    choice = Choice(_codes(select, "--select"), _codes(ignore, "--ignore"), severity.value)
    asked = release.target(target)
    run = _Run(tuple(paths), asked, choice, strict=strict, loud=format is Form.human)
    done = run.mend() if fix else run.foresee() if diff else run.look()
    _PRINTERS[format](done)
    if not done.ok:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Done:
    """What is left, and what was changed or would be."""

    verdict: Verdict
    ok: bool
    changes: tuple[Change, ...] = ()
    fixed: int = 0
    refused: tuple[str, ...] = ()
    applied: bool = False


_ROUNDS = 8
"""Fixes that touch each other are applied one after the other, in as many rounds at most."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of the command."""

    paths: tuple[Path, ...]
    target: Target | None
    choice: Choice
    strict: bool
    loud: bool

    def look(self) -> _Done:
        verdict = self._verdict()
        return _Done(verdict, self._ok(verdict))

    def foresee(self) -> _Done:
        """Show what the first round of `mend` would do."""
        planned, verdict = self._plan(frozenset())
        self._show(planned.changes)
        return _Done(verdict, self._ok(verdict), planned.changes, refused=planned.refused)

    def mend(self) -> _Done:
        """Show and apply fixes until none is left. No problem is mended twice."""
        from ensemblegen import fixes

        changes: list[Change] = []
        fixed: list[Problem] = []
        refused: tuple[str, ...] = ()
        for _ in range(_ROUNDS):
            planned, verdict = self._plan(frozenset(map(_identity, fixed)))
            refused = planned.refused
            if not planned.changes:
                break
            self._show(planned.changes)
            fixes.write(planned.changes)
            changes += planned.changes
            fixed += planned.fixed
        else:
            verdict = self._verdict()
        return _Done(verdict, self._ok(verdict), tuple(changes), len(fixed), refused, applied=True)

    def _plan(self, mended: frozenset[tuple[str, ...]]) -> tuple[Plan, Verdict]:
        from ensemblegen import fixes

        verdict = self._verdict()
        if not verdict.fixable:
            return fixes.Plan(), verdict
        contents = fixes.read(verdict.problems)
        # The second look is the one that counts: its files are no older than `contents`.
        verdict = self._verdict()
        open_ = [each for each in verdict.problems if _identity(each) not in mended]
        return fixes.plan(open_, contents, self.paths), verdict

    def _verdict(self) -> Verdict:
        from ensemblegen import verdict

        return self.choice.of(verdict.join(verdict.reach(path, self.target) for path in self.paths))

    def _ok(self, verdict: Verdict) -> bool:
        return not (verdict.count("error") or (self.strict and verdict.count("warning")))

    def _show(self, changes: Sequence[Change]) -> None:
        if self.loud:
            for change in changes:
                rows = change.diff().removesuffix("\n").split("\n")
                sys.stdout.writelines(f"{visible(row)}\n" for row in rows)


def _identity(problem: Problem) -> tuple[str, ...]:
    """What stays of a problem when lines move."""
    return problem.code, problem.message, problem.span.path if problem.span else ""


def _human(done: _Done) -> None:
    verdict = done.verdict
    # What was changed comes before what is left, also where both go into one pipe.
    sys.stdout.flush()
    draw_problems(sorted(verdict.problems, key=lambda each: each.severity == "info"))
    for sentence in done.refused:
        print(visible(sentence))
    checked = [f"{visible(each.path)}: {_size(each)}" for each in verdict.checked]
    if len(checked) > 1:
        print("\n".join(checked))
        checked = [f"{len(checked)} checked"]
    print(": ".join([*checked, _counts(done)]))
    if errors := [each.code for each in verdict.problems if each.severity == "error"]:
        print(f"`ensemblegen explain {errors[0]}` says more of that error")


def _size(checked: Checked) -> str:
    if checked.kind == "pipeline":
        if checked.steps is None:
            return "not readable"
        steps = _count(checked.steps, "step")
        return f"{_count(checked.variants, 'pipeline')} of {steps}" if checked.variants else steps
    models = _count(checked.models, "model")
    return f"{models}, {_count(checked.ensembles, 'ensemble')}" if checked.ensembles else models


def _counts(done: _Done) -> str:
    verdict = done.verdict
    errors, warnings, infos = (verdict.count(each) for each in ("error", "warning", "info"))
    words = [_count(errors, "error") if errors else "no errors"]
    words += [_count(warnings, "warning")] if warnings else []
    words += [_count(infos, "note")] if infos else []
    if done.applied:
        words.append(f"{done.fixed} fixed")
    elif verdict.fixable:
        words.append(f"{verdict.fixable} can be fixed with --fix")
    return ", ".join(words)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


_CHECKED = ("path", "kind", "steps", "variants", "models", "ensembles")


def _json(done: _Done) -> None:
    verdict = done.verdict
    counts = {word: verdict.count(word) for word in ("error", "warning", "info")}
    value: dict[str, Any] = {
        "ok": done.ok,
        "checked": [{name: getattr(each, name) for name in _CHECKED} for each in verdict.checked],
        "counts": {**counts, "fixable": verdict.fixable},
        "problems": [problem_json(each) for each in verdict.problems],
        "changes": [
            {
                "path": each.path,
                "created": each.before is None,
                "applied": done.applied,
                "diff": each.diff(),
            }
            for each in done.changes
        ],
        "refused": list(done.refused),
    }
    print_json(value)


def _sarif(done: _Done) -> None:
    from ensemblegen.cli import sarif

    print(json_text(sarif.log(done.verdict.problems)))


def _github(done: _Done) -> None:
    from ensemblegen.cli import annotations

    for problem in done.verdict.problems:
        print(annotations.line(problem))


_PRINTERS = {Form.human: _human, Form.json: _json, Form.sarif: _sarif, Form.github: _github}


def _codes(wanted: list[str] | None, option: str) -> tuple[str, ...]:
    from ensemblegen.codes import CODES

    words = [word.strip().upper() for each in wanted or () for word in each.split(",")]
    for word in words:
        if not word or not any(code.startswith(word) for code in CODES):
            raise typer.BadParameter(
                f"no code begins with '{word}'; `ensemblegen explain` lists them",
                param_hint=option,
            )
    return tuple(words)
