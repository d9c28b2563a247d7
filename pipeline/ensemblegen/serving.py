"""How Triton runs the model of a step: instances, batches, queue, priorities, cache, warm-up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ensemblegen.form import Node
from ensemblegen.words import (
    Count,
    Flag,
    Level,
    Microseconds,
    Name,
    TensorName,
    Word,
    resource,
    warm,
)


class Instances(Node):
    """How many instances run on each device kind."""

    cpu: Count = 1
    gpu: Count = 1


class DynamicBatching(Node):
    """Triton's dynamic batcher for one step."""

    max_queue_delay: Microseconds = Field(
        default=0, description="How long a request may wait for others to join it."
    )
    preferred_batch_size: list[Count] = Field(
        default_factory=list, description="Batches of these sizes do not wait for more."
    )
    preserve_ordering: Flag = Field(
        default=False, description="Answer in the order of the requests, at the cost of waiting."
    )


class Priority(Node):
    """Urgent requests overtake others in the queue; clients say which with `priority`."""

    levels: Count = Field(description="Level 1 is the most urgent.")
    default: Count | None = Field(
        default=None, description="Of requests that say none; the least urgent if left out."
    )


class QueuePolicy(Node):
    """When a request that waits, is given up."""

    max_size: Count | None = Field(
        default=None, description="Requests beyond are refused at once; none are if left out."
    )
    timeout: Microseconds = Field(
        default=0, description="How long a request may wait; 0 is for ever."
    )
    timeout_action: Literal["reject", "delay"] = Field(
        default="reject",
        description="delay: it runs after all others that have not waited so long.",
    )
    allow_timeout_override: Flag = Field(
        default=False, description="Whether requests may say a shorter `timeout` of their own."
    )


class Queue(QueuePolicy):
    """The queue before a step; `levels` are policies of single priorities."""

    levels: dict[Level, QueuePolicy] = Field(
        default_factory=dict, description="By priority; other requests have the policy around it."
    )


class Resource(Node):
    """What an execution takes of a resource."""

    count: Count = 1
    shared: Flag = Field(
        default=False,
        alias="global",
        description="One for the whole server, not one for each device.",
    )


class RateLimiter(Node):
    """Executions wait until their resources are free, those of the lowest `priority` first."""

    resources: dict[TensorName, Annotated[Resource, BeforeValidator(resource)]] = Field(
        default_factory=dict,
        description="The server has as many of each as the most greedy execution takes.",
    )
    priority: Count | None = Field(
        default=None,
        description="1 if left out; an instance of 2 gets half the chances of one of 1.",
    )


class Warmup(Node):
    """Requests that each instance answers before the model is ready.

    There is one for each example of the pipeline. Inputs that are not the pipeline's are zeros.
    """

    data: Literal["examples", "zeros", "random"] = Field(
        default="examples",
        description="zeros, random: one request of these. Strings are empty then; random numbers "
        "may be NaN.",
    )
    sizes: dict[Name, Count] = Field(
        default_factory=dict, description="Numbers for the sizes that have names."
    )
    batch_size: Count = Field(default=1, description="How many requests of one item run at once.")
    count: Count = Field(default=1, description="How often.")


class Serving(Node):
    """What a step may say beyond instances and batches, and its model is told."""

    priority: Priority | None = None
    queue: Queue | None = None
    response_cache: Flag = Field(
        default=False, description="Keep answers, and give them again to equal requests."
    )
    warmup: Annotated[Warmup | None, BeforeValidator(warm)] = None
    rate_limiter: RateLimiter | None = None
    host_policy: Word | None = Field(
        default=None, description="The server's --host-policy for its instances: cores, NUMA node."
    )
