"""The repositories that are served beside a compiled one, for models that it runs and has not.

What a step runs that is there already is in another repository, which its server reads as well; or
it was on a server that ran when the pipeline was compiled, and this one must be given it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.errors import InputError, Problem
from ensemblegen.manifest import ManifestDeployed

FLAG = "--model-repository"


def repositories(path: Path) -> tuple[Path, ...]:
    """Those beside the repository at `path`; InputError where one lacks what is to be in it."""
    wanted = [each for each in _deployed(path) if each.repository is not None]
    problems = [problem for each in wanted for problem in _absent(each)]
    found = dict.fromkeys(Path(str(each.repository)) for each in wanted)
    problems += _twice([path, *found]) if not problems else []
    if problems:
        raise InputError(problems)
    return tuple(found)


def require_given(path: Path, extra: Sequence[Path]) -> None:
    """InputError where a model is on some other server, and in no repository of `extra`."""
    problems = [
        Problem(
            "E498",
            f"'{each.name}' is on {each.server}, and ensembles run models of their own server only",
            hint=f"put {path.name} into that server's repositories; or serve it here with the "
            f"model's repository: -- {FLAG}=FOLDER",
        )
        for each in _deployed(path)
        if each.server is not None and not any(_holds(folder, each.name) for folder in extra)
    ]
    if problems:
        raise InputError(problems)


def _deployed(path: Path) -> tuple[ManifestDeployed, ...]:
    return manifest.read(path).deployed if (path / manifest.NAME).is_file() else ()


def _absent(each: ManifestDeployed) -> list[Problem]:
    folder = Path(str(each.repository))
    if _holds(folder, each.name):
        return []
    lacking = "holds no such model" if folder.is_dir() else "is not there"
    message = f"'{each.name}' was in {folder}, which {lacking}"
    return [Problem("E498", message, hint="put it there, or compile again where it is")]


def _twice(folders: Sequence[Path]) -> list[Problem]:
    """Triton loads no two models of one name."""
    seen: dict[str, Path] = {}
    problems = []
    for folder in folders:
        for model in sorted(each.parent.name for each in folder.glob("*/config.pbtxt")):
            if model in seen:
                message = f"{seen[model]} and {folder} both have a model '{model}'"
                hint = "Triton serves no two of one name: rename ours with `model:`"
                problems.append(Problem("E414", message, hint=hint))
            seen[model] = folder
    return problems


def _holds(folder: Path, model: str) -> bool:
    return (folder / model).is_dir()
