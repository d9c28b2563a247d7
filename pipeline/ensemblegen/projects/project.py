"""Several pipelines that become one repository: those of a folder, and the variants of templates.

before  a pipeline.yaml, a template, or a folder that holds some
after   Examined: every pipeline read and checked, alone and beside the others
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ensemblegen import compile as compiler
from ensemblegen import manifest, source
from ensemblegen.compile import FROM_FILE, Checked
from ensemblegen.errors import InputError, Problem, Span, in_order
from ensemblegen.members import Member
from ensemblegen.members.backend import name_of
from ensemblegen.members.bls import author, calls_of
from ensemblegen.members.fused import steps_of
from ensemblegen.placement import Choice
from ensemblegen.plan import Plan, Project
from ensemblegen.projects import matrix
from ensemblegen.projects.found import PIPELINE, find
from ensemblegen.source import Document


@dataclass(frozen=True)
class Examined:
    """Pipelines that were read to the end, with whatever is wrong with them, alone or together."""

    root: Path
    """The folder that their files are named from."""
    files: tuple[Path, ...]
    checked: tuple[Checked, ...]
    found: tuple[Problem, ...]
    """The problems of each alone, and of their names and releases."""
    choice: Choice = FROM_FILE

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them; what pipelines make of one name is asked where nothing else is wrong."""
        if _wrong(self.found):
            return self.found
        return in_order((*self.found, *self._clashes))

    @property
    def wrong(self) -> bool:
        return _wrong(self.problems)

    @cached_property
    def project(self) -> Project:
        """All pipelines, complete; InputError with every problem, if they are wrong."""
        if self.wrong:
            raise InputError(self.problems)
        return Project(self._plans)

    def only(self, name: str | None) -> Checked:
        """The pipeline called `name`, or the only one. InputError where that is not one."""
        known = {each.graph.model: each for each in self.checked}
        if name in known:
            return known[name]
        if name is None and len(known) == 1:
            return self.checked[0]
        raise InputError([manifest.which(name, known)])

    @cached_property
    def _plans(self) -> tuple[Plan, ...]:
        plans = [each.fused(self.choice.fuse, self.root) for each in self.checked]
        templates: dict[str, list[int]] = {}
        for number, each in enumerate(self.checked):
            if each.graph.document.axes:
                templates.setdefault(each.graph.document.path, []).append(number)
        if templates:
            from ensemblegen.projects import sharing
        for numbers in templates.values():
            shared = sharing.share([(self.checked[i], plans[i]) for i in numbers])
            for number, plan in zip(numbers, shared, strict=True):
                plans[number] = plan
        return tuple(plans)

    @cached_property
    def _clashes(self) -> tuple[Problem, ...]:
        if len(self.checked) < 2:
            return ()
        return tuple(_clashes(list(zip(self.checked, self._plans, strict=True))))


def _wrong(problems: Sequence[Problem]) -> bool:
    return any(each.severity == "error" for each in problems)


def examine(path: Path, choice: Choice = FROM_FILE, variants: Sequence[str] = ()) -> Examined:
    """Read and check a pipeline, a template or all of a folder. `variants` chooses of a template.

    Raises InputError for a folder without any, and for variants that there are not.
    """
    root, files = (path, find(path)) if path.is_dir() else (path.parent, (path,))
    if not files:
        message = f"there is no pipeline below {path}"
        hint = f"files called {PIPELINE} count, and .yaml files that say `ensemblegen: 1`"
        raise InputError([Problem("E603", message, hint=hint)])
    problems: list[Problem] = []
    checked: list[Checked] = []
    documents = list(_documents(files, problems))
    for document in documents:
        found = [
            (each, *_examined(each, _choice(document, choice, documents)))
            for each in _variants(document, variants, problems)
        ]
        problems += matrix.together([(each, told) for each, _, told in found])
        checked += [done for _, done, _ in found if done is not None]
    problems += [*_names(checked), *_targets(checked)]
    return Examined(root, files, tuple(checked), in_order(problems), choice)


def sound(path: Path, choice: Choice = FROM_FILE, variants: Sequence[str] = ()) -> Examined:
    """As `examine`, for what is not wrong. Raises InputError with every problem of a stage."""
    found = examine(path, choice, variants)
    if found.wrong:
        raise InputError(found.problems)
    return found


def _documents(files: Sequence[Path], problems: list[Problem]) -> Iterator[Document]:
    for path in files:
        try:
            yield source.load(path)
        except InputError as error:
            problems += error.problems


def _variants(
    document: Document, words: Sequence[str], problems: list[Problem]
) -> tuple[Document, ...]:
    if not matrix.is_template(document):
        if words:
            message = f"{document.path} has no `matrix`, and so no variant '{words[0]}'"
            raise InputError([Problem("E605", message, document.span(()))])
        return (document,)
    try:
        made = matrix.variants(document)
    except InputError as error:
        problems += error.problems
        return ()
    return matrix.chosen(made, words)


def _examined(document: Document, choice: Choice) -> tuple[Checked | None, tuple[Problem, ...]]:
    try:
        done = compiler.examined(document, choice)
    except InputError as error:
        return None, error.problems
    return done, done.problems


def _choice(document: Document, choice: Choice, documents: Sequence[Document]) -> Choice:
    """A profile is for the pipelines that have it, if any has; the others stay as written."""
    profile = choice.profile
    if profile is None or profile in _profiles(document):
        return choice
    known = any(profile in _profiles(each) for each in documents)
    return replace(choice, profile=None) if known else choice


def _profiles(document: Document) -> Mapping[str, object]:
    found = document.data.get("profiles") if isinstance(document.data, dict) else None
    return found if isinstance(found, dict) else {}


def _name_span(checked: Checked) -> Span:
    written = "model" if checked.pipeline.model is not None else "name"
    return checked.graph.document.span((written,))


def _names(checked: Sequence[Checked]) -> Iterator[Problem]:
    """Pipelines that would be one model: told once at each place that names them."""
    named: dict[str, list[Checked]] = {}
    for each in checked:
        named.setdefault(each.graph.model, []).append(each)
    told: set[Span] = set()
    for name, group in named.items():
        places = list(dict.fromkeys(_name_span(each) for each in group))
        if len(group) == 1 or told.issuperset(places):
            continue
        told.update(places)
        if len(places) == 1:
            yield _one_name(name, group, places[0])
            continue
        for place, other in zip(places, (*places[1:], places[0]), strict=True):
            message = f"{_place(other)} makes a pipeline '{name}' as well"
            yield Problem("E248", message, place, "clients call it by this name: change one")


def _one_name(name: str, group: Sequence[Checked], place: Span) -> Problem:
    """Of the variants of one template."""
    axes = group[0].graph.document.axes
    odd = next((a for a in axes if axes[a] != group[1].graph.document.axes[a]), next(iter(axes)))
    shown = " and ".join(matrix.label(each.graph.document.axes) for each in group[:2])
    message = f"{len(group)} variants, {shown} among them, would all be the pipeline '{name}'"
    return Problem("E248", message, place, f"put the axis into it: {name}_${{{odd}}}")


def _targets(checked: Sequence[Checked]) -> Iterator[Problem]:
    """One server runs all of them, and has one release."""
    files = {each.graph.document.path: each for each in checked}
    first = next(iter(files.values()), None)
    for each in files.values():
        if first is not None and each.graph.target != first.graph.target:
            message = (
                f"the target is {each.graph.target.release} here, and "
                f"{first.graph.target.release} in {first.graph.document.path}"
            )
            span = each.graph.document.span(("target",))
            hint = "one repository is for one server: compile them apart, or give both one target"
            yield Problem("E250", message, span, hint)


def _place(span: Span) -> str:
    return f"{span.path}:{span.line}"


@dataclass(frozen=True)
class _Claim:
    """A model that a pipeline has in the repository."""

    owner: str
    span: Span
    plan: Plan
    made: Member | Path | tuple[object, ...]
    """A member, a folder that is taken as it is, or the ensemble of a file and its axes."""

    def differs(self, other: _Claim) -> tuple[str, ...]:
        """What keeps the two from being one model; nothing if they can be."""
        one, two = self.made, other.made
        if one is two or (not isinstance(one, Member) and one == two):
            return ()
        if isinstance(one, Member) and isinstance(two, Member):
            from ensemblegen.emit import identity  # few models are in several pipelines

            return tuple(
                identity.differences(identity.of(self.plan, one), identity.of(other.plan, two))
            )
        folders = {_folder(one), _folder(two)}
        return () if len(folders) == 1 and None not in folders else ("all that they are",)


def _folder(made: Member | Path | tuple[object, ...]) -> Path | None:
    if isinstance(made, Path):
        return made
    folder = made.kind.folder_of(made) if isinstance(made, Member) else None
    return folder.resolve() if folder is not None else None


def _claims(checked: Checked, plan: Plan) -> Iterator[tuple[str, _Claim]]:
    document, path = checked.graph.document, Path(checked.graph.document.path).resolve()
    axes = tuple(document.axes.items())
    owner = f"pipeline '{checked.graph.name}'"
    yield plan.name, _Claim(owner, _name_span(checked), plan, (path, axes))
    for member in plan.members:
        step = author(member) if calls_of(member) else steps_of(member)[0]
        span = document.key_span(("steps", step, "model"))
        yield member.model, _Claim(f"step '{step}'", span, plan, member)
    for at, folder in checked.graph.folders:
        if at[0] == "models":
            made = _Claim(f"folder {folder}", document.span(at), plan, folder.resolve())
            yield name_of(folder), made
    for inner, inner_plan in zip(checked.inner, plan.inner, strict=True):
        yield from _claims(inner, inner_plan)


def _clashes(pipelines: Sequence[tuple[Checked, Plan]]) -> Iterator[Problem]:
    """Models of one name that are not one model: told once for each pair of places."""
    first: dict[str, _Claim] = {}
    told: set[tuple[Span, Span]] = set()
    for checked, plan in pipelines:
        for name, claim in _claims(checked, plan):
            other = first.setdefault(name, claim)
            places = (other.span, claim.span)
            if other is claim or places in told:
                continue
            if other.differs(claim):
                told.add(places)
                yield from _clash(name, other, claim)


def _clash(name: str, one: _Claim, other: _Claim) -> Iterator[Problem]:
    if one.span == other.span:
        axis = next(iter(other.plan.variant), "axis")
        differ = ", ".join(one.differs(other))
        message = f"{one.owner} would be the model '{name}' in variants that differ in {differ}"
        yield Problem("E249", message, one.span, f"put an axis into it: {name}_${{{axis}}}")
        return
    hint = "make them the same, or give one of them another name with `model:`"
    for here, there in ((one, other), (other, one)):
        both = f"{here.owner} and {there.owner} at {_place(there.span)}"
        differ = ", ".join(here.differs(there))
        message = f"{both} are both the model '{name}', and differ in {differ}"
        yield Problem("E249", message, here.span, hint)
