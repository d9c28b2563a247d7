"""Does Triton get what the steps say of instances, queue, cache and warm-up?

Whether the values fit each other is asked of the config that they make, by the rules of
`check.repository`; here are the words that would not come into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ensemblegen import warmup
from ensemblegen.branches.routes import item
from ensemblegen.check.pipeline.fields import snake
from ensemblegen.errors import Problem
from ensemblegen.graph import Graph, Node
from ensemblegen.places import At
from ensemblegen.serving import QueuePolicy, Serving
from ensemblegen.targets import ENSEMBLE_CACHE
from ensemblegen.types import Tensor

_BATCHING = "dynamic_batching"
_GROUP = ("instances", "rate_limiter", "host_policy")
"""Words that stand in the instance group."""
_OF_MODEL = (*_GROUP, _BATCHING, *(name for name in Serving.model_fields if name not in _GROUP))

_QUEUE: Mapping[At, At] = {
    ("queue", word): (_BATCHING, "default_queue_policy") for word in QueuePolicy.model_fields
}
_FIELDS: Mapping[At, At] = {
    ("instances",): ("instance_group",),
    ("rate_limiter",): ("instance_group",),
    ("host_policy",): ("instance_group",),
    ("response_cache",): ("response_cache",),
    ("warmup",): ("model_warmup",),
    ("priority", "levels"): (_BATCHING, "priority_levels"),
    ("priority",): (_BATCHING, "default_priority_level"),
    ("queue", "levels"): (_BATCHING, "priority_queue_policy"),
    **_QUEUE,
    (_BATCHING, "max_queue_delay"): (_BATCHING, "max_queue_delay_microseconds"),
    (_BATCHING, "preferred_batch_size"): (_BATCHING, "preferred_batch_size"),
    (_BATCHING, "preserve_ordering"): (_BATCHING, "preserve_ordering"),
}
"""The field of a ModelConfig that each word sets; kinds have words of their own beside."""
_OF_ENSEMBLE: Mapping[At, At] = {("response_cache",): ("response_cache",)}
_ONE = "remove one of the two"


def serving(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        if not node.kind.makes_model:
            yield from _borrowed(graph, node)
            continue
        yield from _queue(graph, node)
        yield from _group(graph, node)
        words = {**_FIELDS, **node.kind.sets}
        yield from _twice(graph, ("steps", node.name), node.step.config, words)
        yield from _off(graph, node)
        yield from _warmup(graph, node)
    yield from _twice(graph, (), graph.config, _OF_ENSEMBLE)
    yield from _whole_answers(graph)


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
            hint = "sequence_batching takes its place" if batched else f"add `{_BATCHING}: true`"
            yield Problem("E517", message, span, hint)


def _group(graph: Graph, node: Node) -> Iterator[Problem]:
    said: Any = node.step.device
    for word in _GROUP if said == "auto" else ():
        if word in node.step.model_fields_set:
            message = f"the server decides where '{node.name}' runs (device: auto), and how often"
            span = graph.document.key_span(("steps", node.name, word))
            yield Problem("E517", message, span, f"write device: cpu or device: gpu for {word}")


def _twice(
    graph: Graph, at: At, config: Mapping[str, Any], words: Mapping[At, At]
) -> Iterator[Problem]:
    """What a word and `config` both set: one of the two would be lost."""
    if not config:
        return
    seen: set[At] = set()
    for word, field in words.items():
        way = _way(config, field)
        if way is not None and way not in seen and (*at, *word) in graph.document.keys:
            seen.add(way)
            message = f"{field[-1]} is set by `{'.'.join(map(str, word))}`"
            span = graph.document.key_span((*at, "config", *way))
            yield Problem("E517", message, span, _ONE)


def _off(graph: Graph, node: Node) -> Iterator[Problem]:
    step = node.step
    off = step.dynamic_batching is None and _BATCHING in step.model_fields_set
    if off and _BATCHING in step.config:
        span = graph.document.key_span(("steps", node.name, "config", _BATCHING))
        yield Problem("E517", f"`{_BATCHING}: false` says otherwise", span, _ONE)


def _whole_answers(graph: Graph) -> Iterator[Problem]:
    at = ("response_cache",)
    if graph.document.data.get("response_cache") is True and not graph.target.has(ENSEMBLE_CACHE):
        message = f"Triton {graph.target.release} keeps no answers of ensembles"
        hint = f'`target: "{ENSEMBLE_CACHE}"`, or response_cache at the steps'
        yield Problem("E504", message, graph.document.key_span(at), hint)


def _way(config: Any, field: At) -> At | None:
    """Where the author set `field`, by one of the two names that it has; None if nowhere."""
    way: At = ()
    for part in field:
        names = config if isinstance(config, Mapping) else {}
        name = next((name for name in names if snake(name) == part), None)
        if name is None:
            return None
        way, config = (*way, name), config[name]
    return way


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
    signature = node.takes_and_gives
    for name, port in (signature.inputs if signature else {}).items():
        source = sources.get(name)
        given = graph.tensor(source) if source else None
        if source in node.over:  # an item of it
            given, source = item(given) if given else None, None
        tensor = port.tensor if node.kind.verbatim else port.tensor or given
        entry = graph.entries.get(source.tensor) if source and source.step is None else None
        optional = entry.optional if entry and not node.kind.verbatim else not port.required
        shape = graph.sizes.resolve(tensor.shape) if tensor else ()
        shown = Tensor(tensor.dtype, shape) if tensor else None
        found[name] = warmup.Feed(shown, entry.name if entry else None, optional)
    return found
