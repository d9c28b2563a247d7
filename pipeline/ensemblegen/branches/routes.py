"""Steps that are not simply run on every row: read, lifted, and seen as the ensemble has them.

A step with `when` and the steps that stand in for it are one step of the ensemble, whose model
calls theirs; likewise a step with `map`. Those models are members that no ensemble names: called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ensemblegen.branches import condition
from ensemblegen.branches.condition import Condition, ConditionError
from ensemblegen.errors import did_you_mean
from ensemblegen.members import Port, Signature, Site
from ensemblegen.parts import Link, Source
from ensemblegen.places import At
from ensemblegen.sizes import Sizes
from ensemblegen.spec import StepSpec
from ensemblegen.types import Dim, Tensor

if TYPE_CHECKING:
    from ensemblegen.graph import Node

Word = Literal["when", "map"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """What an output is for rows that no step is run on: a constant, or another tensor's row."""

    value: Any = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """How a step is run, as its author wrote it."""

    word: Word
    text: str = ""
    """Of the condition."""
    condition: Condition | None = None
    """None where it cannot be read, which is reported, and with `map`."""
    otherwise: str | None = None
    """The step that is run on the other rows."""
    fallbacks: Mapping[str, Fallback] = field(default_factory=dict)
    over: tuple[str, ...] = ()
    """References to the tensors whose first axis is that of the items."""
    counts: str | None = None

    def unread(self) -> set[str]:
        """Names in it that are found nowhere else: those of what cannot be read, and of steps."""
        words = set() if self.condition else set(re.findall(r"\w+", self.text))
        return words if self.otherwise is None else {*words, self.otherwise}

    def references(self) -> Iterator[tuple[str, At]]:
        """What it reads beside the step's inputs, each with its way inside the step."""
        for each in self.condition.references if self.condition else ():
            yield each, ("when",)
        for name, fallback in self.fallbacks.items():
            if fallback.source is not None:
                yield fallback.source, ("else", name, "from")
        if self.counts is not None:
            yield self.counts, ("map", "counts")


def read(step: StepSpec, site: Site) -> Route | None:
    """What a step says of it, None if nothing; what is wrong with the words is reported."""
    if not step.routed:
        return None
    for word, message, hint in _misfits(step, site.name):
        site.key_problem("E236", message, word, hint=hint)
    if step.when is None and step.otherwise is None:
        if step.over is None:
            return None
        _require_links(step, site)
        return Route("map", over=tuple(step.over.over), counts=step.over.counts)
    chosen = step.otherwise if isinstance(step.otherwise, str) else None
    values = step.otherwise if isinstance(step.otherwise, dict) else {}
    fallbacks = {name: _fallback(value) for name, value in values.items()}
    text = step.when or ""
    return Route("when", text, _condition(text, site) if text else None, chosen, fallbacks)


def _misfits(step: StepSpec, name: str) -> Iterator[tuple[str, str, str]]:
    """Words that do not go together: the word, what is wrong with it, and what may help."""
    say = "say `when: CONDITION`, or remove it"
    if step.over is not None and (step.when is not None or step.otherwise is not None):
        hint = "put one of the two into a pipeline of its own, and run that with `ensemble:`"
        yield "map", "a step has either `when` or `map`", hint
    elif step.when is None and step.otherwise is not None:
        yield "else", "`else` means nothing without `when`", say
    elif step.when is None and step.over is None:
        yield "bls", "`bls` means nothing without `when` or `map`", say
    elif step.when is not None and not step.otherwise:
        message = f"step '{name}' does not say what the other rows get"
        yield "when", message, "add `else: STEP`, or `else: {OUTPUT: 0.0}`"


def _require_links(step: StepSpec, site: Site) -> None:
    """Each mapped tensor must reach the step, or there is nothing to run it on."""
    sources = {each.source for each in step.inputs.values() if each.source is not None}
    for each in step.over.over if step.over else ():
        if each not in sources:
            message = f"no input of step '{site.name}' comes from '{each}', which it is mapped over"
            site.problem("E241", message, "map", hint=did_you_mean(each, sources))


def _fallback(value: Any) -> Fallback:
    if isinstance(value, dict) and set(value) == {"from"} and isinstance(value["from"], str):
        return Fallback(source=value["from"])
    if isinstance(value, dict) and set(value) == {"value"}:
        return Fallback(value["value"])
    return Fallback(value)


def _condition(text: str, site: Site) -> Condition | None:
    try:
        return condition.parse(text)
    except ConditionError as error:
        message = f"the condition of '{site.name}': {error}"
        site.problem("E237", message, "when", hint=error.hint)
        return None


def lifted(
    name: str, own: Signature, links: tuple[Link, ...], over: frozenset[Source]
) -> Signature:
    """A mapped step as the pipeline sees it: its items are an axis of what they come from."""
    size: Dim = items(name)

    def with_items(port: Port) -> Port:
        if port.tensor is None:
            return port
        return replace(port, tensor=Tensor(port.tensor.dtype, (size, *port.tensor.shape)))

    mapped = {link.name for link in links if link.source in over}
    inputs = {key: with_items(port) if key in mapped else port for key, port in own.inputs.items()}
    outputs = {key: with_items(port) for key, port in own.outputs.items()}
    return Signature(inputs, outputs, own.artifact, own.same)


def items(step: str) -> str:
    """The size of the items' axis of a mapped step, until an edge joins it to others."""
    return f"{step}/items"


def item(tensor: Tensor) -> Tensor:
    """The type of one item of a mapped tensor."""
    return Tensor(tensor.dtype, tensor.shape[1:])


def caller(node: Node) -> str:
    """What the model that calls others for a step goes by among the steps; no other has a dot."""
    assert node.route is not None, "asked before"  # noqa: S101
    return f"{node.name}.{node.route.word}"


def caller_model(pipeline: str, node: Node) -> str:
    """Its name in the repository."""
    said = node.step.bls.model if node.step.bls is not None else None
    return said or f"{pipeline}_{caller(node).replace('.', '_')}"


def chain(node: Node, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """A step and those that stand in for it, in the order in which they are asked."""
    found = [node]
    while (after := _after(found[-1], nodes)) is not None and after not in found:
        found.append(after)  # one that is there already is reported as such
    return tuple(found)


def _after(node: Node, nodes: Mapping[str, Node]) -> Node | None:
    name = node.route.otherwise if node.route else None
    return nodes.get(name) if name is not None else None


def stand_ins(nodes: Mapping[str, Node]) -> frozenset[str]:
    """Steps that are run in the place of others: no steps of the ensemble themselves."""
    return frozenset(
        after.name for node in nodes.values() if (after := _after(node, nodes)) is not None
    )


def served(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The steps of the ensemble: each with everything that is read for it."""
    others = stand_ins(nodes)
    found = {
        name: node
        if node.route is None
        else replace(
            node,
            links=tuple(link for each in chain(node, nodes) for link in (*each.links, *each.taps)),
        )
        for name, node in nodes.items()
        if name not in others
    }
    return found or dict(nodes)  # all stand in for each other, which is reported


def unify(
    sizes: Sizes, nodes: Mapping[str, Node], tensor: Callable[[Source], Tensor | None]
) -> None:
    """Make the sizes one that the items' axis joins, and those of outputs that are one tensor."""
    for node in nodes.values():
        for link in node.links if node.over else ():
            given = tensor(link.source)
            if link.source in node.over and given is not None and given.shape:
                ends = (str(link.source), f"{node.name}.{link.name}")
                sizes.unify(given.shape[:1], (items(node.name),), ends, link.span)
        other = _after(node, nodes)
        if other is None or node.signature is None or other.signature is None:
            continue
        for name, port in node.signature.outputs.items():
            same = other.signature.outputs.get(name)
            if port.tensor is not None and same is not None and same.tensor is not None:
                ends = (f"{other.name}.{name}", f"{node.name}.{name}")
                sizes.unify(same.tensor.shape, port.tensor.shape, ends, node.span)
