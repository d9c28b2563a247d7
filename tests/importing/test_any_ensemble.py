"""Random ensembles: whatever `check` finds no error in comes back as it was.

Save for what the server takes and pipeline.yaml cannot say, such as two outputs of one name.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ensemblegen.check import repository as check
from ensemblegen.importing.run import Options, run
from ensemblegen.repository import discover
from tests.server.differential.configs import write
from tests.server.differential.generate import batch


@given(st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_comes_back(seed: int) -> None:
    made = batch(random.Random(seed), members=6, ensembles=6)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder, "repository")
        write((*made.members, *made.ensembles), repository)
        found = discover.read(repository)[0]
        wrong = {
            each.span.path
            for each in check.run(found)
            if each.severity == "error" and each.span is not None
        }
        for ensemble in made.ensembles:
            done = run(repository, Options(Path(folder, ensemble.name), ensemble.name))
            used = {step.model for step in ensemble.steps} | {ensemble.name}
            sound = not any(str(repository / name / "config.pbtxt") in wrong for name in used)
            if sound and used <= found.models.keys():
                if done.problems:
                    assert all("has no words for" in each.message for each in done.problems)
                else:
                    assert done.equal == used
