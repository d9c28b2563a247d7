"""What is to be said of an endpoint: one plain mapping, for people and machines."""

from __future__ import annotations

from typing import Any

from ensemblegen.deploy import wait
from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.state import State


def report(aws: Aws, found: State) -> dict[str, Any]:
    """JSON values; `log` is the end of the container's log where the endpoint failed."""
    endpoint = found.endpoint
    failed = endpoint is not None and endpoint.status not in ("InService", "Deleting")
    return {
        "endpoint": found.name,
        "status": endpoint.status if endpoint else None,
        "failure": endpoint.failure if endpoint else None,
        "config": endpoint.config if endpoint else None,
        "instances": _instances(found),
        "model": _model(found),
        "autoscaling": _autoscaling(found),
        "alarms": {name: each.get("StateValue") for name, each in sorted(found.alarms.items())},
        "archives": [f"s3://{found.bucket}/{key}" for key in sorted(found.archives)],
        "log": wait.log_tail(aws, found.name) if failed else [],
        "leftovers": leftovers(found),
    }


def leftovers(found: State) -> list[str]:
    """What belongs to the endpoint and does not serve it."""
    used = found.endpoint.config if found.endpoint else None
    lines = [f"endpoint configuration {name}" for name in found.configs if name != used]
    lines += [f"unfinished upload of s3://{found.bucket}/{each.key}" for each in found.unfinished]
    if found.endpoint is None:
        lines += [f"model {name}" for name in found.models]
        lines += [f"alarm {name}" for name in sorted(found.alarms)]
        lines += [f"archive s3://{found.bucket}/{key}" for key in sorted(found.archives)]
        lines += ["scalable target"] * (found.target is not None)
    return lines


def _instances(found: State) -> dict[str, Any] | None:
    if found.endpoint is None:
        return None
    variants = found.endpoint.described.get("ProductionVariants") or [{}]
    return {
        "type": found.instance_type,
        "current": variants[0].get("CurrentInstanceCount"),
        "desired": variants[0].get("DesiredInstanceCount"),
    }


def _model(found: State) -> dict[str, Any] | None:
    name = str(found.variant.get("ModelName")) if found.variant else ""
    if name not in found.models:
        return None
    container = found.models[name].get("PrimaryContainer", {})
    return {
        "name": name,
        "image": container.get("Image"),
        "data": container.get("ModelDataUrl"),
        "mode": container.get("Mode", "SingleModel"),
        "environment": container.get("Environment", {}),
    }


def _autoscaling(found: State) -> dict[str, Any] | None:
    if found.target is None:
        return None
    policy = (found.policy or {}).get("TargetTrackingScalingPolicyConfiguration", {})
    return {
        "min": found.target.get("MinCapacity"),
        "max": found.target.get("MaxCapacity"),
        "invocations_per_minute": policy.get("TargetValue"),
    }
