"""Inputs of examples that are the content of a file: read, and made plain values.

before  `image: {file: cat.jpg}` in an example of pipeline.yaml
after   the file's bytes as numbers for an input that is uint8 of one axis; as text for a string
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.places import At
from ensemblegen.source import Document
from ensemblegen.spec import Example, FileValue, InputSpec, PipelineSpec
from ensemblegen.types import DType


def read(document: Document, pipeline: PipelineSpec, problems: list[Problem]) -> Iterator[Example]:
    """The examples; a value whose file cannot be used is reported, and stays as it is written."""
    for i, example in enumerate(pipeline.examples):
        given: dict[str, Any] = {}
        for name, value in example.inputs.items():
            entry = pipeline.inputs.get(name)
            if entry is not None and isinstance(value, FileValue):
                at = ("examples", i, "inputs", name, "file")
                given[name] = _content(document, value, at, entry, problems)
            else:
                given[name] = value
        yield example.model_copy(update={"inputs": given})


def _content(
    document: Document, value: FileValue, at: At, entry: InputSpec, problems: list[Problem]
) -> Any:
    span = document.span(at)
    text, numbers = entry.dtype is DType.STRING, entry.dtype is DType.UINT8
    if not (text or (numbers and len(entry.shape) == 1)):
        message = f"'{at[-2]}' cannot be the content of a file: it is {entry.dtype}"
        hint = "an input that is a string can, and one that is uint8 with one axis"
        problems.append(Problem("E213", message, span, hint))
        return value
    try:
        content = (document.folder / value.file).read_bytes()
        return content.decode("utf-8") if text else list(content)
    except UnicodeDecodeError:
        problems.append(Problem("E213", f"{value.file} is not UTF-8", span))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "paths are relative to the folder of pipeline.yaml"
        problems.append(Problem("E213", f"cannot read {value.file}: {reason}", span, hint))
    return value
