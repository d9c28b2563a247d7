"""The expressions of `when:`: a yes or no for each item, of pipeline inputs and step outputs.

    detect.score > 0.5
    lang in ("en", "de") and not (length <= 512 or flagged)
    max(classify.probabilities) < 0.9 and len(tokens) > 128 and box[0] >= 0

Written as Python writes them, and read by its parser; nothing of it is ever evaluated as Python.
`when` of a repository is the tree that `parse` makes, as JSON; `runtime.bls.condition` answers it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ensemblegen.types import DType, Tensor

LONGEST = 1000
"""Characters of an expression."""

Tree = tuple[Any, ...]
"""("tensor", name), ("value", constant), ("item", tree, indices), ("len" | "max" | "min", tree),
("not", tree), ("and" | "or", trees), ("compare", tree, ((operator, tree), ...)),
("among", tree, values, whether).
"""
Kind = Literal["number", "text", "truth"]

_OPERATORS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_FUNCTIONS = ("len", "max", "min")
_TRUTHS = {"true": True, "false": False}
_ALLOWED = "comparisons, and, or, not, in, numbers, strings, len, max, min, x[0], inputs, outputs"
_WORDS: Mapping[Kind, str] = {"number": "a number", "text": "a string", "truth": "true or false"}


class ConditionError(Exception):
    """What is wrong with an expression, and what may help."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that is well-formed, whatever its references turn out to be."""

    text: str
    tree: Tree

    @property
    def references(self) -> tuple[str, ...]:
        """`step.output` and names of inputs, each once, in the order in which they stand there."""
        return tuple(dict.fromkeys(_references(self.tree)))


def parse(text: str) -> Condition:
    """Raises ConditionError."""
    if len(text) > LONGEST:
        raise ConditionError(f"it has {len(text)} characters; {LONGEST} is the most")
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        hint = "for example: detect.score > 0.5 and lang == 'en'"
        raise ConditionError(f"it cannot be read: {reason}", hint) from None
    return Condition(text, _tree(node))


def check(condition: Condition, tensors: Mapping[str, Tensor]) -> None:
    """Hold the types against each other; `tensors` are those of the references that are known.

    Raises ConditionError for the first thing that does not fit.
    """
    found = _kind(condition.tree, tensors)
    if found not in ("truth", None):
        hint = "compare it: x > 0" if found == "number" else "compare it: x == 'en'"
        raise ConditionError(f"it gives {_WORDS[found]}, not true or false", hint)


# --- from Python's tree to ours -------------------------------------------------------------------


def _tree(node: ast.expr) -> Tree:
    read = _READERS.get(type(node))
    if read is None:
        raise _not_allowed(node)
    return read(node)


def _not_allowed(node: ast.expr) -> ConditionError:
    hint = f"there are {_ALLOWED}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        hint = "names with `-` cannot stand here; and nothing is computed: let a step do that"
    return ConditionError(f"`{ast.unparse(node)}` is not possible in an expression", hint)


def _constant(node: Any) -> Tree:
    if isinstance(node.value, (bool, int, float, str)):
        return "value", node.value
    raise _not_allowed(node)


def _name(node: Any) -> Tree:
    return ("value", _TRUTHS[node.id]) if node.id in _TRUTHS else ("tensor", node.id)


def _attribute(node: Any) -> Tree:
    if not isinstance(node.value, ast.Name):
        raise _not_allowed(node)
    return "tensor", f"{node.value.id}.{node.attr}"


def _subscript(node: Any) -> Tree:
    inner = _tree(node.value)
    index = _whole(node.slice)
    if inner[0] == "item":
        return "item", inner[1], (*inner[2], index)
    if inner[0] != "tensor":
        raise _not_allowed(node)
    return "item", inner, (index,)


def _whole(node: ast.expr) -> int:
    value = _tree(node)
    if value[0] != "value" or type(value[1]) is not int:
        raise ConditionError(
            f"`{ast.unparse(node)}` is no index", "x[0] is the first; several: x[0][1]"
        )
    return value[1]


def _call(node: Any) -> Tree:
    known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
    if not known or len(node.args) != 1 or node.keywords:
        raise _not_allowed(node)
    inner = _tree(node.args[0])
    if inner[0] != "tensor":
        name = node.func.id
        raise ConditionError(f"{name} takes an input or output, not `{ast.unparse(node.args[0])}`")
    return node.func.id, inner


def _unary(node: Any) -> Tree:
    inner = _tree(node.operand)
    if isinstance(node.op, ast.Not):
        return "not", inner
    number = inner[0] == "value" and type(inner[1]) in (int, float)
    if isinstance(node.op, ast.USub) and number:
        return "value", -inner[1]
    raise _not_allowed(node)


def _logic(node: Any) -> Tree:
    word = "and" if isinstance(node.op, ast.And) else "or"
    return word, tuple(_tree(each) for each in node.values)


def _compare(node: Any) -> Tree:
    if isinstance(node.ops[0], (ast.In, ast.NotIn)):
        return _among(node)
    parts = []
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if type(operator) not in _OPERATORS:
            raise _not_allowed(node)
        parts.append((_OPERATORS[type(operator)], _tree(right)))
    return "compare", _tree(node.left), tuple(parts)


def _among(node: Any) -> Tree:
    choices = node.comparators[0]
    if len(node.ops) > 1 or not isinstance(choices, (ast.Tuple, ast.List, ast.Set)):
        raise ConditionError(f"`{ast.unparse(node)}`: `in` needs a list of constants after it")
    values = [_tree(each) for each in choices.elts]
    if not values or any(value[0] != "value" for value in values):
        raise ConditionError(f"`{ast.unparse(choices)}` must hold constants, and at least one")
    return "among", _tree(node.left), tuple(values), isinstance(node.ops[0], ast.In)


_READERS: Mapping[type[ast.expr], Callable[[Any], Tree]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Call: _call,
    ast.UnaryOp: _unary,
    ast.BoolOp: _logic,
    ast.Compare: _compare,
}


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, tuple):
        if tree[:1] == ("tensor",):
            yield tree[1]
        else:
            for each in tree:
                yield from _references(each)


# --- types ----------------------------------------------------------------------------------------


def _kind(tree: Tree, tensors: Mapping[str, Tensor]) -> Kind | None:
    """What a tree gives for an item; None where a type is not known."""
    if tree[0] == "value":
        return _kind_of_value(tree[1])
    if tree[0] in ("tensor", "item"):
        return _element(tree, tensors)
    if tree[0] in _FUNCTIONS:
        return _function(tree[0], tree[1], tensors)
    _judge(tree, tensors)
    return "truth"


def _kind_of_value(value: object) -> Kind:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _kind_of_type(name: str, tensor: Tensor) -> Kind:
    if tensor.dtype is DType.BF16:
        message = f"'{name}' is bf16, which cannot be compared where there is only numpy"
        raise ConditionError(message, "let the step give it as fp32 as well")
    if tensor.dtype is DType.STRING:
        return "text"
    return "truth" if tensor.dtype is DType.BOOL else "number"


def _element(tree: Tree, tensors: Mapping[str, Tensor]) -> Kind | None:
    """One element of an item: the only one, or that at given indices."""
    name, indices = (tree[1], ()) if tree[0] == "tensor" else (tree[1][1], tree[2])
    tensor = tensors.get(name)
    if tensor is None:
        return None
    rest = tensor.shape[len(indices) :]
    if len(indices) > len(tensor.shape) or any(dim != 1 for dim in rest):
        message = f"'{name}' is {tensor}: which of its numbers?"
        raise ConditionError(message, f"{name}[0], max({name}), min({name}) or len({name})")
    for index, dim in zip(indices, tensor.shape, strict=False):
        if isinstance(dim, int) and dim >= 0 and not -dim <= index < dim:
            raise ConditionError(f"'{name}' is {tensor}: it has no [{index}]")
    return _kind_of_type(name, tensor)


def _function(word: str, tree: Tree, tensors: Mapping[str, Tensor]) -> Kind | None:
    tensor = tensors.get(tree[1])
    if word == "len":
        return "number"
    if tensor is not None and _kind_of_type(tree[1], tensor) != "number":
        raise ConditionError(f"{word}({tree[1]}): '{tree[1]}' is {tensor}, and no numbers")
    return None if tensor is None else "number"


def _judge(tree: Tree, tensors: Mapping[str, Tensor]) -> None:
    """Whether what stands below a tree that gives true or false, fits together."""
    if tree[0] == "compare":
        kinds = [_kind(tree[1], tensors), *(_kind(right, tensors) for _, right in tree[2])]
        _alike(kinds, [operator for operator, _ in tree[2]])
    elif tree[0] == "among":
        _alike([_kind(each, tensors) for each in (tree[1], *tree[2])], ["=="])
    else:
        for each in (tree[1],) if tree[0] == "not" else tree[1]:
            found = _kind(each, tensors)
            if found not in ("truth", None):
                message = f"`{tree[0]}` is of true and false, not of {_WORDS[found]}"
                raise ConditionError(message, "compare it with something")


def _alike(kinds: list[Kind | None], operators: list[str]) -> None:
    known = [kind for kind in kinds if kind is not None]
    for one, other in pairwise(known):
        if one != other:
            raise ConditionError(f"{_WORDS[one]} is compared with {_WORDS[other]}")
    if "number" not in known and known and any(each not in ("==", "!=") for each in operators):
        raise ConditionError(f"{_WORDS[known[0]]} has no order: compare it with == or !=")
