"""The compiler as a table of contents: each stage is a function from one type to the next."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from ensemblegen import fusion, graph, placement, plan, source, spec
from ensemblegen.check import pipeline as check
from ensemblegen.errors import InputError, Problem, in_order
from ensemblegen.graph import Graph
from ensemblegen.members import SPECS
from ensemblegen.placement import Choice, Placement
from ensemblegen.plan import Plan
from ensemblegen.source import Document
from ensemblegen.spec import PipelineSpec

FROM_FILE = Choice()


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline that was read to the end, with whatever is wrong with it."""

    pipeline: PipelineSpec
    graph: Graph
    placement: Placement | None
    inner: tuple[Checked, ...]
    """The pipelines that are steps of it."""
    problems: tuple[Problem, ...]

    @property
    def wrong(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def plan(self, root: Path | None = None) -> Plan:
        """Complete the pipeline, which must not be wrong; files are named as seen from `root`."""
        assert self.placement is not None, "checked"  # noqa: S101
        inner = tuple(each.plan(root) for each in self.inner)
        made = plan.make(self.graph, self.pipeline, self.placement, inner, self.problems)
        if root is None:
            return made
        return plan.seen_from(made, os.path.relpath(self.graph.document.folder, root))

    def fused(self, wanted: bool | None = None, root: Path | None = None) -> Plan:
        """The plan, its steps joined as the author, or `wanted`, says."""
        return fusion.fuse(self.plan(root), wanted)


def examine(path: Path, choice: Choice = FROM_FILE, above: tuple[Path, ...] = ()) -> Checked:
    """Read and check `path`; raises InputError only where the file's form is not right.

    `above` are the pipelines of which it is a step.
    """
    return examined(source.load(path), choice, above)


def examined(document: Document, choice: Choice, above: tuple[Path, ...] = ()) -> Checked:
    """As `examine`, of a file that was read, or one variant of a template."""
    pipeline = spec.parse(document, SPECS)
    built, problems = graph.build(document, pipeline, above)
    problems += check.run(built)
    placed, placement_problems = placement.resolve(pipeline, built, choice)
    over = (*above, Path(document.path).resolve())
    inner = tuple(examine(each.path, _inside(choice, each.profiles), over) for each in built.inner)
    problems += [*placement_problems, *(each for one in inner for each in one.problems)]
    checked = Checked(pipeline, built, placed, inner, in_order(problems))
    if checked.wrong or not _says_more(pipeline, built):
        return checked
    # Most pipelines need none of the server's rules, nor the time to load them.
    from ensemblegen.check import repository
    from ensemblegen.emit import models

    told = {problem.code for problem in problems}
    served = repository.run(models.repository(checked.plan(), document))
    problems += [replace(each, fix=None) for each in served if each.code not in told]
    return replace(checked, problems=in_order(problems))


def sound(path: Path, choice: Choice = FROM_FILE) -> Checked:
    """As `examine`, for what is not wrong. Raises InputError with every problem of a stage."""
    checked = examine(path, choice)
    if checked.wrong:
        raise InputError(checked.problems)
    return checked


def make_plan(path: Path, choice: Choice = FROM_FILE) -> Plan:
    """From pipeline.yaml to the plan. Raises InputError with every problem of the last stage."""
    return sound(path, choice).fused(choice.fuse)


def _inside(choice: Choice, profiles: Collection[str]) -> Choice:
    """The choice as a pipeline that is a step takes it: a profile that it lacks is not for it."""
    return choice if choice.profile in profiles else replace(choice, profile=None)


def _says_more(pipeline: PipelineSpec, built: Graph) -> bool:
    """Whether the author set what only the server's own rules can judge."""
    return bool(
        built.verbatim
        or pipeline.config
        or pipeline.response_cache
        or pipeline.models
        or any(entry.config for entry in built.entries.values())
        or any(export.config or export.tensor for export in built.exports)
        or any(
            step.config or step.tensors or step.version != -1 or step.serves
            for step in pipeline.steps.values()
        )
    )
