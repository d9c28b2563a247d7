"""What a model.py of Triton's Python backend says of itself, read with `ast` and never imported.

Only what is certain is reported: a name that is a plain string where it is used, or held by a
variable, a constant or an attribute that is set once. Python backend: README and pb_stub.cc.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ensemblegen.artifacts import python_scopes
from ensemblegen.artifacts.model_class import ModelClass, look
from ensemblegen.artifacts.python_scopes import Found, Scope

_LARGE = 1 << 20
_MODULES = ("triton_python_backend_utils", "c_python_backend_utils")
_LINE_END = re.compile(r"\r\n|\r|\n")
_TEMPLATE = re.compile(r"\{%|\{\{|\$\{|<%")
_NEWER = re.compile(r"\bf['\"]|\btype\s+\w+|(def|class)\s+\w+\[|except\*|\bf['\"]{3}")
"""Where Python 3.12 has more to say than the Python that reads."""


class NotPythonError(ValueError):
    """The file is no Python; the message is Python's own."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@dataclass(frozen=True, slots=True)
class Mention:
    """A tensor or a model that the code names, and where; columns count characters from 1."""

    name: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Call:
    """A request that the code makes of another model."""

    model: Mention
    inputs: tuple[Mention, ...] | None
    """None unless all of them are known."""
    outputs: tuple[Mention, ...]
    """Those asked for whose names are known."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What the code names. Nothing is listed that is handled if it is missing."""

    inputs: tuple[Mention, ...]
    """Of `get_input_tensor_by_name`."""
    input_configs: tuple[Mention, ...]
    output_configs: tuple[Mention, ...]
    outputs: tuple[Mention, ...]
    """Tensors that are put into responses."""
    all_outputs: bool
    """Whether responses hold nothing else."""
    calls: tuple[Call, ...]
    not_arrays: tuple[Mention, ...]
    """What is no numpy array and is made a `Tensor` all the same."""
    numpy_as_dlpack: tuple[Mention, ...]
    """Numpy arrays that are given to `Tensor.from_dlpack`."""
    parameters: tuple[Mention, ...]
    """Parameters of responses."""
    texts: frozenset[str]
    """Every string in the file."""
    model: ModelClass


def read(text: str) -> ModelSource | None:
    """Read a model.py; None if nothing can be said. Raises NotPythonError where Python would."""
    tree = _parse(text)
    return None if tree is None else _Reader(text, tree).source()


def lines_of(text: str) -> list[str]:
    """As Python counts them: `str.splitlines` splits at more than line ends."""
    return _LINE_END.split(text)


def _parse(text: str) -> ast.Module | None:
    if len(text) > _LARGE or "\0" in text:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        lines = lines_of(text)
        line = min(error.lineno or 1, max(1, len(lines)))
        shown = lines[line - 1] if lines else ""
        if _may_be_right(shown, error.msg):
            return None
        raise NotPythonError(error.msg, line, max(1, error.offset or 1)) from None
    except (ValueError, RecursionError, MemoryError):
        return None


def _may_be_right(line: str, message: str) -> bool:
    """Whether a template stands there, or what only a newer Python reads."""
    if _TEMPLATE.search(line):
        return True
    older = sys.version_info < (3, 12)
    return older and bool(_NEWER.search(line) or message.startswith("f-string"))


class _Reader:
    def __init__(self, text: str, tree: ast.Module) -> None:
        self._text = text
        self._lines = lines_of(text)
        self._tree = tree
        self._modules = {"pb_utils"}
        self._numpy: set[str] = set()
        self._imported: dict[str, str] = {}
        self._texts: set[str] = set()
        self._named: dict[str, list[Found]] = {}

    def source(self) -> ModelSource:
        for found in python_scopes.walk(self._tree):
            self._note(found)
        responses = [self._response(found) for found in self._calls("InferenceResponse")]
        mentions = {each for some, _ in responses for each in some}
        return ModelSource(
            tuple(self._asked("get_input_tensor_by_name")),
            tuple(self._asked("get_input_config_by_name")),
            tuple(self._asked("get_output_config_by_name")),
            tuple(sorted(mentions, key=lambda each: (each.line, each.column))),
            bool(mentions) and all(complete for _, complete in responses),
            tuple(self._requests()),
            tuple(self._values("Tensor", _is_no_array)),
            tuple(self._values("Tensor.from_dlpack", self._is_numpy)),
            tuple(self._parameters()),
            frozenset(self._texts),
            look(self._tree, self._text),
        )

    def _note(self, found: Found) -> None:
        node = found.node
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                self._texts.add(node.value)
        elif isinstance(node, ast.Call):
            name = self._function(node.func)
            if name:
                self._named.setdefault(name, []).append(found)
        elif isinstance(node, ast.Import):
            names = (each for each in node.names if each.name in _MODULES)
            self._modules.update(each.asname or each.name for each in names)
            arrays = (each for each in node.names if each.name == "numpy")
            self._numpy.update(each.asname or each.name for each in arrays)
        elif isinstance(node, ast.ImportFrom) and node.module in _MODULES:
            self._imported.update((each.asname or each.name, each.name) for each in node.names)

    def _function(self, node: ast.expr) -> str:
        """What of `triton_python_backend_utils` is called, as `Tensor` or `Tensor.from_dlpack`."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id, "")
        if not isinstance(node, ast.Attribute):
            return ""
        if isinstance(node.value, ast.Name) and node.value.id in self._modules:
            return node.attr
        inner = self._function(node.value)
        return f"{inner}.{node.attr}" if inner == "Tensor" else ""

    def _calls(self, *names: str) -> Iterator[Found]:
        for name in names:
            yield from self._named.get(name, ())

    def _mention(self, node: ast.expr | None, scope: Scope) -> Mention | None:
        name = scope.text(node)
        if name is None or node is None or not name:
            return None
        return Mention(name, node.lineno, *self._columns(node))

    def _columns(self, node: ast.expr) -> tuple[int, int]:
        """From bytes to characters."""
        line = self._lines[node.lineno - 1] if node.lineno <= len(self._lines) else ""
        start = len(line.encode()[: node.col_offset].decode(errors="ignore")) + 1
        end = len(line)
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            end = len(line.encode()[: node.end_col_offset].decode(errors="ignore"))
        return start, max(end, start) + 1

    def _asked(self, function: str) -> Iterator[Mention]:
        for found in self._calls(function):
            call, parent = found.node, found.parent
            assert isinstance(call, ast.Call)  # noqa: S101 - noted as such
            if found.guarded or not isinstance(parent, (ast.Assign, ast.AnnAssign, ast.Attribute)):
                continue
            targets = getattr(parent, "targets", None) or [getattr(parent, "target", None)]
            names = {each.id for each in targets if isinstance(each, ast.Name)}
            plain = isinstance(parent, ast.Attribute) or len(names) == len(targets)
            if not plain or names & found.scope.tested:
                continue
            mention = self._mention(_argument(call, 1, "name"), found.scope)
            if mention is not None:
                yield mention

    def _response(self, found: Found) -> tuple[list[Mention], bool]:
        """The tensors of an InferenceResponse, and whether these are all."""
        call = found.node
        assert isinstance(call, ast.Call)  # noqa: S101 - noted as such
        if _unpacks(call):
            return [], False
        tensors = _argument(call, 0, "output_tensors")
        return self._tensors(tensors, found.scope) if tensors is not None else ([], True)

    def _tensors(self, node: ast.expr, scope: Scope) -> tuple[list[Mention], bool]:
        """The tensors in a list."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return self._each(list(node.elts), scope)
        found = scope.values(node.id) if isinstance(node, ast.Name) else None
        if found is None or len(found[1]) != 1 or not isinstance(found[1][0], ast.List):
            return [], False
        assert isinstance(node, ast.Name)  # noqa: S101 - else nothing was found
        more = found[0].appended.get(node.id, [])
        mentions, complete = self._each([*found[1][0].elts, *filter(None, more)], scope)
        return mentions, complete and None not in more and found[0] is scope

    def _each(self, nodes: list[ast.expr], scope: Scope) -> tuple[list[Mention], bool]:
        mentions: list[Mention] = []
        complete = True
        for node in nodes:
            some = self._tensor(node, scope)
            mentions += some or []
            complete = complete and bool(some)
        return mentions, complete

    def _tensor(self, node: ast.expr, scope: Scope) -> list[Mention] | None:
        """A tensor that the code makes: there, or held by a variable."""
        if isinstance(node, ast.Call) and self._function(node.func) in _TENSORS:
            mention = self._mention(_argument(node, 0, "name"), scope)
            return [mention] if mention and not _unpacks(node) else None
        found = scope.values(node.id) if isinstance(node, ast.Name) else None
        if found is None or found[0] is not scope:
            return None
        mentions: list[Mention] = []
        for value in found[1]:
            some = self._tensor(value, scope) if isinstance(value, ast.Call) else None
            if not some:
                return None
            mentions += some
        return mentions

    def _values(self, function: str, wrong: Callable[[ast.expr], bool]) -> Iterator[Mention]:
        """Second arguments that are `wrong`."""
        for found in self._calls(function):
            assert isinstance(found.node, ast.Call)  # noqa: S101 - noted as such
            value = _argument(found.node, 1, "tensor")
            if value is not None and wrong(value):
                yield Mention(ast.unparse(value), value.lineno, *self._columns(value))

    def _is_numpy(self, node: ast.expr) -> bool:
        """Whether a call gives a numpy array, by its name."""
        function = node.func if isinstance(node, ast.Call) else None
        if not isinstance(function, ast.Attribute):
            return False
        if function.attr in ("as_numpy", "numpy"):
            return True
        module = function.value
        return isinstance(module, ast.Name) and module.id in self._numpy

    def _parameters(self) -> Iterator[Mention]:
        for found in self._calls("InferenceResponse"):
            assert isinstance(found.node, ast.Call)  # noqa: S101 - noted as such
            value = _argument(found.node, None, "parameters")
            if value is not None:
                yield Mention("parameters", value.lineno, *self._columns(value))

    def _requests(self) -> Iterator[Call]:
        for found in self._calls("InferenceRequest"):
            call, scope = found.node, found.scope
            assert isinstance(call, ast.Call)  # noqa: S101 - noted as such
            model = self._mention(_argument(call, None, "model_name"), scope)
            if model is None or _unpacks(call):
                continue
            inputs = _argument(call, None, "inputs")
            mentions, complete = self._tensors(inputs, scope) if inputs else ([], False)
            outputs = _argument(call, None, "requested_output_names")
            names = outputs.elts if isinstance(outputs, (ast.List, ast.Tuple)) else []
            asked = [self._mention(each, scope) for each in names]
            yield Call(
                model,
                tuple(mentions) if complete else None,
                tuple(each for each in asked if each is not None),
            )


_TENSORS = ("Tensor", "Tensor.from_dlpack")


def _is_no_array(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is not None
    return isinstance(node, (ast.List, ast.ListComp, ast.Dict, ast.JoinedStr))


def _argument(call: ast.Call, position: int | None, name: str) -> ast.expr | None:
    if position is not None and position < len(call.args):
        return call.args[position]
    return next((each.value for each in call.keywords if each.arg == name), None)


def _unpacks(call: ast.Call) -> bool:
    """Whether arguments come out of a `*` or `**`."""
    return any(isinstance(each, ast.Starred) for each in call.args) or any(
        each.arg is None for each in call.keywords
    )
