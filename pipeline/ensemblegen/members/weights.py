"""The files beside an ONNX model that hold its weights: they go along with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ensemblegen.members.ends import Reading


def beside(
    reading: Reading, path: Path, named: Sequence[str], taken: str, *way: str
) -> Iterator[tuple[str, Path]]:
    """Those of `named`, which the model at `path` names, by their paths beside it.

    `taken` is what the model itself is called where they go; problems are reported at `way`.
    """
    for name in named:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or inside.as_posix() == taken:
            message = f"the weights of {reading.file} are in {name!r}, which cannot go along"
            hint = "save it again, with its weights in a file beside it: model.onnx_data, say"
            reading.site.problem("E402", message, *way, hint=hint)
        elif not (path.parent / inside).is_file():
            message = (
                f"the weights of {reading.file} are in {path.parent / inside}, which is no file"
            )
            hint = "models over 2 GB, and large ones, keep them apart: copy that file, too"
            reading.site.problem("E401", message, *way, hint=hint)
        else:
            yield inside.as_posix(), path.parent / inside
