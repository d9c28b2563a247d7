"""An offline channel, made once for all tests that build environments from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.environments import projects
from tests.environments.channel import NoInterpreter
from tests.environments.interpreters import Interpreter


@pytest.fixture(scope="session")
def interpreter() -> Interpreter:
    """The Python of the channel; skips where no package can be made of one."""
    for module in ("rattler", "uv", "isal", "conda_pack"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is missing: pip install 'ensemblegen[environments]'")
    try:
        return projects.interpreter()
    except NoInterpreter as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def channel(interpreter: Interpreter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `python` and small stand-ins for packages; see projects.small_channel."""
    return projects.small_channel(tmp_path_factory.mktemp("channel"), interpreter)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for tests that do not mind what the others built."""
    return tmp_path_factory.mktemp("cache")
