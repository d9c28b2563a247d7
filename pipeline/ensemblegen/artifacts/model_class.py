"""The TritonPythonModel of a model.py: whether the Python backend finds it and can call it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "TritonPythonModel"
_SENDER = "get_response_sender"
_DECOUPLED = "using_decoupled_model_transaction_policy"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_READS_ONLY = frozenset(
    {
        "len", "enumerate", "zip", "range", "list", "reversed", "print", "str",
        "get_input_tensor_by_name", "inputs", "request_id",
    }
)  # fmt: skip
"""Functions that do not answer a request that is passed to them."""


@dataclass(frozen=True, slots=True)
class ModelClass:
    """Findings about the class; lines count from 1. Each is None or False unless it is certain."""

    missing: bool = False
    """The file defines no such class, nor imports one."""
    plain: bool = False
    """It is a class of this file without bases, so that nothing of it is elsewhere."""
    line: int = 1
    lacks_execute: bool = False
    silent: int | None = None
    """The line of an `execute` that returns nothing and answers in no other way."""
    returns: int | None = None
    """The line of an `execute` that returns responses, and sends none."""
    wants_decoupled: int | None = None
    """The line that raises unless the model is decoupled."""


def look(tree: ast.Module, text: str) -> ModelClass:
    """`text` is that of the whole file: what does not occur in it needs no search."""
    found = [each for each in _top(tree.body) if _defines(each)]
    if not found:
        return ModelClass(missing=not _dynamic(tree))
    node = found[-1]
    wants = _wants_decoupled(tree) if _DECOUPLED in text else None
    if not isinstance(node, ast.ClassDef):
        return ModelClass(wants_decoupled=wants)
    if len(found) > 1 or node.decorator_list or node.keywords or not _plain_bases(node):
        return ModelClass(line=node.lineno, wants_decoupled=wants)
    executes = [each for each in node.body if _named(each, "execute")]
    function = executes[0] if len(executes) == 1 and _SENDER not in text else None
    known = isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    return ModelClass(
        plain=True,
        line=node.lineno,
        lacks_execute=not executes and _lacks_execute(tree, node, text),
        silent=_silent(function) if known else None,  # type: ignore[arg-type]
        returns=_returns(function) if known else None,  # type: ignore[arg-type]
        wants_decoupled=wants,
    )


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run as the file is imported."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(node, _FUNCTIONS):
                yield from _top(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from _top(handler.body)


def _defines(node: ast.stmt) -> bool:
    """Whether the statement gives the module a TritonPythonModel, or may do so."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return any((each.asname or each.name) in (NAME, "*") for each in node.names)
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Delete, ast.For, ast.With)):
        names = (each for each in ast.walk(node) if isinstance(each, ast.Name))
        return any(each.id == NAME and not isinstance(each.ctx, ast.Load) for each in names)
    return _named(node, NAME)


def _named(node: ast.stmt, name: str) -> bool:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(each, ast.Name) and each.id == name for each in targets)


def _dynamic(tree: ast.Module) -> bool:
    """Whether the module may get names in ways that are not plain to see."""
    ways = {"globals", "exec", "setattr", "vars", "locals", "__getattr__", "__dict__", "modules"}
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", "")
        if name in ways:
            return True
        if isinstance(node, ast.NamedExpr) and node.target.id == NAME:
            return True
    return False


def _plain_bases(node: ast.ClassDef) -> bool:
    return all(isinstance(each, ast.Name) and each.id == "object" for each in node.bases)


def _lacks_execute(tree: ast.Module, node: ast.ClassDef, text: str) -> bool:
    if any(way in text for way in ("__getattr__", "setattr", "exec(", '"execute"', "'execute'")):
        return False
    if any(isinstance(each, (ast.Import, ast.ImportFrom)) for each in node.body):
        return False
    names = (getattr(each, "name", None) or getattr(each, "attr", "") for each in ast.walk(tree))
    return "execute" not in names


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _own(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _FUNCTIONS):
            stack.extend(ast.iter_child_nodes(node))


def _gives(node: ast.AST) -> bool:
    if isinstance(node, ast.Return):
        empty = node.value is None
        none = isinstance(node.value, ast.Constant) and node.value.value is None
        return not empty and not none
    return isinstance(node, (ast.Yield, ast.YieldFrom))


def _silent(function: _Function) -> int | None:
    """Its line, if no value is returned and no request goes where it could be answered."""
    nodes = list(_own(function))
    if any(isinstance(each, _FUNCTIONS) for each in nodes) or function.decorator_list:
        return None
    if any(isinstance(each, ast.Raise) or _gives(each) for each in nodes):
        return None
    requests = _requests(function, nodes)
    if not requests or any(_escapes(node, requests) for node in nodes):
        return None
    return function.lineno


def _requests(function: _Function, nodes: list[ast.AST]) -> set[str]:
    """The names that stand for the requests, or for one of them."""
    arguments = [each.arg for each in function.args.args]
    if len(arguments) != 2 or function.args.vararg or function.args.kwarg:
        return set()
    names = {arguments[1]}
    for node in nodes:
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            used = {each.id for each in ast.walk(node.iter) if isinstance(each, ast.Name)}
            if used & names:
                bound = (each for each in ast.walk(node.target) if isinstance(each, ast.Name))
                names.update(each.id for each in bound)
    return names


def _escapes(node: ast.AST, names: set[str]) -> bool:
    """Whether a request is handed on to something that is not known to leave it alone."""

    def is_one(each: ast.AST | None) -> bool:
        if isinstance(each, (ast.Subscript, ast.Starred)):
            each = each.value
        return isinstance(each, ast.Name) and each.id in names

    if isinstance(node, ast.Call):
        function = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        given = [*node.args, *(each.value for each in node.keywords)]
        return function not in _READS_ONLY and any(is_one(each) for each in given)
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        return is_one(node.value)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
        return any(is_one(each) for each in ast.iter_child_nodes(node) if _loads(each))
    return isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)) and is_one(node.elt)


def _loads(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


def _returns(function: _Function) -> int | None:
    """The line of the last statement, if it returns a value that is not None."""
    last = function.body[-1]
    if not isinstance(last, ast.Return) or not _gives(last) or function.decorator_list:
        return None
    lists = isinstance(last.value, (ast.List, ast.ListComp))
    if isinstance(last.value, ast.Name):
        bound = [
            each.value
            for each in _own(function)
            if isinstance(each, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == last.value.id for t in each.targets)
        ]
        lists = bool(bound) and all(isinstance(each, (ast.List, ast.ListComp)) for each in bound)
    return last.lineno if lists else None


def _wants_decoupled(tree: ast.Module) -> int | None:
    """`if not using_decoupled_model_transaction_policy(...): raise`, or by way of a variable."""
    holders = _holders(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.If) or not isinstance(node.body[0], ast.Raise):
            continue
        test = node.test
        denied = test.operand if isinstance(test, ast.UnaryOp) else None
        if _negates(test) and (_asks(denied) or _path(denied) in holders):
            return node.lineno
    return None


def _negates(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _holders(tree: ast.Module) -> set[str]:
    """What is set once, to whether the model is decoupled."""
    held: dict[str, list[bool]] = {}
    for node in ast.walk(tree):
        for target in getattr(node, "targets", None) or [getattr(node, "target", None)]:
            path = _path(target)
            if path:
                held.setdefault(path, []).append(_asks(getattr(node, "value", None)))
    return {path for path, asks in held.items() if asks == [True]}


def _path(node: ast.AST | None) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


def _asks(node: ast.AST | None) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) == _DECOUPLED
