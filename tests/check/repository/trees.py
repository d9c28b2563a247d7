"""Model repositories on the disk, written in a line, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ensemblegen.check import repository as rules
from ensemblegen.errors import Problem
from ensemblegen.repository.discover import read
from ensemblegen.targets import Target


def port(name: str, dims: str = "4", kind: str = "TYPE_FP32", more: str = "") -> str:
    return f'{{ name: "{name}" data_type: {kind} dims: [ {dims} ] {more} }}'


def parameters(**values: str) -> str:
    lines = (
        f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}\n' for k, v in values.items()
    )
    return "".join(lines)


def config(
    backend: str, inputs: list[str], outputs: list[str], more: str = "", batch: int | None = 8
) -> str:
    lines = [f'backend: "{backend}"']
    lines += [f"max_batch_size: {batch}"] if batch is not None else []
    lines += [f"input {each}" for each in inputs] + [f"output {each}" for each in outputs]
    return "\n".join([*lines, more])


def write(folder: Path, text: str, files: Mapping[str, bytes | str | Path]) -> Path:
    """One model; a Path among the files is linked."""
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(text)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def problems(path: Path, target: str | None = None) -> list[Problem]:
    found = read(path, Target(target) if target else None)
    return [problem for each in found for problem in rules.run(each)]


def codes(path: Path, target: str | None = None) -> list[str]:
    return sorted({problem.code for problem in problems(path, target)})
