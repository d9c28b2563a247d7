"""What `ensemblegen compile` says of what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen.cli.render import console, problem_json, visible

if TYPE_CHECKING:
    from ensemblegen.emit.write import Changes
    from ensemblegen.errors import Problem
    from ensemblegen.plan import Plan, Project
    from ensemblegen.traffic.edges import Traffic

_SHOWN = 8
"""Of longer lists, the number is said."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was compiled, where to, and what that changed or would change."""

    project: Project
    traffic: tuple[Traffic, ...]
    """Of each pipeline."""
    target: Path
    changes: Changes
    warnings: tuple[Problem, ...]


def as_json(done: Done, stale: tuple[Problem, ...]) -> dict[str, Any]:
    """One pipeline stands at the top, several in a list."""
    pipelines = [
        _pipeline_json(plan, traffic)
        for plan, traffic in zip(done.project.pipelines, done.traffic, strict=True)
    ]
    head: Mapping[str, Any] = {"pipelines": pipelines}
    if len(pipelines) == 1:
        head = pipelines[0]
    return {
        "ok": not stale,
        **head,
        "repository": str(done.target),
        "added": list(done.changes.added),
        "changed": list(done.changes.changed),
        "removed": list(done.changes.removed),
        "unchanged": len(done.changes.unchanged),
        "problems": [problem_json(each) for each in (*done.warnings, *stale)],
    }


def _pipeline_json(plan: Plan, traffic: Traffic) -> dict[str, Any]:
    from ensemblegen.cli import plans
    from ensemblegen.cli.traffic import summary_json

    return {
        "pipeline": plan.name,
        "source": plan.source,
        "variant": dict(plan.variant),
        "device": plan.device,
        "fused": [list(steps) for steps in fused(plan).values()],
        "bls": [
            {"model": model, "calls": list(calls), "why": why}
            for model, (calls, why) in bls(plan).items()
        ],
        "plans": plans.rows_json(plan),
        "edges": summary_json(traffic),
    }


def fused(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The steps of each model that has several."""
    from ensemblegen.members.fused import steps_of

    return {
        member.model: steps
        for each in plan.all()
        for member in each.members
        if len(steps := steps_of(member)) > 1
    }


def bls(plan: Plan) -> dict[str, tuple[tuple[str, ...], str]]:
    """Of each model that calls others, which these are and why."""
    from ensemblegen.members.bls import calls_of, why

    return {
        member.model: (tuple(call.model for call in calls), why(member))
        for each in plan.all()
        for member in each.members
        if (calls := calls_of(member))
    }


def show(done: Done, *, written: bool) -> None:
    """For people: the files, where they are not written; then what it is that was compiled."""
    out = console()
    changes = done.changes
    marks = (("+", "green", changes.added), ("~", "yellow", changes.changed),
             ("-", "red", changes.removed))  # fmt: skip
    for mark, colour, paths in marks if not written else ():
        for path in paths:
            if out.is_terminal:
                out.print(f"{mark} {visible(path)}", style=colour, markup=False)
            else:  # many times faster: there may be tens of thousands
                print(f"{mark} {visible(path)}")
    verb = "compiled" if written else "would compile"
    plans = done.project.pipelines
    for row in _one(done, verb) if len(plans) == 1 else _several(done, verb):
        out.print(row, markup=False)


def _counts(changes: Changes) -> str:
    return ", ".join(
        f"{len(paths)} {word}"
        for word, paths in (("added", changes.added), ("changed", changes.changed),
                            ("removed", changes.removed), ("unchanged", changes.unchanged))
        if paths
    )  # fmt: skip


def _one(done: Done, verb: str) -> Iterator[str]:
    from ensemblegen.cli.traffic import summary

    plan = done.project.pipelines[0]
    steps = ", ".join(f"{step} {device}" for step, device in plan.devices.items())
    if len(plan.devices) > _SHOWN:
        steps = f"{len(plan.devices)} steps"
    yield f"{verb} {plan.name} for {plan.device} into {done.target}"
    yield f"  files   {_counts(done.changes)}"
    yield f"  steps   {steps}"
    yield from _rows(plan, done.target)
    first, *rows = summary(done.traffic[0])
    yield f"  edges   {first}"
    for row in rows:
        yield f"  {row}"


def _rows(plan: Plan, target: Path) -> Iterator[str]:
    """What became of its steps, where that is not a model each."""
    from ensemblegen.cli import plans

    for model, joined in fused(plan).items():
        yield f"  fused   {', '.join(joined)} in {model}"
    for model, (calls, why) in bls(plan).items():
        yield f"  bls     {model} calls {', '.join(calls)}: {why}"
    for row in plans.rows(plan, target):
        yield f"  plan    {row}"


def _several(done: Done, verb: str) -> Iterator[str]:
    """A line for each file, with the pipelines that it makes."""
    pipelines = done.project.pipelines
    devices = list(dict.fromkeys(plan.device for plan in pipelines))
    where = devices[0] if len(devices) == 1 else "several devices"
    yield f"{verb} {len(pipelines)} pipelines for {where} into {done.target}"
    yield f"  files   {_counts(done.changes)}"
    users = Counter(
        model
        for plan in pipelines
        for model in {member.model for each in plan.all() for member in each.members}
    )
    shared = sum(count > 1 for count in users.values())
    several = f", {shared} of them of several pipelines" if shared else ""
    yield f"  models  {len(users)}{several}"
    edges = [edge for each in done.traffic for edge in each.edges]
    crossing = sum(edge.crosses_device is True for edge in edges)
    yield f"  edges   {len(edges)}, {crossing or 'none'} between host and GPU"
    for plan in pipelines[:_SHOWN]:
        yield from _rows(plan, done.target)
    for source in dict.fromkeys(plan.source for plan in pipelines):
        made = [plan for plan in pipelines if plan.source == source]
        names = ", ".join(plan.name for plan in made[:_SHOWN])
        more = f" and {len(made) - _SHOWN} more" if len(made) > _SHOWN else ""
        yield f"  {source}: {names}{more}"
