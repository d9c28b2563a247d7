"""Waiting for an endpoint: until it is in service, or gone; and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.plan import Wait
from ensemblegen.deploy.state import Endpoint, endpoint_of
from ensemblegen.errors import MachineError

_TAIL = 20
"""Lines of a container's log."""
_GROUP = "/aws/sagemaker/Endpoints/"
_SLOW = 60.0
"""Seconds after which an update that nobody saw begin is over."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds between two looks, and until it is given up."""

    poll: float = 15.0
    limit: float = 3600.0


Seen = Callable[[str, float], None]
"""Told a status, and the seconds since the wait began."""


def wait(aws: Aws, step: Wait, patience: Patience, seen: Seen) -> None:
    """MachineError where it fails, is rolled back, or takes too long."""
    if step.until == "settled":
        settle(aws, step.endpoint, patience, seen)
        return
    began = time.monotonic()
    moved = False
    while True:
        endpoint = endpoint_of(aws, step.endpoint)
        took = time.monotonic() - began
        seen(endpoint.status if endpoint else "gone", took)
        moved = moved or (endpoint is not None and endpoint.moving)
        if _over(step, endpoint):
            return
        if endpoint is not None and _failed(step, endpoint, begun=moved or took > _SLOW):
            raise _failure(aws, endpoint)
        if took > patience.limit:
            status = endpoint.status if endpoint else "gone"
            message = f"endpoint '{step.endpoint}' is {status} after {took:.0f} s"
            hint = "run it again to go on waiting; `ensemblegen deploy delete` ends its bill"
            raise MachineError(message, hint)
        time.sleep(patience.poll)


def settle(aws: Aws, name: str, patience: Patience, seen: Seen) -> None:
    """Wait for the end of what is under way, whatever comes of it."""
    began = time.monotonic()
    while True:
        endpoint = endpoint_of(aws, name)
        took = time.monotonic() - began
        if endpoint is None or not endpoint.moving or took > patience.limit:
            return
        seen(endpoint.status, took)
        time.sleep(patience.poll)


def _over(step: Wait, endpoint: Endpoint | None) -> bool:
    if step.until == "gone":
        return endpoint is None
    if endpoint is None:
        raise MachineError(f"endpoint '{step.endpoint}' was deleted by somebody else")
    return endpoint.status == "InService" and step.config in (None, endpoint.config)


def _failed(step: Wait, endpoint: Endpoint, *, begun: bool) -> bool:
    """Whether it will not get there. In service as before, it may only not have begun to change."""
    if step.until == "gone" or endpoint.moving:
        return False
    return begun or endpoint.status != "InService"


def _failure(aws: Aws, endpoint: Endpoint) -> MachineError:
    if endpoint.status == "InService":
        text = f"the update was rolled back: '{endpoint.config}' is in service, as before"
    else:
        text = f"endpoint '{endpoint.name}' is {endpoint.status}"
    lines = [text + (f": {endpoint.failure}" if endpoint.failure else "")]
    lines += [f"  | {line}" for line in log_tail(aws, endpoint.name)]
    hint = (
        f"`ensemblegen deploy delete --endpoint {endpoint.name}` removes it; all of the log is in "
        f"{log_group(endpoint.name)}"
    )
    return MachineError("\n".join(lines), hint)


def log_group(name: str) -> str:
    return _GROUP + name


def log_tail(aws: Aws, name: str) -> list[str]:
    """The end of the log of the container that wrote last; empty where there is none to read."""
    group = {"logGroupName": log_group(name)}
    try:
        found = aws.known("logs", "describe_log_streams", **group, orderBy="LastEventTime",
                          descending=True, limit=1)  # fmt: skip
        streams = (found or {}).get("logStreams") or []
        if not streams:
            return []
        events = aws.ask("logs", "get_log_events", **group, limit=_TAIL, startFromHead=False,
                         logStreamName=streams[0]["logStreamName"])  # fmt: skip
    except MachineError as error:
        return [f"(no log: {error.message})"]
    return [str(each["message"]).rstrip() for each in events.get("events", [])]
