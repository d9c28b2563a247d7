"""The repository as the embedded server needs to see it, where that is not how it lies there.

A model in an environment with the Python of NVIDIA's image brings no stub: the image has it. The
embedded server's own stub is for the Python that runs ensemblegen; so such models get theirs from
the wheel, in a folder of links that goes with the server.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.engine import machine
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.repository import Repository
from ensemblegen.environments.execution import FOLDER
from ensemblegen.environments.stubs import NAME
from ensemblegen.errors import MachineError


def lacking(engine: Engine, repository: Repository) -> dict[str, Path]:
    """The stub of each model that runs in another Python than the server's, and brings none."""
    if engine.kind is not Choice.embedded or not (repository.path / manifest.NAME).is_file():
        return {}
    made = manifest.read(repository.path)
    pythons = {each.key: each.python for each in made.environments}
    found: dict[str, Path] = {}
    for model in made.models:
        python = pythons.get(model.execution or "")
        if python in (None, machine.python_version()):
            continue
        if (repository.path / model.name / NAME).is_file():
            continue
        stub = (engine.home or Path()) / "python_backend_stubs" / str(python) / NAME
        if not stub.is_file():
            raise MachineError(
                f"'{model.name}' runs in Python {python}, for which the embedded server has no stub"
            )
        found[model.name] = stub
    return found


def make(repository: Repository, stubs: dict[str, Path], folder: Path) -> Path:
    """A repository of links inside the empty `folder`, with the stubs in it."""
    served = folder / "repository"
    served.mkdir()
    for each in repository.path.iterdir():
        place = served / each.name
        if each.name not in stubs:
            place.symlink_to(each)
            continue
        place.mkdir()
        for inner in each.iterdir():
            (place / inner.name).symlink_to(inner)
        # A copy: the backend starts it by this path.
        shutil.copy2(stubs[each.name], place / NAME)
        (place / NAME).chmod(0o755)
    beside = repository.path.parent / FOLDER
    if beside.is_dir():
        (folder / FOLDER).symlink_to(beside)
    return served
