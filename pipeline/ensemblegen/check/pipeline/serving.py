"""Does Triton get what the steps say of instances, queue, cache and warm-up?

Whether the values fit each other is asked of the config that they make, by the rules of
`check.repository`; here are the words that would not come into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ensemblegen import warmup
from ensemblegen.errors import Problem
from ensemblegen.graph import Graph, Node
from ensemblegen.places import At
from ensemblegen.serving import Serving
from ensemblegen.types import Tensor

_BATCHING = "dynamic_batching"
_GROUP = ("instances", "rate_limiter", "host_policy")
"""Words that stand in the instance group."""
_OF_MODEL = (*_GROUP, _BATCHING, *(name for name in Serving.model_fields if name not in _GROUP))

_FIELDS: Mapping[At, tuple[At, ...]] = {
    ("instances",): (("instance_group",),),
    ("rate_limiter",): (("instance_group",),),
    ("host_policy",): (("instance_group",),),
    ("response_cache",): (("response_cache",),),
    ("warmup",): (("model_warmup",),),
    ("priority",): ((_BATCHING, "priority_levels"), (_BATCHING, "default_priority_level")),
    ("queue",): ((_BATCHING, "default_queue_policy"), (_BATCHING, "priority_queue_policy")),
    (_BATCHING, "max_queue_delay"): ((_BATCHING, "max_queue_delay_microseconds"),),
    (_BATCHING, "preferred_batch_size"): ((_BATCHING, "preferred_batch_size"),),
    (_BATCHING, "preserve_ordering"): ((_BATCHING, "preserve_ordering"),),
}
"""The fields of a ModelConfig that each word sets."""


def serving(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        if not node.kind.makes_model:
            yield from _borrowed(graph, node)
            continue
        yield from _queue(graph, node)
        yield from _group(graph, node)
        yield from _twice(graph, ("steps", node.name), node.step.config)
        yield from _warmup(graph, node)
    yield from _twice(graph, (), graph.config)


def _borrowed(graph: Graph, node: Node) -> Iterator[Problem]:
    for word in _OF_MODEL:
        if word in node.step.model_fields_set:
            message = f"step '{node.name}' runs a model that is made elsewhere: it has no {word}"
            span = graph.document.key_span(("steps", node.name, word))
            yield Problem("E517", message, span, "say it where the model is made")


def _queue(graph: Graph, node: Node) -> Iterator[Problem]:
    """Triton has queues in its dynamic batcher only, which also works with batches of one."""
    step = node.step
    size = step.max_batch_size if step.max_batch_size is not None else graph.max_batch_size
    batched = step.dynamic_batching is not None or size == 0 or _BATCHING in step.config
    if batched and "sequence_batching" not in step.config:
        return
    for word in ("queue", "priority"):
        if getattr(step, word) is not None:
            message = f"step '{node.name}' has no {_BATCHING}, without which there is no {word}"
            span = graph.document.key_span(("steps", node.name, word))
            yield Problem("E517", message, span, f"add `{_BATCHING}: true`")


def _group(graph: Graph, node: Node) -> Iterator[Problem]:
    said: Any = node.step.device
    for word in _GROUP if said == "auto" else ():
        if word in node.step.model_fields_set:
            message = f"the server decides where '{node.name}' runs (device: auto), and how often"
            span = graph.document.key_span(("steps", node.name, word))
            yield Problem("E517", message, span, f"write device: cpu or device: gpu for {word}")


def _twice(graph: Graph, at: At, config: Mapping[str, Any]) -> Iterator[Problem]:
    """What a word and `config` both set: one of the two would be lost."""
    for word, fields in _FIELDS.items():
        if (*at, *word) not in graph.document.keys or (at == () and word != ("response_cache",)):
            continue
        for field in fields:
            if _has(config, field):
                message = f"`{'.'.join(map(str, word))}` sets {field[-1]}, too"
                span = graph.document.key_span((*at, "config", *field))
                yield Problem("E517", message, span, "remove one of the two")
                break


def _has(config: Any, way: At) -> bool:
    for part in way:
        if not isinstance(config, Mapping) or part not in config:
            return False
        config = config[part]
    return True


def _warmup(graph: Graph, node: Node) -> Iterator[Problem]:
    wanted = node.step.warmup
    if wanted is None or node.signature is None:
        return
    feeds = _feeds(graph, node)
    at = ("steps", node.name, "warmup")
    found = list(warmup.misspelt(wanted, feeds))
    try:
        warmup.samples(wanted, feeds, graph.examples)
    except warmup.UnfitError as unfit:
        found.append(unfit)
    for each in found:
        message = f"the warm-up of '{node.name}': {each.message}"
        yield Problem("E435", message, graph.document.key_span((*at, *each.way)), each.hint)


def _feeds(graph: Graph, node: Node) -> dict[str, warmup.Feed]:
    """The inputs that the model will have, as the plan completes them."""
    sources = {link.name: link.source for link in node.links}
    found: dict[str, warmup.Feed] = {}
    for name, port in (node.signature.inputs if node.signature else {}).items():
        source = sources.get(name)
        given = graph.tensor(source) if source else None
        tensor = port.tensor if node.kind.verbatim else port.tensor or given
        entry = graph.entries.get(source.tensor) if source and source.step is None else None
        optional = entry.optional if entry and not node.kind.verbatim else not port.required
        shape = graph.sizes.resolve(tensor.shape) if tensor else ()
        shown = Tensor(tensor.dtype, shape) if tensor else None
        found[name] = warmup.Feed(shown, entry.name if entry else None, optional)
    return found
