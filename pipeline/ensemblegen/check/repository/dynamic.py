"""Can Triton batch as `dynamic_batching` says? (ValidateModelConfig in core.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Repository

FIELD = "dynamic_batching"
_DELAY = 1  # ModelQueuePolicy.TimeoutAction
_WITHOUT_BATCHES = frozenset({"default_queue_policy", "priority_queue_policy", "priority_levels"})
"""What works for single requests, too (observed on 24.10)."""


def dynamic(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None:
        return
    message = config.message
    if message.max_batch_size < 0 and config.knows("max_batch_size"):
        text = f"'{model.name}' has the max_batch_size {message.max_batch_size}"
        hint = "0 is without a batch axis, 1 and more the largest batch"
        yield Problem("E428", text, config.span(("max_batch_size",)), hint)
        return
    if not message.HasField(FIELD) or not config.knows(FIELD):
        return
    yield from preferred(model, (FIELD,), message.dynamic_batching.preferred_batch_size)
    yield from _priorities(model, config, message.dynamic_batching)
    yield from _order(model, config, message.dynamic_batching)
    yield from _in_vain(model, config)


def preferred(model: Model, at: At, sizes: Any) -> Iterator[Problem]:
    """Preferred batch sizes, also those of sequences, lie in 1..max_batch_size."""
    config = model.config
    if config is None or not config.knows("max_batch_size"):
        return
    most = model.max_batch_size
    if not most and any("max_batch_size" in (each.hint or "") for each in config.problems):
        return  # it is there, misspelt
    for number, size in enumerate(sizes):
        if 0 < size <= most or (size > 0 and config.broken and not most):
            continue
        text = f"'{model.name}' prefers batches of {size}"
        text += f", its max_batch_size is {most}" if size > 0 else ""
        hint = f"preferred sizes lie between 1 and {most}" if most else "set max_batch_size"
        span = config.span((*at, "preferred_batch_size", number))
        yield Problem("E429", text, span, hint)
        if not most:
            return


def _priorities(model: Model, config: Config, batching: Any) -> Iterator[Problem]:
    levels = batching.priority_levels
    if not levels or config.broken:
        return
    hint = f"levels go from 1, the most urgent, to {levels}"
    default = batching.default_priority_level
    if not 1 <= default <= levels:
        text = f"'{model.name}' has {levels} priority levels and no default_priority_level"
        way = (FIELD, "priority_levels")
        if default:
            text = f"the default priority of '{model.name}' is {default}, with {levels} levels"
            way = (FIELD, "default_priority_level")
        yield Problem("E429", text, config.span(way), hint)
    for level in batching.priority_queue_policy:
        if not 1 <= level <= levels:
            text = f"'{model.name}' has a queue policy for the priority {level}"
            yield Problem("E429", text, config.key_span((FIELD, "priority_queue_policy")), hint)


def _order(model: Model, config: Config, batching: Any) -> Iterator[Problem]:
    """Answers in order exclude all that lets one request overtake another."""
    if not batching.preserve_ordering:
        return
    span = config.key_span((FIELD, "preserve_ordering"))
    if batching.priority_levels > 1:
        text = f"'{model.name}' keeps the order of requests and has "
        text += f"{batching.priority_levels} priority levels"
        yield Problem("E429", text, span, "remove preserve_ordering or the priorities")
    policies = [batching.default_queue_policy]
    if batching.priority_levels:
        policies += batching.priority_queue_policy.values()
    if any(
        each.timeout_action == _DELAY and each.default_timeout_microseconds for each in policies
    ):
        text = f"'{model.name}' keeps the order of requests and delays those that time out"
        yield Problem("E429", text, span, "remove preserve_ordering, or let the timeout REJECT")


def _in_vain(model: Model, config: Config) -> Iterator[Problem]:
    batching = config.message.dynamic_batching
    if model.max_batch_size or model.completes or batching.preferred_batch_size:
        return
    if any(field.name in _WITHOUT_BATCHES for field, _ in batching.ListFields()):
        return
    if config.knows("max_batch_size"):
        text = f"'{model.name}' has dynamic_batching, and without max_batch_size nothing is batched"
        hint = "set max_batch_size if the model takes batches, or remove dynamic_batching"
        yield Problem("E430", text, config.key_span((FIELD,)), hint)
