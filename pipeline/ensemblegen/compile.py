"""The compiler as a table of contents: each stage is a function from one type to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ensemblegen import graph, placement, plan, source, spec
from ensemblegen.check import pipeline as check
from ensemblegen.errors import InputError, Problem
from ensemblegen.graph import Graph
from ensemblegen.members import KINDS
from ensemblegen.placement import Choice, Placement
from ensemblegen.plan import Plan
from ensemblegen.spec import PipelineSpec

FROM_FILE = Choice()


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline that was read to the end, with whatever is wrong with it."""

    pipeline: PipelineSpec
    graph: Graph
    placement: Placement | None
    problems: tuple[Problem, ...]


def examine(path: Path, choice: Choice = FROM_FILE) -> Checked:
    """Read and check `path`; raises InputError only where the file's form is not right."""
    document = source.load(path)
    pipeline = spec.parse(document, {word: kind.spec for word, kind in KINDS.items()})
    built, problems = graph.build(document, pipeline)
    problems += check.run(built)
    placed, placement_problems = placement.resolve(pipeline, built, choice)
    return Checked(pipeline, built, placed, _in_order([*problems, *placement_problems]))


def make_plan(path: Path, choice: Choice = FROM_FILE) -> Plan:
    """From pipeline.yaml to the plan. Raises InputError with every problem of the last stage."""
    checked = examine(path, choice)
    if any(problem.severity == "error" for problem in checked.problems):
        raise InputError(checked.problems)
    assert checked.placement is not None, "checked"  # noqa: S101
    return plan.make(checked.graph, checked.pipeline, checked.placement, checked.problems)


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    def place(problem: Problem) -> tuple[bool, str, int, int]:
        span = problem.span
        if span is None:
            return True, "", 0, 0
        return False, span.path, span.line, span.column

    return tuple(sorted(dict.fromkeys(problems), key=place))
