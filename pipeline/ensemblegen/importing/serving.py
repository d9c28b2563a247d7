"""What a config says of batches, queue, priorities and rate limits, in the words of a step.

All functions give None where the words do not say it all: then it goes below `config:`.
"""

from __future__ import annotations

from typing import Any

_LONGEST = 10**12
"""Microseconds, of which a duration in pipeline.yaml has fewer."""
_MOST = 2**31
_MOST_LEVELS = 10**9
_WORDS = {
    "max_queue_size": "max_size",
    "default_timeout_microseconds": "timeout",
    "timeout_action": "timeout_action",
    "allow_timeout_override": "allow_timeout_override",
}
_ACTIONS = ("reject", "delay")  # ModelQueuePolicy.TimeoutAction

Data = dict[str, Any]


def batching(message: Any) -> Data | None:
    """`dynamic_batching`, `priority` and `queue` of a ModelConfig that batches."""
    if not message.HasField("dynamic_batching") or message.max_batch_size == 0:
        return None
    given = message.dynamic_batching
    sizes, delay = list(given.preferred_batch_size), given.max_queue_delay_microseconds
    urgency, queue = _priority(given), _queue(given)
    if urgency is None or queue is None or min(sizes, default=1) < 1 or delay >= _LONGEST:
        return None
    words: Data = {"max_queue_delay": duration(delay)} if delay else {}
    words |= {"preferred_batch_size": sizes} if sizes else {}
    words |= {"preserve_ordering": True} if given.preserve_ordering else {}
    return {"dynamic_batching": words, **urgency, **queue}


def rate_limiter(group: Any) -> Data | None:
    """`rate_limiter` of an instance group."""
    if not group.HasField("rate_limiter"):
        return {}
    limiter = group.rate_limiter
    names = [each.name for each in limiter.resources]
    counts = [each.count for each in limiter.resources]
    usable = all(name == name.strip() and name.isprintable() and name for name in names)
    if not usable or len(set(names)) < len(names) or not all(0 < each < _MOST for each in counts):
        return None
    if limiter.priority >= _MOST:
        return None
    resources = {
        each.name: {"count": each.count, "global": True} if _shared(each) else each.count
        for each in limiter.resources
    }
    words: Data = {"resources": resources} if resources else {}
    return {"rate_limiter": words | ({"priority": limiter.priority} if limiter.priority else {})}


def duration(microseconds: int) -> str:
    whole = microseconds % 1000 == 0
    return f"{microseconds // 1000}ms" if whole else f"{microseconds}us"


def _shared(resource: Any) -> bool:
    return bool(getattr(resource, "global"))


def _priority(given: Any) -> Data | None:
    levels, default = given.priority_levels, given.default_priority_level
    if not levels and not default:
        return {}
    if not 1 <= default <= levels < _MOST:
        return None
    return {"priority": {"levels": levels, "default": default}}


def _queue(given: Any) -> Data | None:
    words: Data | None = {}
    if given.HasField("default_queue_policy"):
        words = _policy(given.default_queue_policy)
        if not words:
            return None  # it is there and says nothing
    levels = {key: _policy(each) for key, each in sorted(given.priority_queue_policy.items())}
    if words is None or None in levels.values():
        return None
    if not all(0 < key < _MOST_LEVELS for key in levels):
        return None
    words |= {"levels": {str(key): each for key, each in levels.items()}} if levels else {}
    return {"queue": words} if words else {}


def _policy(policy: Any) -> Data | None:
    if policy.max_queue_size >= _MOST or policy.default_timeout_microseconds >= _LONGEST:
        return None
    if policy.timeout_action not in range(len(_ACTIONS)):
        return None
    found: Data = {_WORDS[field.name]: value for field, value in policy.ListFields()}
    if "timeout" in found:
        found["timeout"] = duration(found["timeout"])
    if "timeout_action" in found:
        found["timeout_action"] = _ACTIONS[found["timeout_action"]]
    return found
