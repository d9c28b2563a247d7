"""Which names of a Python file hold one constant, found without running it.

A name counts as known only if it is bound once, by a plain assignment. What is bound in any other
way (a parameter, a loop, an import) is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_DEPTH = 8
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(eq=False)
class Scope:
    """The module, or one function; a class shares the scope that it stands in."""

    parent: Scope | None = None
    bound: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    """What each name is bound to; None for what cannot be followed."""
    appended: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    """What is appended to the list of a name; None for what cannot be followed."""
    tested: set[str] = field(default_factory=set)
    """Names that some condition asks for being None, or empty."""
    fields: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    """Attributes of the class around it, by whatever means they are set."""
    body: bool = False
    """It is the body of a class: its names are fields."""

    def values(self, name: str) -> tuple[Scope, list[ast.expr | None]] | None:
        """All that `name` is bound to, and where."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bound:
                return scope, scope.bound[name]
            scope = scope.parent
        return None

    def text(self, node: ast.expr | None, depth: int = _DEPTH) -> str | None:
        """The string that `node` is, for certain."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if not depth:
            return None
        if isinstance(node, ast.Name):
            found = self.values(node.id)
            if found is not None and len(found[1]) == 1:
                return found[0].text(found[1][0], depth - 1)
        elif _is_field(node):
            values = self.fields.get(node.attr, [])  # type: ignore[union-attr]
            return self.text(values[0], depth - 1) if len(values) == 1 else None
        return None


def _is_field(node: ast.AST | None) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls", "TritonPythonModel")
    )


class Found(NamedTuple):
    """A node with the scope that it stands in."""

    node: ast.AST
    scope: Scope
    parent: ast.AST
    guarded: bool
    """It stands in a condition, or under one, or alone in a `try`."""


def walk(tree: ast.Module) -> Iterator[Found]:
    """Every node of the file. Scopes are complete only when the walk has ended."""
    scope = Scope()
    stack: list[Found] = [Found(each, scope, tree, guarded=False) for each in reversed(tree.body)]
    while stack:
        found = stack.pop()
        yield found
        inner = _enter(found)
        record = _RECORDERS.get(type(found.node))
        if record is not None:
            record(found.node, found.scope)
        stack.extend(_children(found, inner))


def _enter(found: Found) -> Scope:
    node, scope = found.node, found.scope
    if isinstance(node, ast.ClassDef):
        _bind(scope, node.name, None)
        # Names of a class body are no names of its methods; they are found as fields.
        return Scope(scope, body=True)
    if isinstance(node, _FUNCTIONS):
        if not isinstance(node, ast.Lambda):
            _bind(scope, node.name, None)
        inner = Scope(scope, fields=scope.fields)
        if scope.body:
            inner.parent = scope.parent
        for each in ast.walk(node.args):
            if isinstance(each, ast.arg):
                _bind(inner, each.arg, None)
        return inner
    return scope


def _children(found: Found, scope: Scope) -> list[Found]:
    node = found.node
    alone = isinstance(node, ast.Try) and len(node.body) <= 2
    conditional = isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert))
    children = []
    for name, value in ast.iter_fields(node):
        guarded = found.guarded or conditional or (alone and name == "body")
        if isinstance(value, ast.AST):
            if value._fields:  # else it only says how its parent is meant
                children.append(Found(value, scope, node, guarded))
        elif isinstance(value, list):
            children += [
                Found(each, scope, node, guarded) for each in value if isinstance(each, ast.AST)
            ]
    return children[::-1]


def _bind(scope: Scope, name: str, value: ast.expr | None) -> None:
    scope.bound.setdefault(name, []).append(value)


def _assign(target: ast.expr, value: ast.expr | None, scope: Scope) -> None:
    if isinstance(target, ast.Name):
        _bind(scope, target.id, value)
        if scope.body:
            scope.fields.setdefault(target.id, []).append(value)
    elif isinstance(target, ast.Attribute):
        scope.fields.setdefault(target.attr, []).append(value if _is_field(target) else None)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            _assign(each, None, scope)
    elif isinstance(target, ast.Starred):
        _assign(target.value, None, scope)


def _record_assign(node: ast.AST, scope: Scope) -> None:
    assert isinstance(node, ast.Assign)  # noqa: S101 - by the table
    for target in node.targets:
        _assign(target, node.value, scope)


def _record_annotated(node: ast.AST, scope: Scope) -> None:
    assert isinstance(node, (ast.AnnAssign, ast.NamedExpr))  # noqa: S101 - by the table
    if node.value is not None:
        _assign(node.target, node.value, scope)


def _record_target(node: ast.AST, scope: Scope) -> None:
    """Loops, `with`, `+=` and the like bind what cannot be followed."""
    for name in ("target", "optional_vars"):
        target = getattr(node, name, None)
        if isinstance(target, ast.expr):
            _assign(target, None, scope)


def _record_name(node: ast.AST, scope: Scope) -> None:
    name = getattr(node, "name", None) or getattr(node, "rest", None)
    if isinstance(name, str):
        _bind(scope, name, None)


def _record_import(node: ast.AST, scope: Scope) -> None:
    assert isinstance(node, (ast.Import, ast.ImportFrom))  # noqa: S101 - by the table
    for alias in node.names:
        _bind(scope, alias.asname or alias.name.partition(".")[0], None)


def _record_outer(node: ast.AST, scope: Scope) -> None:
    """`global` and `nonlocal`: the name may be anything, here and outside."""
    assert isinstance(node, (ast.Global, ast.Nonlocal))  # noqa: S101 - by the table
    outer: Scope | None = scope
    while outer is not None:
        for name in node.names:
            outer.bound.setdefault(name, []).extend([None, None])
        outer = outer.parent


def _record_call(node: ast.AST, scope: Scope) -> None:
    assert isinstance(node, ast.Call)  # noqa: S101 - by the table
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        if function.attr == "append" and len(node.args) == 1:
            scope.appended.setdefault(function.value.id, []).append(node.args[0])
        elif function.attr in ("extend", "insert"):
            scope.appended.setdefault(function.value.id, []).append(None)


def _record_condition(node: ast.AST, scope: Scope) -> None:
    """Names that are compared with None, or stand alone in a condition."""
    tests: list[ast.AST | None] = [getattr(node, "test", None)]
    if isinstance(node, ast.BoolOp):
        tests = list(node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        tests = [node.operand]
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(isinstance(each, ast.Constant) and each.value is None for each in sides):
            tests = list(sides)
    scope.tested.update(each.id for each in tests if isinstance(each, ast.Name))


_RECORDERS: dict[type[ast.AST], Callable[[ast.AST, Scope], None]] = {
    ast.Assign: _record_assign,
    ast.AnnAssign: _record_annotated,
    ast.NamedExpr: _record_annotated,
    ast.AugAssign: _record_target,
    ast.For: _record_target,
    ast.AsyncFor: _record_target,
    ast.comprehension: _record_target,
    ast.withitem: _record_target,
    ast.ExceptHandler: _record_name,
    ast.MatchAs: _record_name,
    ast.MatchStar: _record_name,
    ast.MatchMapping: _record_name,
    ast.Import: _record_import,
    ast.ImportFrom: _record_import,
    ast.Global: _record_outer,
    ast.Nonlocal: _record_outer,
    ast.Call: _record_call,
    ast.If: _record_condition,
    ast.While: _record_condition,
    ast.IfExp: _record_condition,
    ast.Assert: _record_condition,
    ast.BoolOp: _record_condition,
    ast.UnaryOp: _record_condition,
    ast.Compare: _record_condition,
}
