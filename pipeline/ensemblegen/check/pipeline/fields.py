"""Are the author's own ModelConfig fields usable, where they stand and in the target release?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ensemblegen import targets
from ensemblegen.errors import Problem, Span
from ensemblegen.graph import Graph
from ensemblegen.places import At

_OURS = {
    "name": "the key of the step",
    "platform": "the step's kind",
    "backend": "the step's kind",
    "max_batch_size": "`max_batch_size` of the pipeline or step",
    "input": "`inputs`",
    "output": "`outputs`",
    "ensemble_scheduling": "the edges between steps",
    "runtime": "the step's kind",
    "default_model_filename": "the step's kind",
    "version_policy": "the compiler, which writes version 1",
    "model_transaction_policy": "the compiler: a step answers each request once",
}
"""Fields that follow from the pipeline, and what sets them."""

_FREE = frozenset(
    {"platform", "runtime", "default_model_filename", "version_policy", "model_transaction_policy"}
)
"""Of these, what the author of a whole model folder sets; and then of the ensemble over it, too."""

_NOT_ON_ENSEMBLES = ("instance_group", "optimization", "model_warmup", "dynamic_batching",
                     "sequence_batching")  # fmt: skip
"""Refused by the server on an ensemble (core model_config_utils.cc)."""


def fields(graph: Graph) -> Iterator[Problem]:
    ours = frozenset(_OURS) - (_FREE - {"platform"} if graph.verbatim else frozenset())
    yield from _check(graph, graph.config, ("config",), ours, is_ensemble=True)
    for node in graph.nodes.values():
        ours = frozenset(_OURS) - (_FREE if node.kind.verbatim else frozenset())
        at: At = ("steps", node.name)
        yield from _check(graph, node.step.config, (*at, "config"), ours)
        for name, port in (node.signature.inputs if node.signature else {}).items():
            yield from _tensor(graph, port.config, (*at, "inputs", name, "config"), "ModelInput")
        for name, port in (node.signature.outputs if node.signature else {}).items():
            yield from _tensor(graph, port.config, (*at, "outputs", name, "config"), "ModelOutput")
    for entry in graph.entries.values():
        yield from _tensor(graph, entry.config, ("inputs", entry.name, "config"), "ModelInput")
    for export in graph.exports:
        yield from _tensor(graph, export.config, ("outputs", export.name, "config"), "ModelOutput")


def _tensor(graph: Graph, given: Mapping[str, Any], at: At, message: str) -> Iterator[Problem]:
    """Fields of one tensor, beyond its name and type."""
    if not given:
        return
    from ensemblegen import model_config

    for way, reason, hint in model_config.faults(given, message):
        yield Problem("E412", reason, graph.document.key_span((*at, *way)), hint)
    for name in given:
        side = "input" if message == "ModelInput" else "output"
        yield from _late(graph, f"{side}.{snake(name)}", graph.document.key_span((*at, name)))
        if snake(name) in ("name", "data_type", "dims"):
            words = f"{snake(name)} is set by the tensor's name, `dtype` and `shape`"
            span = graph.document.key_span((*at, name))
            yield Problem("E412", words, span, "remove it from `config`")


def _check(
    graph: Graph,
    given: Mapping[str, Any],
    at: At,
    ours: frozenset[str],
    *,
    is_ensemble: bool = False,
) -> Iterator[Problem]:
    if not given:
        return
    from ensemblegen import model_config

    for way, message, hint in model_config.faults(given):
        yield Problem("E412", message, graph.document.key_span((*at, *way)), hint)
    for name in given:
        span = graph.document.key_span((*at, name))
        plain = snake(name)
        if is_ensemble and plain in _NOT_ON_ENSEMBLES:
            message = f"an ensemble cannot have {plain}"
            yield Problem("E412", message, span, "put it under the step that needs it")
        elif plain in ours and not (is_ensemble and _only_limits(plain, given[name])):
            message = f"{plain} is set by {_OURS[plain]}"
            yield Problem("E412", message, span, "remove it from `config`")
        yield from _late(graph, plain, span)
        inner = given[name] if isinstance(given[name], Mapping) else {}
        for field in inner:
            place = graph.document.key_span((*at, name, field))
            yield from _late(graph, f"{plain}.{snake(str(field))}", place)


def _only_limits(field: str, value: Any) -> bool:
    """What of `ensemble_scheduling` does not follow from the edges."""
    return field == "ensemble_scheduling" and isinstance(value, Mapping) and "step" not in value


def _late(graph: Graph, way: str, span: Span) -> Iterator[Problem]:
    """A field that came after the target."""
    since = targets.FIELDS_SINCE.get(way)
    if since is not None and not graph.target.has(since):
        name = way.rpartition(".")[2]
        message = f"Triton {graph.target.release} does not know {name}; {since} is the first"
        yield Problem("E504", message, span, f'`target: "{since}"` or remove it')


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
