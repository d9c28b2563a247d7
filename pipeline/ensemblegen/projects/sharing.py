"""Members that the variants of a template have in common, as one model.

before  the Plans of a template, each with models of its own
after   the same Plans, steps that come out the same in several variants running one model

A process for each variant of a step that never changes would be a server full of equal processes.
A step is shared by the variants that agree in some axes, if it is the same in all of those; its
model is called after the template, with the values of these axes. What the author named is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ensemblegen.compile import Checked
from ensemblegen.emit import identity
from ensemblegen.members import Member
from ensemblegen.plan import Plan
from ensemblegen.projects import matrix
from ensemblegen.source import Axes


def share(variants: Sequence[tuple[Checked, Plan]]) -> tuple[Plan, ...]:
    """The plans of one template's variants, with what they share."""
    # What calls other models by their names is compared once these have their final ones.
    for calls in (False, True):
        plans = _shared(variants, calls=calls)
        variants = [(checked, plan) for (checked, _), plan in zip(variants, plans, strict=True)]
    return tuple(plan for _, plan in variants)


def _shared(variants: Sequence[tuple[Checked, Plan]], *, calls: bool) -> tuple[Plan, ...]:
    """With what they share of the members that do, or do not, call other models."""
    renamed: list[dict[str, Member]] = [{} for _ in variants]
    members = (member for _, plan in variants for member in plan.members)
    for step in dict.fromkeys(
        each.step for each in members if bool(each.kind.calls(each)) is calls
    ):
        for group in _groups(variants, step):
            if len(group) < 2:
                continue
            axes = _common(variants, group)
            if axes is not None:
                _put(variants, group, axes, renamed)
    return tuple(_with(plan, members) for (_, plan), members in zip(variants, renamed, strict=True))


def _groups(variants: Sequence[tuple[Checked, Plan]], step: str) -> list[list[tuple[int, Member]]]:
    """The variants in which the model of `step` is the same, each with its member."""
    groups: dict[bytes, list[tuple[int, Member]]] = {}
    for number, (checked, plan) in enumerate(variants):
        for member in plan.members:
            if member.step == step and not _is_named(checked, member):
                groups.setdefault(identity.of(plan, member).key, []).append((number, member))
    return list(groups.values())


def _is_named(checked: Checked, member: Member) -> bool:
    """Whether the author named the model."""
    steps = checked.pipeline.steps.values()
    given = [step.model for step in steps] + [step.bls.model for step in steps if step.bls]
    return member.model in given


def _common(
    variants: Sequence[tuple[Checked, Plan]], group: Sequence[tuple[int, Member]]
) -> Axes | None:
    """The axes that say which variants the group holds; None if none do."""
    numbers = [number for number, _ in group]
    first = variants[numbers[0]][1].variant
    axes = {
        name: value
        for name, value in first.items()
        if all(variants[number][1].variant[name] == value for number in numbers)
    }
    agree = [
        number
        for number, (_, plan) in enumerate(variants)
        if all(plan.variant[name] == value for name, value in axes.items())
    ]
    return axes if agree == numbers else None


def _put(
    variants: Sequence[tuple[Checked, Plan]],
    group: Sequence[tuple[int, Member]],
    axes: Axes,
    renamed: Sequence[dict[str, Member]],
) -> None:
    number, first = group[0]
    checked, plan = variants[number]
    pipeline = matrix.common_name(checked.graph.document, axes)
    # Models are called after their pipeline; those that stand for several steps, after its model.
    own = checked.graph.name if first.model.startswith(f"{checked.graph.name}_") else plan.name
    model = f"{pipeline}_{first.model.removeprefix(f'{own}_')}"
    shared = replace(first.kind.asked_by(first, pipeline), model=model)
    for each, member in group:
        renamed[each][member.model] = shared


def _with(plan: Plan, members: Mapping[str, Member]) -> Plan:
    """`plan` with models by their former names replaced."""
    if not members:
        return plan
    names = {name: member.model for name, member in members.items()}
    return replace(
        plan,
        members=tuple(
            members.get(each.model) or each.kind.calling(each, names) for each in plan.members
        ),
        wiring=tuple(
            replace(each, model=names.get(each.model, each.model)) for each in plan.wiring
        ),
    )
