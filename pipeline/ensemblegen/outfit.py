"""Give each Python model the environment that was built for it.

before  a Plan whose members say what they declare, and the store of built archives
after   the same Plan, its members with executions; nothing is built or fetched here
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ensemblegen.environments import lock, profile, stubs
from ensemblegen.environments.declared import Declared
from ensemblegen.environments.execution import Execution, Where
from ensemblegen.environments.store import Entry, Store
from ensemblegen.environments.stubs import FOLDER as STUBS
from ensemblegen.environments.trouble import told
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.members import Member
from ensemblegen.plan import Plan, Project
from ensemblegen.targets import Target
from ensemblegen.words import Device, Place

_BUILD_VARIANTS = "run `ensemblegen env build PIPELINE --variants`, if you need them"
_VARIANT_HINTS = {"E524": _BUILD_VARIANTS, "E525": _BUILD_VARIANTS}


@dataclass(frozen=True)
class Need:
    """A distinct environment of a pipeline, and who runs in it."""

    declared: Declared
    target: Target
    users: tuple[str, ...]
    """`step` or, where it has several, `step on gpu`."""


def needs(plan: Plan | Project, *, variants: bool = False) -> list[Need]:
    """What must be built for `plan` as it is placed, or for all its variants."""
    found: dict[tuple[str, str], Need] = {}
    for each in plan.all():
        for member in each.members:
            for device, declared in sorted(_used(each, member, variants=variants).items()):
                several = len({one.path for one in member.environments.values()}) > 1
                user = f"{member.step} on {device}" if several else member.step
                key = (str(declared.path.resolve()), each.target.release)
                before = found.get(key)
                users = (*before.users, user) if before else (user,)
                found[key] = Need(declared, each.target, tuple(dict.fromkeys(users)))
    return list(found.values())


def outfit(plan: Plan, store: Store, where: Where | None = None) -> Plan:
    """`plan` with the environments of its steps, put where the author or `where` wants them.

    InputError where one that it needs is not locked or built, or needs a stub that is not known.
    A variant (`configs/gpu.pbtxt`) whose environments are not built is left out, with a warning.
    """
    return outfit_all(Project((plan,)), store, where).pipelines[0]


def outfit_all(project: Project, store: Store, where: Where | None = None) -> Project:
    """As `outfit`, for pipelines that share a repository; each environment is looked for once."""
    founds: dict[Where, _Found] = {}
    pairs: list[tuple[Plan, _Found | None]] = []
    for plan in project.pipelines:
        place = where or plan.environment_placement
        needed = place != "none" and any(member.environments for member in _members(plan))
        pairs.append((plan, founds.setdefault(place, _Found(store, place)) if needed else None))
    problems = [
        each
        for plan, found in pairs
        if found is not None
        for need in needs(plan)
        for each in found.problems(need.declared, need.target)
    ]
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Project(tuple(_fitted(plan, found) if found else plan for plan, found in pairs))


def _members(plan: Plan) -> Iterator[Member]:
    for each in plan.all():
        yield from each.members


def _used(plan: Plan, member: Member, *, variants: bool) -> Mapping[Device, Declared]:
    devices = {plan.devices[member.step]}
    if variants:
        devices |= {each[member.step] for each in plan.variants.values()}
    return {name: each for name, each in member.environments.items() if name in devices}


@dataclass
class _Found:
    """Each environment is looked for once."""

    store: Store
    place: Where
    known: dict[tuple[str, str], Execution | tuple[Problem, ...]] = field(default_factory=dict)

    def get(self, declared: Declared, target: Target) -> Execution | tuple[Problem, ...]:
        key = (str(declared.path), target.release)
        if key not in self.known:
            self.known[key] = _execution(declared, target, self.store, self.place)
        return self.known[key]

    def problems(self, declared: Declared, target: Target) -> tuple[Problem, ...]:
        found = self.get(declared, target)
        return () if isinstance(found, Execution) else found


def _execution(
    declared: Declared, target: Target, store: Store, place: Where
) -> Execution | tuple[Problem, ...]:
    found = built(declared, target, store)
    if isinstance(found, Problem):
        return (found,)
    stub = None
    if found.python != target.python:
        stub = stubs.find(target, found.python)
        if stub is None:
            return (_no_stub(declared, target, found.python),)
    store.touch(found)
    return Execution(declared.name, found, place, stub)


def built(declared: Declared, target: Target, store: Store) -> Entry | Problem:
    """The archive of an environment, by its lock; a problem where there is none."""
    name = f"environment '{declared.name}'"
    run = "ensemblegen env build PIPELINE"
    if declared.builder == "prebuilt":
        with told(declared):
            entry = store.get(lock.prebuilt_key(declared.path))
        if entry is not None:
            return entry
        message = f"{name} was not verified yet"
        return Problem("E525", message, declared.span(), f"run `{run}`")
    wanted = profile.of(declared, target)
    locked = lock.read(declared.lock_path).get(wanted.word)
    otherwise = "or run the steps in the server's own Python with --environments none"
    if locked is None or locked.declared != declared.digest():
        state = "is not locked" if locked is None else "has changed since it was locked"
        message = f"{name} {state} for {wanted.word}"
        return Problem("E524", message, declared.span(), f"run `{run}`, {otherwise}")
    entry = store.get(locked.key)
    if entry is not None:
        return entry
    message = f"{name} is locked, and not built on this machine"
    return Problem("E525", message, declared.span(), f"run `{run}`, {otherwise}")


def _no_stub(declared: Declared, target: Target, python: str) -> Problem:
    message = (
        f"environment '{declared.name}' has Python {python}, and Triton {target.release} a stub "
        f"for {target.python}: no stub for {python} is known here"
    )
    hint = (
        f"write python={target.python}.*, or put the stub into "
        f"${STUBS}/{target.release}/{python}/{stubs.NAME}"
    )
    return Problem("E522", message, declared.span("python"), hint)


def _fitted(plan: Plan, found: _Found) -> Plan:
    lost: dict[str, Problem] = {}
    for variant, devices in plan.variants.items():
        missing = [
            each
            for member in plan.members
            if (declared := _at(member, devices[member.step])) is not None
            for each in found.problems(declared, plan.target)
        ]
        if missing:
            why = missing[0]
            message = f"configs/{variant}.pbtxt are left out: {why.message}"
            lost[variant] = Problem(
                "E532", message, why.span, _VARIANT_HINTS.get(why.code, why.hint)
            )
    variants = {name: each for name, each in plan.variants.items() if name not in lost}
    chosen = [plan.devices, *variants.values()]
    members = tuple(
        replace(member, executions=_executions(plan, member, found, chosen))
        for member in plan.members
    )
    problems = [each for member in members for each in _stubs_differ(member)]
    if problems:
        raise InputError(problems)
    return replace(
        plan,
        members=members,
        variants=variants,
        inner=tuple(_fitted(each, found) for each in plan.inner),
        warnings=(*plan.warnings, *lost.values()),
    )


def _at(member: Member, device: Place) -> Declared | None:
    return next((each for name, each in member.environments.items() if name == device), None)


def _executions(
    plan: Plan, member: Member, found: _Found, chosen: list[Mapping[str, Place]]
) -> dict[Place, Execution]:
    made: dict[Place, Execution] = {}
    for device in {devices[member.step] for devices in chosen}:
        declared = _at(member, device)
        execution = found.get(declared, plan.target) if declared is not None else None
        if isinstance(execution, Execution):
            made[device] = execution
    return dict(sorted(made.items()))


def _stubs_differ(member: Member) -> Iterator[Problem]:
    """A model folder holds one stub, whatever the device."""
    pythons = {each.entry.python: name for name, each in member.executions.items()}
    if len(pythons) > 1:
        words = " and ".join(f"{python} on {device}" for python, device in pythons.items())
        message = f"step '{member.step}' would run in Python {words}, with one stub for both"
        declared = next(iter(member.environments.values()))
        yield Problem("E522", message, declared.span("python"), "give both the same Python")


def verify(need: Need, store: Store) -> Problem | None:
    """What is wrong with the archive of the store that was built for `need`.

    A damaged one is removed, so that the next build makes it again.
    """
    # What only builds need is not loaded for each compile.
    from ensemblegen.environments import build
    from ensemblegen.environments.faults import Fault

    found = built(need.declared, need.target, store)
    if isinstance(found, Problem):
        return found
    try:
        build.verify(found)
    except Fault as fault:
        if fault.kind != "archive":
            raise MachineError(fault.text, fault.hint) from fault
        store.remove(found)
        message = f"the archive of environment '{need.declared.name}' was damaged: {fault.text}"
        hint = "it was removed from the store: run `ensemblegen env build PIPELINE`"
        return Problem("E531", message, need.declared.span(), hint)
    return None
