"""Reading YAML so that every key and value keeps its place in the file.

before  bytes of pipeline.yaml
after   Document: plain data, and a Span for each key and each value
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.places import At, Places

# The loader written in C is ten times faster; PyYAML built without libyaml has only the other one.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_DEPTH = 100
Axes = Mapping[str, bool | int | float | str]
"""The values with which a template is read, by the axes of its `matrix`."""
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Document(Places):
    """One YAML file as data, with the place of every key and value."""

    data: Any
    axes: Axes = field(default_factory=dict)
    """None but for a template."""

    @property
    def folder(self) -> Path:
        """Relative paths in the file are relative to this."""
        return Path(self.path).parent


def load(path: Path) -> Document:
    """Read `path`; a file that cannot be read or is no YAML raises InputError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "`ensemblegen compile PATH/TO/pipeline.yaml` takes the file itself"
        raise InputError([Problem("E101", f"cannot read {path}: {reason}", hint=hint)]) from None
    return parse(raw, str(path))


def parse(raw: bytes, path: str) -> Document:
    """Turn bytes into a Document. Raises InputError for anything that is not YAML of plain data.

    Refused, since each hides a mistake: duplicate keys, keys that are not text, tags beyond plain
    data, aliases that contain themselves.
    """
    text = _decode(raw, path)
    reader = _Reader(path)
    try:
        _require_shallow(text, path)
        root = yaml.compose(text, Loader=_LOADER)
        data = None if root is None else reader.read(root, ())
    except yaml.MarkedYAMLError as error:
        raise InputError([_syntax_problem(error, path, text)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError([Problem("E102", f"not YAML: {error}", Span(path, 1, 1, 2))]) from None
    if reader.problems:
        raise InputError(reader.problems)
    return Document(path, reader.values, reader.keys, data)


def _require_shallow(text: str, path: str) -> None:
    """Composing recurses in C: without a bound, a line of brackets would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.ScalarEvent):  # most are
            continue
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > _DEPTH:
                mark: Any = event.start_mark
                span = Span(path, mark.line + 1, mark.column + 1, mark.column + 2)
                message = f"nested more than {_DEPTH} levels deep"
                raise InputError([Problem("E102", message, span)])
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


def _decode(raw: bytes, path: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        span = Span(path, line, column, column + 1)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise InputError([Problem("E102", message, span, "save the file as UTF-8")]) from None
    odd = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        message = f"character U+{ord(odd.group()):04X} is not allowed in YAML"
        raise InputError([Problem("E102", message, Span(path, line, column, column + 1))])
    return text


def _syntax_problem(error: yaml.MarkedYAMLError, path: str, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    span = Span(path, mark.line + 1, mark.column + 1, mark.column + 2) if mark else None
    words = ", ".join(part for part in (error.context, error.problem) if part)
    line = (text.splitlines()[mark.line :] or [""])[0] if mark else ""
    indented_by_tab = "\t" in line[: len(line) - len(line.lstrip())]
    hint = "indent with spaces, not tabs" if indented_by_tab else None
    if "${" in line:
        hint = 'between { and }, quote what holds ${...}: "variants/${variant}.pt"'
    return Problem("E102", f"not YAML: {words or error}", span, hint)


class _Reader:
    """Walks composed nodes once, building data and spans together."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.values: dict[At, Span] = {}
        self.keys: dict[At, Span] = {}
        self.problems: list[Problem] = []
        self._scalars = _LOADER("")
        self._open: set[int] = set()
        self._budget = 1_000_000  # nodes: aliases of aliases grow without bound

    def read(self, node: yaml.Node, at: At) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise ValueError("the document expands to more than a million values")
        if not isinstance(node, yaml.ScalarNode) and id(node) in self._open:
            raise ValueError(f"the value at {'.'.join(map(str, at))} contains itself")
        self.values[at] = self._span(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.read(child, (*at, i)) for i, child in enumerate(node.value)]
            return self._mapping(node, at)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, at: At) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in data:
                first = self.keys[(*at, key)]
                hint = f"it stands on line {first.line} already"
                self._problem("E103", f"key '{key}' is given twice", key_node, hint)
                continue
            self.keys[(*at, key)] = self._span(key_node)
            data[key] = self.read(value_node, (*at, key))
        return data

    def _key(self, node: yaml.Node) -> str | None:
        if node.tag == _MERGE:
            self._problem("E104", "merge keys (<<) are not supported", node, "write the keys out")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._problem("E104", "a key must be a word, not a list or mapping", node)
            return None
        # `on`, `no` or 1 as a key is a word that YAML would turn into something else.
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _STRING:
            return node.value
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._problem("E104", f"tag {node.tag} is not plain data", node, "remove the tag")
            return None
        if node.tag.startswith("tag:yaml.org,2002:python/"):
            tag = node.tag.removeprefix("tag:yaml.org,2002:")
            self._problem("E104", f"tag !!{tag} is not plain data", node, "remove the tag")
            return None
        try:
            value: Hashable = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError, TypeError, KeyError, AttributeError):
            self._problem("E104", f"'{node.value}' cannot be read as {node.tag[18:]}", node)
            return None
        if isinstance(value, (bool, int, float, type(None))):
            return value
        return node.value  # dates and the like stay as written

    def _span(self, node: yaml.Node) -> Span:
        start, end = node.start_mark, node.end_mark
        last = end.column + 1 if end.line == start.line else start.column + 2
        return Span(self.path, start.line + 1, start.column + 1, max(last, start.column + 2))

    def _problem(self, code: str, message: str, node: yaml.Node, hint: str | None = None) -> None:
        self.problems.append(Problem(code, message, self._span(node), hint))
