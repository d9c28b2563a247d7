"""Join adjacent Python steps into one model: one process, and no way through the server between.

before  a Plan, a model for each step
after   the same Plan with fewer models; what clients see is the same

Steps are joined whose models Triton would run alike: one environment, device (in every variant),
batching, queue, cache, warm-up and instance count. `auto` joins a step with the one step that all
of its outputs go to, if that takes nothing else that somebody computes: then nothing that could
run beside them, has to wait. `true` joins whatever is adjacent, and gives up parallel branches for
fewer hops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ensemblegen.members import Member, MemberTensor
from ensemblegen.members.fused import FUSED, Link
from ensemblegen.members.python import alike, fusible, packages
from ensemblegen.plan import Plan, Wiring
from ensemblegen.words import Place

_LONGEST = 120
"""Of a model's name, which names a folder."""


def fuse(plan: Plan, wanted: bool | None = None) -> Plan:
    """`plan` with its steps joined as the author, or `wanted`, says. Inner pipelines likewise."""
    plan = replace(plan, inner=tuple(fuse(each, wanted) for each in plan.inner))
    mode = plan.fuse if wanted is None else wanted
    if not mode or len(plan.members) < 2:
        return plan
    groups = _groups(_Graph.of(plan), eager=mode is True)
    for names in groups:
        plan = _joined(plan, names)
    return plan


@dataclass(frozen=True)
class _Graph:
    """The steps of a plan, which of them may be joined, and what feeds what."""

    plan: Plan
    members: Mapping[str, Member]
    feeds: Mapping[str, frozenset[str]]
    """The steps that take something of a step's."""

    @staticmethod
    def of(plan: Plan) -> _Graph:
        models = [wiring.model for wiring in plan.wiring]
        known = {member.step: member for member in plan.members}
        members = {
            wiring.step: known[wiring.step]
            for wiring in plan.wiring
            if wiring.step in known
            and models.count(wiring.model) == 1
            and fusible(known[wiring.step])
        }
        giver = {tensor: each.step for each in plan.wiring for tensor in each.outputs.values()}
        feeds: dict[str, set[str]] = {each.step: set() for each in plan.wiring}
        for each in plan.wiring:
            for tensor in each.inputs.values():
                if tensor in giver:
                    feeds[giver[tensor]].add(each.step)
        return _Graph(plan, members, {name: frozenset(each) for name, each in feeds.items()})

    def fit(self, names: Iterable[str]) -> bool:
        """Whether Triton would run their models alike."""
        members = [self.members[name] for name in names]
        if len({_kind_of(each, self.plan) for each in members}) > 1:
            return False
        found: dict[str, Any] = {}
        for member in members:
            for package, path in packages(member).items():
                if found.setdefault(package, path) != path:
                    return False
        return True

    def stays_a_graph(self, names: frozenset[str], group: Mapping[str, frozenset[str]]) -> bool:
        """Whether nothing that leaves `names` comes back into it, where each `group` that is joined
        already waits for all that its steps wait for.
        """
        outside = [after for name in names for after in self.feeds[name] if after not in names]
        seen: set[str] = set()
        while outside:
            here = outside.pop()
            if here in names:
                return False
            if here not in seen:
                together = group.get(here, frozenset([here]))
                seen |= together
                outside += [after for each in together for after in self.feeds[each] - together]
        return True

    def loses_nothing(self, names: frozenset[str]) -> bool:
        """Whether they are a chain: each but the last feeds the next alone, and gives clients
        nothing; each but the first takes from no step outside.
        """
        exported = {output.name for output in self.plan.outputs}
        wirings = {each.step: each for each in self.plan.wiring}
        takers = [name for name in names if self.feeds[name] & names]
        if any(len(self.feeds[name]) != 1 for name in takers) or len(takers) != len(names) - 1:
            return False
        if any(exported & set(wirings[name].outputs.values()) for name in takers):
            return False
        fed = {after for name in takers for after in self.feeds[name]}
        given = {tensor for name in names for tensor in wirings[name].outputs.values()}
        clients = {entry.name for entry in self.plan.inputs}
        return all(set(wirings[name].inputs.values()) <= given | clients for name in fed)


def _kind_of(member: Member, plan: Plan) -> tuple[Any, ...]:
    variants = [plan.devices, *plan.variants.values()]
    return (
        tuple(devices[member.step] for devices in variants),
        tuple(sorted(member.instances.items())),
        member.batching and member.batching.model_dump_json(),
        member.serving.model_dump_json(),
        member.max_batch_size,
        alike(member),
    )


def _groups(graph: _Graph, *, eager: bool) -> list[tuple[str, ...]]:
    """The groups to join, each in an order in which its steps can run."""
    group = {name: frozenset([name]) for name in graph.members}
    for name in graph.members:
        for after in sorted(graph.feeds[name]):
            if after not in group or group[after] is group[name]:
                continue
            both = group[name] | group[after]
            if not graph.fit(both) or not graph.stays_a_graph(both, group):
                continue
            if eager or graph.loses_nothing(both):
                group.update(dict.fromkeys(both, both))
    order = _order(graph)
    found = {each for each in group.values() if len(each) > 1}
    return sorted(tuple(name for name in order if name in each) for each in found)


def _order(graph: _Graph) -> list[str]:
    """All steps, each after those that feed it."""
    order: list[str] = []
    waiting = dict.fromkeys(graph.feeds, 0)
    for takers in graph.feeds.values():
        for name in takers:
            waiting[name] += 1
    ready = [name for name, count in waiting.items() if not count]
    while ready:
        name = ready.pop(0)
        order.append(name)
        for after in sorted(graph.feeds[name]):
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    return order


def _joined(plan: Plan, names: tuple[str, ...]) -> Plan:
    members = {member.step: member for member in plan.members if member.step in names}
    wirings = {each.step: each for each in plan.wiring if each.step in names}
    links = tuple(
        Link(members[name], dict(wirings[name].inputs), dict(wirings[name].outputs))
        for name in names
    )
    given = {tensor for link in links for tensor in link.gives.values()}
    wanted = {output.name for output in plan.outputs} | {
        tensor for each in plan.wiring if each.step not in names for tensor in each.inputs.values()
    }
    step = "+".join(names)
    member = replace(
        members[names[0]],
        step=step,
        model=_model(plan, names),
        kind=FUSED,
        inputs=tuple(_inputs(links, given)),
        outputs=tuple(_outputs(links, wanted)),
        artifact=links,
    )
    inputs = {each.name: each.name for each in member.inputs}
    outputs = {each.name: each.name for each in member.outputs}
    return replace(
        plan,
        members=_replaced(plan.members, names, member),
        wiring=_replaced(plan.wiring, names, Wiring(step, member.model, -1, inputs, outputs)),
        devices=_renamed(plan.devices, names, step),
        variants={key: _renamed(each, names, step) for key, each in plan.variants.items()},
    )


def _model(plan: Plan, names: tuple[str, ...]) -> str:
    """`pipeline_first_to_last`, unless that is taken."""
    name = f"{plan.name}_{names[0]}_to_{names[-1]}"[:_LONGEST]
    taken = {member.model for each in plan.all() for member in each.members} | {plan.name}
    while name in taken:
        name += "_"
    return name


def _inputs(links: tuple[Link, ...], given: set[str]) -> list[MemberTensor]:
    """What comes from outside, once each. It may be absent where no step insists on it."""
    found: dict[str, MemberTensor] = {}
    for link in links:
        for each in link.member.inputs:
            key = link.sources.get(each.triton)
            if key is None or key in given:
                continue
            known = found.get(key)
            optional = each.optional and (known is None or known.optional)
            pad = each.pad if known is None or known.pad is None else known.pad
            found[key] = replace(each, name=key, triton=key, optional=optional, pad=pad)
    return list(found.values())


def _outputs(links: tuple[Link, ...], wanted: set[str]) -> list[MemberTensor]:
    return [
        replace(each, name=key, triton=key)
        for link in links
        for each in link.member.outputs
        if (key := link.gives.get(each.triton)) in wanted and key is not None
    ]


def _replaced(each: tuple[Any, ...], names: tuple[str, ...], new: Any) -> tuple[Any, ...]:
    """`new` in the place of the first of `names`."""
    made: list[Any] = []
    for one in each:
        if one.step not in names:
            made.append(one)
        elif new not in made:
            made.append(new)
    return tuple(made)


def _renamed(devices: Mapping[str, Place], names: tuple[str, ...], step: str) -> dict[str, Place]:
    made: dict[str, Place] = {}
    for name, device in devices.items():
        made[step if name in names else name] = device
    return made
