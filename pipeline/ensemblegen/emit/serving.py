"""What a step says of its queue, priorities, rate limits and warm-up, as ModelConfig has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ensemblegen import warmup
from ensemblegen.members import Member
from ensemblegen.members.bls import calls_of, mapped
from ensemblegen.plan import Plan
from ensemblegen.serving import Priority, Queue, QueuePolicy, RateLimiter
from ensemblegen.types import DType

_DATA_FIELDS = {"zeros": "zero_data", "random": "random_data"}


def queue(batching: Any, wanted: Queue) -> None:
    """Into a ModelDynamicBatching, which is where Triton has queues, with batches or without."""
    if wanted.model_fields_set - {"levels"}:
        _policy(batching.default_queue_policy, wanted)
    for level, policy in wanted.levels.items():
        _policy(batching.priority_queue_policy[int(level)], policy)


def _policy(message: Any, wanted: QueuePolicy) -> None:
    message.SetInParent()
    actions = message.DESCRIPTOR.fields_by_name["timeout_action"].enum_type.values_by_name
    message.timeout_action = actions[wanted.timeout_action.upper()].number
    message.default_timeout_microseconds = wanted.timeout
    message.allow_timeout_override = wanted.allow_timeout_override
    message.max_queue_size = wanted.max_size or 0


def priority(batching: Any, wanted: Priority) -> None:
    batching.priority_levels = wanted.levels
    batching.default_priority_level = wanted.default or wanted.levels


def rate_limiter(group: Any, wanted: RateLimiter) -> None:
    group.rate_limiter.SetInParent()
    group.rate_limiter.priority = wanted.priority or 0
    for name, resource in wanted.resources.items():
        message = group.rate_limiter.resources.add()
        message.name = name
        message.count = resource.count
        setattr(message, "global", resource.shared)


def samples(plan: Plan, member: Member) -> tuple[warmup.Sample, ...]:
    """The requests that warm the model up, none if its step wants none."""
    if member.serving.warmup is None:
        return ()
    fed = _fed(plan, member)
    entries = {each.name for each in plan.inputs}
    feeds = {
        each.triton: warmup.Feed(
            each.tensor,
            tensor if (tensor := fed.get(each.triton)) in entries else None,
            each.optional,
        )
        for each in member.inputs
    }
    return warmup.samples(member.serving.warmup, feeds, plan.examples)


def _fed(plan: Plan, member: Member) -> dict[str, str]:
    """The tensors that a model's inputs take whole, by its names for them."""
    for wiring in plan.wiring:
        if wiring.step == member.step:
            return dict(wiring.inputs)
    for caller in plan.members:
        for call in calls_of(caller):
            if call.step == member.step:
                items = mapped(caller)
                return {port: name for port, name in call.inputs.items() if name not in items}
    raise AssertionError(f"nothing runs {member.step}")


def warm_up(config: Any, member: Member, found: Iterable[warmup.Sample]) -> None:
    """`found` as model_warmup; their data lies in the files of `warmup_files`."""
    wanted = member.serving.warmup
    if wanted is None:
        return
    for number, sample in enumerate(found):
        message = config.model_warmup.add()
        message.name = sample.name
        message.batch_size = wanted.batch_size
        message.count = wanted.count
        for place, (name, value) in enumerate(sample.inputs.items()):
            given = message.inputs[name]
            given.data_type = _data_type(given, value.dtype)
            given.dims.extend(value.dims)
            if isinstance(value.data, bytes):
                given.input_data_file = _file(number, place)
            else:
                setattr(given, _DATA_FIELDS[value.data], True)


def warmup_files(found: Iterable[warmup.Sample]) -> dict[str, bytes]:
    """By their path inside the model's folder."""
    return {
        f"warmup/{_file(number, place)}": value.data
        for number, sample in enumerate(found)
        for place, value in enumerate(sample.inputs.values())
        if isinstance(value.data, bytes)
    }


def _file(number: int, place: int) -> str:
    return f"ensemblegen-{number}-{place}"


def _data_type(message: Any, dtype: DType) -> int:
    kinds = message.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name
    return int(kinds[dtype.triton].number)
