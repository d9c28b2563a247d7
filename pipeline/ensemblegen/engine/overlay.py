"""The repository as the embedded server needs to see it, where that is not how it lies there.

A model in an environment with the Python of NVIDIA's image brings no stub: the image has it. The
embedded server's own stub is for the Python that runs ensemblegen; so such models get theirs from
the wheel. A stand-in on a GPU is a Python model to the server, which copies the inputs of those to
the host unless their config says otherwise. Both are put right in a folder of links that goes with
the server.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.backends.python import FORCE_CPU
from ensemblegen.engine import machine
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.repository import Repository
from ensemblegen.engine.stand_ins import STAND_INS
from ensemblegen.environments.execution import FOLDER
from ensemblegen.environments.stubs import NAME
from ensemblegen.errors import MachineError

_STAYS = f'parameters {{ key: "{FORCE_CPU}" value {{ string_value: "no" }} }}\n'


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


def resident(engine: Engine, repository: Repository) -> dict[str, dict[str, str]]:
    """Configs, by model and file, of stand-ins on a GPU: their inputs stay where they are."""
    if engine.kind is not Choice.embedded:
        return {}
    wanted = STAND_INS.keys() - engine.native
    return {
        model.name: _configs(repository.path / model.name)
        for model in repository.models
        if model.gpu and model.backend in wanted and (repository.path / model.name).is_dir()
    }


def _configs(folder: Path) -> dict[str, str]:
    files = [folder / "config.pbtxt", *sorted(folder.glob("configs/*.pbtxt"))]
    texts = {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in files}
    return {
        name: text if FORCE_CPU in text else f"{text.rstrip()}\n{_STAYS}"
        for name, text in texts.items()
    }


def make(
    repository: Repository,
    stubs: dict[str, Path],
    configs: dict[str, dict[str, str]],
    folder: Path,
) -> Path:
    """A repository of links inside the empty `folder`, with the stubs and configs in it."""
    served = folder / "repository"
    served.mkdir()
    for each in repository.path.iterdir():
        place = served / each.name
        if each.name not in stubs and each.name not in configs:
            place.symlink_to(each)
            continue
        place.mkdir()
        texts = configs.get(each.name, {})
        own = {Path(name).parts[0] for name in texts}
        for inner in each.iterdir():
            if inner.name not in own:
                (place / inner.name).symlink_to(inner)
        for name, text in texts.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
        if each.name in stubs:
            # A copy: the backend starts it by this path.
            shutil.copy2(stubs[each.name], place / NAME)
            (place / NAME).chmod(0o755)
    beside = repository.path.parent / FOLDER
    if beside.is_dir():
        (folder / FOLDER).symlink_to(beside)
    return served
