"""Passwords and tokens in URLs are seen, and stars stand in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.environments import declared, secrets
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.trouble import told
from ensemblegen.errors import MachineError

VARIABLES = "https://${USER}:${TOKEN}@host/simple"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:pass@host/a and b", "see https://*******@host/a and b"),
        ("https://p@ss@host/a", "https://****@host/a"),
        ("https://host/t/to-ken/conda", "https://host/t/******/conda"),
        ("numpy", "numpy"),
        ("https://host/simple mail me@host", "https://host/simple mail me@host"),
        ("file:///t/folder", "file:///t/folder"),
        ("name @ https://host/x.whl", "name @ https://host/x.whl"),
    ],
)
def test_what_is_a_secret(text: str, shown: str) -> None:
    assert secrets.masked(text) == shown
    assert secrets.held(text) == (text != shown)


def test_variables_give_nothing_away() -> None:
    assert secrets.masked(VARIABLES) == VARIABLES
    assert not secrets.held(VARIABLES, variables=True)
    assert secrets.held(VARIABLES)
    assert secrets.held("https://${USER}:word@host", variables=True)


def test_what_a_tool_prints_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("dependencies: [python]\n")
    text = "cannot reach https://me:s3cret@mirror/simple"  # from UV_DEFAULT_INDEX
    with pytest.raises(MachineError, match="mirror") as error, told(declared.read(path)):
        raise Fault("network", text)
    assert "s3cret" not in error.value.message
