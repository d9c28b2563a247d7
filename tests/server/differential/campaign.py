"""Batches of ensembles, asked of both; what differs is confirmed and made small."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.server.differential.configs import STAND_IN, Batch, Ensemble, write
from tests.server.differential.generate import batch as generated
from tests.server.differential.judge import Case, judge
from tests.server.differential.observe import Bench, configs

PATIENT = 10.0
"""Seconds to wait where a first try had no answer: the machine may have been busy."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many ensembles, over and over with other members."""

    ensembles: int
    seed: int
    members: int = 10
    each: int = 50


def cases(plan: Plan) -> Iterator[Case]:
    left = plan.ensembles
    number = 0
    while left > 0:
        rng = random.Random(f"{plan.seed}/{number}")
        batch = generated(rng, plan.members, min(plan.each, left))
        yield from compared(batch)
        left -= len(batch.ensembles)
        number += 1


def compared(batch: Batch, patience: float = 2.0) -> Iterator[Case]:
    with tempfile.TemporaryDirectory(prefix="differential-") as scratch:
        repository = Path(scratch, "all")
        write((*batch.members, *batch.ensembles), repository)
        known = configs(repository)
        with Bench(Path(scratch), patience) as bench:
            bench.serve(repository)
            for ensemble in sorted(batch.ensembles, key=_hangs):
                ours = judge(ensemble, batch, Path(scratch, "each"))
                yield Case(ensemble, batch, ours, bench.observe(ensemble.name, known))


def _hangs(ensemble: Ensemble) -> bool:
    """Those after which a new server is needed come last."""
    inputs = {port.name for port in ensemble.inputs}
    return any(name in inputs for step in ensemble.steps for _, name in step.outputs)


def again(case: Case, patience: float = PATIENT) -> Case:
    """The case alone, on a server of its own."""
    around = case.batch.around(case.ensemble)
    members = tuple(each for each in case.batch.members if each in around)
    ensembles = tuple(each for each in case.batch.ensembles if each in around)
    others = tuple(each for each in ensembles if each.name != case.ensemble.name)
    batch = Batch(members, (*others, case.ensemble))
    return next(each for each in compared(batch, patience) if each.ensemble == case.ensemble)


def keep(case: Case, folder: Path) -> Path:
    """The case as files: its repository without the stand-in, and what both said."""
    shutil.rmtree(folder, ignore_errors=True)
    models = case.batch.around(case.ensemble)
    write(models, folder / "repository")
    for code in folder.glob("repository/*/*/model.py"):
        code.unlink()
        (code.parent / ".keep").touch()
    said = {
        "ensemble": case.ensemble.name,
        "checker": case.ours.verdict,
        "checker says": case.ours.words,
        "server": case.theirs.verdict,
        "server says": case.theirs.words,
        "mutations": list(case.ensemble.mutations),
        "accepted": case.accepted,
    }
    (folder / "case.json").write_text(json.dumps(said, indent=2) + "\n")
    return folder


def unpack(kept: Path, repository: Path, prefix: str) -> None:
    """Add the models of a kept case to `repository`, under names that begin with `prefix`."""
    for model in sorted((kept / "repository").iterdir()):
        target = repository / f"{prefix}{model.name}"
        shutil.copytree(model, target)
        config = target / "config.pbtxt"
        text = config.read_text()
        config.write_text(re.sub('(model_name: ")(?=.)', rf"\1{prefix}", text))
        if 'backend: "python"' in text:
            for version in filter(Path.is_dir, target.iterdir()):
                shutil.copy(STAND_IN, version / "model.py")
