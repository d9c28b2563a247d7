"""`ensemblegen init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ensemblegen.cli.render import Format, console, print_json

SKELETON = Path(__file__).resolve().parent.parent / "skeleton"


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Make a folder with a small pipeline that works, to start from.

    Example: ensemblegen init my-pipeline
    """
    import shutil
    import tempfile

    from ensemblegen.errors import InputError, MachineError, Problem

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} is there already, and not an empty folder"
        raise InputError([Problem("E601", message, hint="choose another name")])
    try:
        place = folder.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".ensemblegen-") as name:
            made = Path(name) / "made"
            shutil.copytree(SKELETON, made, ignore=shutil.ignore_patterns("__pycache__"))
            made.rename(place)  # takes the place of an empty folder, too
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror or error}") from error
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    if format is Format.json:
        print_json({"ok": True, "folder": str(folder), "files": files})
        return
    out = console()
    out.print(f"made {folder} with {', '.join(files)}")
    out.print(f"try it: ensemblegen test {folder / 'pipeline.yaml'}")
