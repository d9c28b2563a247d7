"""The kinds of steps: each is where its line says, and loaded only where a pipeline has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ensemblegen.members import KINDS, SPECS

LOADED = """
import sys
from pathlib import Path
from ensemblegen.compile import make_plan
make_plan(Path(sys.argv[1]))
print(*(name for name in sys.modules if name.startswith("ensemblegen.")))
"""


@pytest.mark.parametrize("word", KINDS)
def test_a_word_leads_to_its_kind(word: str) -> None:
    assert KINDS[word].word == word == SPECS[word].kind
    assert KINDS[word] is KINDS[word], "one instance serves every step"


def test_other_words_lead_nowhere() -> None:
    assert "fused" not in KINDS
    with pytest.raises(KeyError):
        KINDS["fused"]


def test_a_pipeline_of_python_loads_no_reader_of_other_files(root: Path) -> None:
    path = root / "tests" / "problems" / "good.yaml"
    done = subprocess.run(
        [sys.executable, "-c", LOADED, path], capture_output=True, text=True, check=True
    )
    modules = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert "python" in modules
    assert not modules & {"libtorch", "torchscript", "fil", "forest", "ensemble", "reuse"}
