"""The checker and the real Triton agree: on generated ensembles, good and bad."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings

from ensemblegen.check.repository import run
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.errors import InputError
from ensemblegen.repository.discover import read
from tests.server.differential.campaign import Plan, again, cases, unpack
from tests.server.differential.judge import AGREE, judgement
from tests.server.differential.observe import Bench, configs
from tests.server.differential.pipelines import CODE, pipelines

KEPT = sorted((Path(__file__).parent / "differential" / "kept").iterdir())


def test_generated_ensembles() -> None:
    apart = [case for case in cases(Plan(120, seed=2411)) if not (case.agreed or case.accepted)]
    confirmed = [case for case in map(again, apart) if not (case.agreed or case.accepted)]
    assert not confirmed, "\n".join(case.report() + case.ensemble.text() for case in confirmed)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kept cases in one, which takes one server."""
    folder = tmp_path_factory.mktemp("kept") / "repository"
    for case in KEPT:
        unpack(case, folder, f"{case.name}_")
    return folder


@pytest.fixture(scope="module")
def bench(repository: Path) -> Iterator[Bench]:
    with Bench(repository.parent) as bench:
        bench.serve(repository)
        yield bench


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)
def test_kept(kept: Path, bench: Bench, repository: Path, tmp_path: Path) -> None:
    """What both once differed on; `case.json` has what each says now."""
    expected = json.loads((kept / "case.json").read_text())
    name = f"{kept.name}_{expected['ensemble']}"
    theirs = bench.observe(name, configs(repository))
    unpack(kept, tmp_path, f"{kept.name}_")
    ours = judgement(tmp_path, name)
    assert (ours.verdict, theirs.verdict) == (expected["checker"], expected["server"])
    assert (ours.verdict, theirs.verdict) in AGREE or expected["accepted"]


@settings(max_examples=150, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=pipelines())
def test_compiled_pipelines(data: dict[str, object], tmp_path: Path) -> None:
    """What `compile` accepts, `check` has nothing against."""
    (tmp_path / "steps.py").write_text(CODE)
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(data))
    try:
        plan = make_plan(tmp_path / "pipeline.yaml")
    except InputError:
        assume(False)
    write(files(plan), tmp_path / "repository")
    views = read(tmp_path / "repository")
    said = {problem.code for view in views for problem in run(view)}
    assert said <= {problem.code for problem in plan.warnings}
