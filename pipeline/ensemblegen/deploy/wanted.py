"""What is to stand in the cloud: the parameters of everything that is to be made.

Models and configurations are called by the content of what they are made from: what is there
under its name is right, and a change gets a new name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ensemblegen.deploy.packaged import Archive, Package
from ensemblegen.deploy.settings import Settings
from ensemblegen.deploy.spec import Autoscaling, Rollback

OWNER = "ensemblegen:endpoint"
"""The tag of what we made, with the endpoint's name: nothing else is changed or removed."""
VARIANT = "AllTraffic"
SCALED = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
_MODEL = "model.tar.gz"
_HASH = 12
_DEPLOYING = 3600
"""Seconds for an update beyond its bake."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive goes."""

    archive: Archive
    key: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One endpoint with all that belongs to it; the fields of AWS are as boto3 takes them."""

    endpoint: str
    bucket: str
    prefix: str
    """Of every key of this endpoint."""
    places: tuple[Place, ...]
    model: Mapping[str, Any]
    config: Mapping[str, Any]
    deployment: Mapping[str, Any] | None
    alarms: tuple[Mapping[str, Any], ...]
    target: Mapping[str, Any] | None
    policy: Mapping[str, Any] | None
    tags: Mapping[str, str]

    @property
    def instance_type(self) -> str:
        return str(self.config["ProductionVariants"][0]["InstanceType"])


def make(settings: Settings, package: Package) -> Wanted:
    """Everything follows from these two, and is the same for the same two."""
    name = settings.endpoint
    tags = {**settings.tags, OWNER: name}
    prefix = f"{settings.prefix}{name}/"
    folder = f"{prefix}{_digest([(each.name, each.sha256) for each in package.archives])}/"
    multi = package.multi_model
    places = tuple(
        Place(each, folder + (each.name if multi else _MODEL)) for each in package.archives
    )
    url = f"s3://{settings.bucket}/{folder if multi else places[0].key}"
    model = _model(settings, package, url)
    named = {"ModelName": f"{name}-{_digest(model)}", **model, "Tags": pairs(tags)}
    variants = _variants(settings, str(named["ModelName"]))
    alarms = tuple(_alarms(name, settings.rollback, tags)) if settings.rollback else ()
    return Wanted(
        endpoint=name,
        bucket=settings.bucket,
        prefix=prefix,
        places=places,
        model=named,
        config={
            "EndpointConfigName": f"{name}-{_digest(variants)}",
            "ProductionVariants": variants,
            "Tags": pairs(tags),
        },
        deployment=_deployment(settings.rollback, alarms) if settings.rollback else None,
        alarms=alarms,
        target=_target(name, settings.autoscaling) if settings.autoscaling else None,
        policy=_policy(name, settings.autoscaling) if settings.autoscaling else None,
        tags=tags,
    )


def is_ours(name: str, endpoint: str) -> bool:
    """Whether a model or configuration is called as those of `endpoint` are."""
    return re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{{_HASH}}}", name) is not None


def is_archive(key: str, prefix: str) -> bool:
    """Whether a key below `prefix` is called as archives are."""
    return re.fullmatch(rf"{re.escape(prefix)}[0-9a-f]{{{_HASH}}}/[^/]+\.tar\.gz", key) is not None


def resource(endpoint: str) -> str:
    """What autoscaling calls the machines of an endpoint."""
    return f"endpoint/{endpoint}/variant/{VARIANT}"


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_HASH]


def _model(settings: Settings, package: Package, url: str) -> dict[str, Any]:
    container = {
        "Image": settings.image,
        "Mode": "MultiModel" if package.multi_model else "SingleModel",
        "ModelDataUrl": url,
        "Environment": {**package.environment, **settings.environment},
    }
    return {"PrimaryContainer": container, "ExecutionRoleArn": settings.role}


def _variants(settings: Settings, model: str) -> list[dict[str, Any]]:
    return [
        {
            "VariantName": VARIANT,
            "ModelName": model,
            "InstanceType": settings.instance_type,
            "InitialInstanceCount": settings.instance_count,
            "InitialVariantWeight": 1.0,
            "ModelDataDownloadTimeoutInSeconds": settings.start_up,
            "ContainerStartupHealthCheckTimeoutInSeconds": settings.start_up,
        }
    ]


def _alarms(name: str, rollback: Rollback, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    common = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": VARIANT},
        ],
        "Period": 60,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "Tags": pairs(tags),
    }
    found = []
    if rollback.errors is not None:
        found.append({
            "AlarmName": _alarm(name, "errors"), "MetricName": "Invocation5XXErrors",
            "Statistic": "Sum", "Threshold": float(rollback.errors),
            "ComparisonOperator": "GreaterThanThreshold", **common,
        })  # fmt: skip
    if rollback.latency is not None:
        # The metric is in microseconds, as we keep durations.
        found.append({
            "AlarmName": _alarm(name, "latency"), "MetricName": "ModelLatency",
            "Statistic": "Average", "Threshold": float(rollback.latency),
            "ComparisonOperator": "GreaterThanThreshold", **common,
        })  # fmt: skip
    return found


def alarm_names(endpoint: str) -> list[str]:
    """Those that a deployment can have."""
    return [_alarm(endpoint, what) for what in ("errors", "latency")]


def _alarm(endpoint: str, what: str) -> str:
    """Alarms have no tags in their lists: by this name they are ours."""
    return f"ensemblegen-{endpoint}-{what}"


def _deployment(rollback: Rollback, alarms: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    bake = rollback.bake // 1_000_000
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake},
            "MaximumExecutionTimeoutInSeconds": bake + _DEPLOYING,
        },
        "AutoRollbackConfiguration": {
            "Alarms": [{"AlarmName": each["AlarmName"]} for each in alarms]
        },
    }


def _target(name: str, scaling: Autoscaling) -> dict[str, Any]:
    return {
        **SCALED,
        "ResourceId": resource(name),
        "MinCapacity": scaling.min,
        "MaxCapacity": scaling.max,
    }


def _policy(name: str, scaling: Autoscaling) -> dict[str, Any]:
    return {
        **SCALED,
        "ResourceId": resource(name),
        "PolicyName": f"{name}-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": scaling.invocations_per_minute,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleInCooldown": scaling.scale_in // 1_000_000,
            "ScaleOutCooldown": scaling.scale_out // 1_000_000,
        },
    }
