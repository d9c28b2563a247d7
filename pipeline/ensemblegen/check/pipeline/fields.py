"""Are the author's own ModelConfig fields usable, where they stand and in the target release?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ensemblegen import targets
from ensemblegen.errors import Problem
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

_NOT_ON_ENSEMBLES = ("instance_group", "optimization", "model_warmup", "dynamic_batching",
                     "sequence_batching")  # fmt: skip
"""Refused by the server on an ensemble (core model_config_utils.cc)."""


def fields(graph: Graph) -> Iterator[Problem]:
    yield from _check(graph, graph.config, ("config",), is_ensemble=True)
    for node in graph.nodes.values():
        yield from _check(
            graph, node.step.config, ("steps", node.name, "config"), is_ensemble=False
        )


def _check(
    graph: Graph, given: Mapping[str, Any], at: At, *, is_ensemble: bool
) -> Iterator[Problem]:
    if not given:
        return
    from ensemblegen import model_config

    for way, message, hint in model_config.faults(given):
        yield Problem("E412", message, graph.document.key_span((*at, *way)), hint)
    for name in given:
        span = graph.document.key_span((*at, name))
        plain = _snake(name)
        if is_ensemble and plain in _NOT_ON_ENSEMBLES:
            message = f"an ensemble cannot have {plain}"
            yield Problem("E412", message, span, "put it under the step that needs it")
        elif plain in _OURS:
            message = f"{plain} is set by {_OURS[plain]}"
            yield Problem("E412", message, span, "remove it from `config`")
        since = targets.FIELDS_SINCE.get(plain)
        if since is not None and not graph.target.has(since):
            message = f"Triton {graph.target.release} does not know {plain}; {since} is the first"
            yield Problem("E504", message, span, f'`target: "{since}"` or remove it')


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
