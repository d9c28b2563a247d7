"""The ModelConfig of each model: of a member on a device, and of the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ensemblegen.emit import serving
from ensemblegen.members import Member, MemberTensor
from ensemblegen.model_config import ModelConfig, merge
from ensemblegen.plan import Plan
from ensemblegen.types import Tensor, triton_dims
from ensemblegen.words import Place

_DATA_TYPES = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name


def member(plan: Plan, planned: Member, device: Place) -> Any:
    """A member's complete configuration: nothing is left to the server's auto-completion."""
    config = ModelConfig()
    config.name = planned.model
    config.backend = planned.backend
    config.max_batch_size = planned.max_batch_size
    for each in planned.inputs:
        _input(config.input.add(), each)
    for each in planned.outputs:
        _output(config.output.add(), each)
    if device != "auto":
        _instances(config.instance_group.add(), planned, device)
    _batching(config, planned)
    for key, value in planned.kind.parameters(planned, device, plan.target).items():
        config.parameters[key].string_value = value
    merge(config, planned.kind.fields(planned, device, plan.target))
    if planned.serving.response_cache:
        config.response_cache.enable = True
    serving.warm_up(config, planned, serving.samples(plan, planned))
    if planned.config:
        merge(config, planned.config)
    return config


def ensemble(plan: Plan) -> Any:
    """The ensemble's configuration, its steps in an order in which they can run."""
    config = ModelConfig()
    config.name = plan.name
    config.platform = "ensemble"
    config.max_batch_size = plan.max_batch_size
    for entry in plan.inputs:
        message = config.input.add()
        _tensor(message, entry.name, entry.tensor)
        message.optional = entry.optional
        merge(message, entry.config)
    for each in plan.outputs:
        message = config.output.add()
        _tensor(message, each.name, each.tensor)
        merge(message, each.config)
    for wiring in plan.wiring:
        step = config.ensemble_scheduling.step.add()
        step.model_name = wiring.model
        step.model_version = wiring.version  # left out it means 0, which is never there
        _put(step.input_map, wiring.inputs)
        _put(step.output_map, wiring.outputs)
    if plan.response_cache:
        config.response_cache.enable = True
    if plan.config:
        merge(config, plan.config)
    return config


def _put(target: dict[str, str], values: Mapping[str, str]) -> None:
    for key, value in values.items():
        target[key] = value


def _tensor(message: Any, name: str, tensor: Tensor) -> None:
    message.name = name
    message.data_type = _DATA_TYPES[tensor.dtype.triton].number
    message.dims.extend(triton_dims(tensor.shape))


def _member_tensor(message: Any, each: MemberTensor) -> None:
    """As the backend has it; what it has with fewer axes, the server reshapes."""
    known = each.dims is not None and len(each.dims) == len(each.tensor.shape)
    said = Tensor(each.tensor.dtype, each.dims) if each.dims and known else each.tensor
    _tensor(message, each.triton, said)
    if each.dims is not None and not known:
        message.reshape.SetInParent()
        message.reshape.shape.extend(triton_dims(each.dims))


def _input(message: Any, each: MemberTensor) -> None:
    _member_tensor(message, each)
    message.optional = each.optional
    # Without this the batcher joins requests of one size only, and nothing is left to pad.
    message.allow_ragged_batch = each.pad is not None
    merge(message, each.config)


def _output(message: Any, each: MemberTensor) -> None:
    _member_tensor(message, each)
    if each.squeezed and 1 in each.tensor.shape:
        message.reshape.shape.extend(triton_dims(each.tensor.shape))
    merge(message, each.config)


def _instances(group: Any, planned: Member, device: Place) -> None:
    kind = group.DESCRIPTOR.fields_by_name["kind"].enum_type
    group.kind = kind.values_by_name[f"KIND_{device.upper()}"].number
    group.count = planned.instances[device]
    if device == "gpu":
        group.gpus.extend(planned.gpus)
    group.profile.extend(map(str, planned.kind.profiles(planned)))
    if planned.serving.rate_limiter is not None:
        serving.rate_limiter(group, planned.serving.rate_limiter)
    if planned.serving.host_policy is not None:
        group.host_policy = planned.serving.host_policy


def _batching(config: Any, planned: Member) -> None:
    wanted, said = planned.batching, planned.serving
    if wanted is not None:
        config.dynamic_batching.SetInParent()
        config.dynamic_batching.max_queue_delay_microseconds = wanted.max_queue_delay
        config.dynamic_batching.preferred_batch_size.extend(wanted.preferred_batch_size)
        config.dynamic_batching.preserve_ordering = wanted.preserve_ordering
    if said.priority is not None:
        serving.priority(config.dynamic_batching, said.priority)
    if said.queue is not None:
        serving.queue(config.dynamic_batching, said.queue)
