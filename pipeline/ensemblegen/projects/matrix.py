"""Templates: a file whose `matrix` makes a pipeline for each combination of its axes.

before  Document
after   Documents that differ in nothing but their axes; `words` puts these where the schema says so

What is wrong with a template is said once, with the variants in which it is wrong.
"""

from __future__ import annotations

import glob
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import PydanticCustomError

from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.places import At
from ensemblegen.source import Axes, Document
from ensemblegen.words import axis_text, expanded

KEY = "matrix"
_MOST = 10_000
_SHOWN = 3
_AXIS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = "`{size: [small, large]}`, `{size: {files: models/*.pt}}`, or a list of `{size: small}`"
_REFERENCE = re.compile(r"([_-]?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def is_template(document: Document) -> bool:
    return isinstance(document.data, dict) and document.data.get(KEY) is not None


def variants(document: Document) -> tuple[Document, ...]:
    """The document once for each variant; InputError with all that is wrong with its `matrix`."""
    reader = _Reader(document)
    found = reader.variants()
    if reader.problems:
        raise InputError(reader.problems)
    return tuple(replace(document, axes=each) for each in found)


def label(axes: Axes) -> str:
    """What a variant is called where its problems are told."""
    return "+".join(axis_text(each) for each in axes.values())


def chosen(documents: Sequence[Document], words: Sequence[str]) -> tuple[Document, ...]:
    """The variants that have every one of `words`: VALUE, or AXIS=VALUE. InputError if none has."""
    kept = tuple(each for each in documents if all(_has(each.axes, word) for word in words))
    if kept:
        return kept
    known = {axis_text(value) for each in documents for value in each.axes.values()}
    lost = [word for word in words if not any(_has(each.axes, word) for each in documents)]
    if lost:
        message, hint = f"there is no variant '{lost[0]}'", did_you_mean(lost[0], known)
    else:
        message, hint = f"no variant is {' and '.join(words)}", None
    span = documents[0].key_span((KEY,)) if documents else None
    raise InputError([Problem("E605", message, span, hint)])


def _has(axes: Axes, word: str) -> bool:
    axis, equal, value = word.partition("=")
    if equal and axis in axes:
        return axis_text(axes[axis]) == value
    return word in map(axis_text, axes.values())


def common_name(document: Document, axes: Axes) -> str:
    """What variants that agree in `axes` alone are called: the template's name without the rest."""

    def value(match: re.Match[str]) -> str:
        return f"{match[1]}{axis_text(axes[match[2]])}" if match[2] in axes else ""

    text = _REFERENCE.sub(value, str(document.data["name"])).strip("_-")
    folder = document.folder.resolve().name
    return text or re.sub(r"[^A-Za-z0-9_-]+", "_", folder).strip("_-") or "shared"


def together(
    found: Sequence[tuple[Document, Sequence[Problem]]],
) -> Iterator[Problem]:
    """The problems of all variants: those of one code at one place are one, which says where.

    Its words are those of the first variant that has it.
    """
    if len(found) == 1:
        yield from found[0][1]
        return
    groups: dict[tuple[object, ...], list[tuple[Axes, Problem]]] = {}
    for document, problems in found:
        count: dict[tuple[object, ...], int] = {}
        for each in problems:
            place = (each.code, each.span)
            count[place] = count.get(place, 0) + 1
            groups.setdefault((*place, count[place]), []).append((document.axes, each))
    for group in groups.values():
        first = group[0][1]
        where = _which([axes for axes, _ in group], len(found))
        yield replace(first, message=f"{first.message} ({where})")


def _which(wrong: Sequence[Axes], count: int) -> str:
    if len(wrong) == count:
        return f"in all {count} variants"
    names = ", ".join(label(axes) for axes in wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"in {len(wrong)} of {count} variants: {names}{more}"


class _Reader:
    """Reads the `matrix` of one file; what is wrong with it is collected."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def variants(self) -> list[Axes]:
        written = self.document.data[KEY]
        if isinstance(written, list):
            found = self._listed(written)
        elif isinstance(written, dict):
            found = self._product(written)
        else:
            self._problem("`matrix` is a mapping of axes, or a list of variants", hint=_FORMS)
            return []
        if not found and not self.problems:
            self._problem("`matrix` makes no variant", hint=_FORMS)
        return found

    def _product(self, written: Mapping[str, Any]) -> list[Axes]:
        axes = {name: self._axis(name, value) for name, value in written.items()}
        self._require_few(math.prod(len(values) for values in axes.values()))
        if self.problems or not axes:
            return []
        return [
            dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
        ]

    def _axis(self, name: str, value: object) -> list[Any]:
        self._require_name(name, (name,))
        if isinstance(value, dict):
            return self._files(name, value)
        if not isinstance(value, list) or not value:
            self._problem(f"axis '{name}' is a list of values", name, hint=_FORMS)
            return []
        seen: set[str] = set()
        for i, each in enumerate(value):
            self._require_value(each, (name, i))
            if axis_text(each) in seen:
                self._problem(f"axis '{name}' has '{axis_text(each)}' twice", name, i)
            seen.add(axis_text(each))
        return value

    def _files(self, name: str, value: Mapping[str, Any]) -> list[str]:
        pattern = value.get("files")
        if set(value) != {"files"} or not isinstance(pattern, str) or pattern.count("*") != 1:
            message = f"axis '{name}' is `files:` with a path that has one *, and nothing else"
            self._problem(message, name, hint="for example `{files: models/*.pt}`")
            return []
        try:
            before, after = expanded(pattern).split("*")
        except PydanticCustomError as error:
            span = self.document.span((KEY, name, "files"))
            self.problems.append(Problem("E114", error.message(), span))
            return []
        start = str(self.document.folder / "x")[:-1] + before
        paths = glob.glob(f"{glob.escape(start)}*{glob.escape(after)}")  # noqa: PTH207 - of text
        found = sorted(path[len(start) : len(path) - len(after)] for path in paths)
        if not found:
            message, hint = f"no file is {pattern}", "paths are relative to the template's folder"
            self._problem(message, name, "files", hint=hint)
        return found

    def _listed(self, written: Sequence[object]) -> list[Axes]:
        found: list[Axes] = []
        seen: set[tuple[tuple[str, str], ...]] = set()
        for i, each in enumerate(written[: _MOST + 1]):
            if not isinstance(each, dict) or not each:
                self._problem("a variant is a mapping of its axes", i, hint=_FORMS)
                continue
            for name, value in each.items():
                self._require_name(name, (i, name))
                self._require_value(value, (i, name))
            if found and set(each) != set(found[0]):
                odd = sorted(set(each) ^ set(found[0]))[0]
                self._problem(f"'{odd}' is an axis of some variants only", i)
            values = tuple(sorted((name, axis_text(value)) for name, value in each.items()))
            if values in seen:
                self._problem("this variant is there already", i)
            seen.add(values)
            found.append(each)
        self._require_few(len(written))
        return found

    def _require_few(self, count: int) -> None:
        if count > _MOST:
            self._problem(f"`matrix` makes {count} variants: {_MOST} is the most")

    def _require_name(self, name: str, way: At) -> None:
        if not _AXIS.fullmatch(name):
            self._problem(f"'{name}' is no name of an axis: letters, digits and _", *way)

    def _require_value(self, value: object, way: At) -> None:
        if not isinstance(value, (bool, int, float, str)) or value == "":
            self._problem("a value of an axis is a word, a number, true or false", *way)

    def _problem(self, message: str, *way: str | int, hint: str | None = None) -> None:
        span = self.document.span((KEY, *way))
        self.problems.append(Problem("E246", message, span, hint))
