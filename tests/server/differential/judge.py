"""What the checker says of an ensemble, and whether the server agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.check.repository import run
from ensemblegen.errors import Problem
from ensemblegen.repository.discover import read
from tests.server.differential.configs import Batch, Ensemble, write
from tests.server.differential.observe import CRASH, HANG, Observation

SUBSETS = frozenset({"E208", "E215"})
"""Codes that say: all outputs together are answered, some subsets are not."""
REPEATS = "E216"
"""This says it of some and not of others."""


@dataclass(frozen=True, slots=True)
class Judgement:
    problems: tuple[Problem, ...]
    subsets: bool
    """Whether requests for some outputs are said to fail, of the ensemble itself."""

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def verdict(self) -> str:
        if self.errors:
            return "error"
        return "warning of subsets" if self.subsets else "silence"

    @property
    def words(self) -> str:
        found = self.errors or self.problems
        return "; ".join(f"{problem.code} {problem.message}" for problem in found)


AGREE = {
    ("error", "refused"),
    ("error", "fails"),
    ("warning of subsets", "subsets fail"),
    ("silence", "serves"),
}


def judge(ensemble: Ensemble, batch: Batch, scratch: Path) -> Judgement:
    """Of the ensemble in a repository of its own, with all models that it needs and no more."""
    folder = scratch / ensemble.name
    write(batch.around(ensemble), folder)
    return judgement(folder, ensemble.name)


def judgement(repository: Path, ensemble: str) -> Judgement:
    problems = tuple(problem for each in read(repository) for problem in run(each))
    own = f"{repository / ensemble}/"
    said = [
        problem
        for problem in problems
        if problem.span is not None and problem.span.path.startswith(own)
    ]
    subsets = any(
        problem.code in SUBSETS or (problem.code == REPEATS and "deadlock" in problem.message)
        for problem in said
    )
    return Judgement(problems, subsets)


@dataclass(frozen=True, slots=True)
class Case:
    """One ensemble, and what both say of it."""

    ensemble: Ensemble
    batch: Batch
    ours: Judgement
    theirs: Observation

    @property
    def outcome(self) -> tuple[str, str]:
        return self.ours.verdict, self.theirs.verdict

    @property
    def agreed(self) -> bool:
        return self.outcome in AGREE

    @property
    def accepted(self) -> str | None:
        """The name of the reason for which both may differ here."""
        if self.agreed:
            return None
        return next((name for name, holds in ACCEPTED.items() if holds(self)), None)

    def report(self) -> str:
        return (
            f"checker: {self.ours.verdict}: {self.ours.words or 'nothing'}\n"
            f"server: {self.theirs.verdict}: {self.theirs.words or 'all answers right'}\n"
            f"mutations: {', '.join(self.ensemble.mutations) or 'none'}\n"
        )


def _inner_ensemble_alone(case: Case) -> bool:
    """An inner ensemble fails, but not in what the outer one asks it for.

    That may be some of its outputs, only small batches, or always with the optional inputs.
    """
    outer = case.ensemble
    asked: dict[str, set[str]] = {}
    around = case.batch.around(outer)
    for each in around:
        for step in each.steps if isinstance(each, Ensemble) else ():
            asked.setdefault(step.model, set()).update(key for key, _ in step.outputs)
    inner = {each.name: each for each in around if isinstance(each, Ensemble) and each != outer}

    def spared(problem: Problem) -> bool:
        place = Path(problem.span.path).parent.name if problem.span is not None else ""
        if place not in inner or problem.code not in ("E212", "E306", "E307"):
            return False
        model = inner[place]
        partly = asked.get(place, set()) < {port.name for port in model.outputs}
        smaller = outer.max_batch_size < model.max_batch_size
        return partly or problem.code == "E212" or (problem.code == "E307" and smaller)

    return case.theirs.verdict in ("serves", "subsets fail") and all(map(spared, case.ours.errors))


def _no_member_at_hand(case: Case) -> bool:
    """Where no member at all is in the repository, it is taken for a part of one."""
    return (
        "contains models that are not available" in case.theirs.refusal
        and any(problem.code == "E223" for problem in case.ours.problems)
        and len(case.batch.around(case.ensemble)) == 1
    )


def _bounded_queue(case: Case) -> bool:
    """E232 warns of it: a bounded queue on one of several branches loses a request now and then.

    Seen on 24.10 with one client and an empty queue: 3 of 52 requests, 0 of 300 without the bound.
    """
    failures = [failure for failure in case.theirs.failures if failure.request.complete]
    return (
        any(problem.code == "E232" for problem in case.ours.problems)
        and bool(failures)
        and all(failure.words in (HANG, CRASH) for failure in failures)
    )


def _written_input(case: Case) -> bool:
    """A step writes an input of the ensemble, but no ring comes of it, which would hang.

    The steps that read it run twice, with the client's tensor and with the step's. Which of the
    two answers is sent is a matter of timing, so that E219 is right to refuse it.
    """
    return case.theirs.verdict in ("serves", "subsets fail") and all(
        problem.code == "E219" for problem in case.ours.errors
    )


def _repeated_in_other_dims(case: Case) -> bool:
    """An output that repeats an input has the input's dims, whatever is declared: E216 names it.

    The answer itself says its shape, so that nobody reads it wrongly; of types E301 speaks.
    """
    inputs = {port.name for port in case.ensemble.inputs}
    failures = [failure for failure in case.theirs.failures if failure.request.complete]
    return (
        any(problem.code == REPEATS for problem in case.ours.problems)
        and bool(failures)
        and all(
            any(failure.words.startswith(f"'{name}' has the shape") for name in inputs)
            for failure in failures
        )
    )


def _one_call_twice(case: Case) -> bool:
    """Two steps ask one model the same, so that both answers have one shape; configs say no more.

    The models of the test are functions of their inputs. In others the sizes could differ.
    """
    failures = [failure for failure in case.theirs.failures if failure.request.complete]
    return (
        case.ours.verdict != "error"
        and bool(failures)
        and all(failure.request.tied for failure in failures)
    )


ACCEPTED: dict[str, Callable[[Case], bool]] = {
    "an inner ensemble fails in what the outer one does not ask": _inner_ensemble_alone,
    "no member is at hand": _no_member_at_hand,
    "a bounded queue beside another branch": _bounded_queue,
    "an input that is written, without a ring": _written_input,
    "one call made twice": _one_call_twice,
    "an input repeated in other dims": _repeated_in_other_dims,
}
"""Where both may differ: each reason is one narrow condition."""
