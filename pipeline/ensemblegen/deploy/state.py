"""What stands in the cloud of one endpoint, read and never changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.wanted import (
    OWNER,
    SCALED,
    alarm_names,
    is_archive,
    is_ours,
    resource,
)
from ensemblegen.errors import EnsemblegenError

_Part = TypeVar("_Part")
_Scaling = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
"""The scalable target and its policy."""
SHA256 = "sha256"
"""The metadata of an archive: S3's own checksum of an upload in parts is one of its parts."""
MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint, as SageMaker describes it."""

    name: str
    arn: str
    status: str
    config: str
    """What it serves, or will where an update is under way."""
    failure: str | None
    tags: Mapping[str, str]
    described: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        return self.tags.get(OWNER) == self.name

    @property
    def moving(self) -> bool:
        return self.status in MOVING


@dataclass(frozen=True, slots=True)
class Stored:
    """An archive in the bucket. `bytes` is its size; the hash is as whoever put it there said."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload in parts that nobody completed: its parts are billed."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class State:
    """All that belongs to one endpoint. Models and configurations by name, ours only."""

    name: str
    endpoint: Endpoint | None = None
    variant: Mapping[str, Any] | None = None
    """What its configuration in service says: model and machines."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    alarms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    target: Mapping[str, Any] | None = None
    policy: Mapping[str, Any] | None = None
    bucket: str | None = None
    archives: Mapping[str, Stored] = field(default_factory=dict)
    unfinished: tuple[Unfinished, ...] = ()
    unread: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @property
    def instance_type(self) -> str | None:
        """Of the machines that it runs on now."""
        return self.variant.get("InstanceType") if self.variant else None


def read(
    aws: Aws,
    name: str,
    bucket: str | None = None,
    prefix: str | None = None,
    *,
    lenient: bool = False,
) -> State:
    """Without a bucket, the one that a model of the endpoint names.

    `lenient` goes on where something beside the endpoint may not be looked at, so that the endpoint
    can be removed all the same.
    """
    unread: list[str] = []

    def part(what: str, look: Callable[[], _Part], otherwise: _Part) -> _Part:
        try:
            return look()
        except EnsemblegenError as error:
            if not lenient:
                raise
            unread.append(f"{what}: {error}")
            return otherwise

    endpoint = endpoint_of(aws, name)
    no_models: dict[str, Mapping[str, Any]] = {}
    models = part("models", lambda: _models(aws, name), no_models)
    if bucket is None or prefix is None:
        bucket, prefix = _bucket_of(models, name)
    place = (aws, bucket, prefix)
    unscaled: _Scaling = (None, None)
    target, policy = part("autoscaling", lambda: _scaling(aws, name), unscaled)
    return State(
        name=name,
        endpoint=endpoint,
        variant=part("machines", lambda: _variant(aws, endpoint), None),
        models=models,
        configs=part("endpoint configurations", lambda: _configs(aws, name), ()),
        alarms=part("alarms", lambda: _alarms(aws, name), {}),
        target=target,
        policy=policy,
        bucket=bucket,
        archives=part("archives", lambda: _archives(*place), {}),
        unfinished=part("unfinished uploads", lambda: _unfinished(*place), ()),
        unread=tuple(unread),
    )


def endpoint_of(aws: Aws, name: str) -> Endpoint | None:
    found = aws.known("sagemaker", "describe_endpoint", EndpointName=name)
    if found is None:
        return None
    pending = found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    return Endpoint(
        name=name,
        arn=found["EndpointArn"],
        status=found["EndpointStatus"],
        config=pending or found["EndpointConfigName"],
        failure=found.get("FailureReason"),
        tags=_tags(aws, found["EndpointArn"]),
        described=found,
    )


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    listed = aws.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn)
    return {each["Key"]: each["Value"] for each in listed}


def _models(aws: Aws, name: str) -> dict[str, Mapping[str, Any]]:
    listed = aws.pages("sagemaker", "list_models", "Models", NameContains=f"{name}-")
    found: dict[str, Mapping[str, Any]] = {}
    for each in listed:
        called = each["ModelName"]
        if is_ours(called, name) and _tags(aws, each["ModelArn"]).get(OWNER) == name:
            described = aws.known("sagemaker", "describe_model", ModelName=called)
            if described is not None:
                found[called] = described
    return found


def _configs(aws: Aws, name: str) -> tuple[str, ...]:
    listed = aws.pages(
        "sagemaker", "list_endpoint_configs", "EndpointConfigs", NameContains=f"{name}-"
    )
    return tuple(
        each["EndpointConfigName"]
        for each in listed
        if is_ours(each["EndpointConfigName"], name)
        and _tags(aws, each["EndpointConfigArn"]).get(OWNER) == name
    )


def _variant(aws: Aws, endpoint: Endpoint | None) -> Mapping[str, Any] | None:
    if endpoint is None:
        return None
    name = endpoint.described["EndpointConfigName"]
    config = aws.known("sagemaker", "describe_endpoint_config", EndpointConfigName=name)
    return next(iter((config or {}).get("ProductionVariants", ())), None)


def _alarms(aws: Aws, name: str) -> dict[str, Mapping[str, Any]]:
    listed = aws.pages(
        "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=alarm_names(name)
    )
    return {each["AlarmName"]: each for each in listed}


def _scaling(aws: Aws, name: str) -> _Scaling:
    namespace = SCALED["ServiceNamespace"]
    targets = aws.pages("application-autoscaling", "describe_scalable_targets", "ScalableTargets",
                        ServiceNamespace=namespace, ResourceIds=[resource(name)])  # fmt: skip
    policies = aws.pages("application-autoscaling", "describe_scaling_policies", "ScalingPolicies",
                         ServiceNamespace=namespace, ResourceId=resource(name))  # fmt: skip
    return next(targets, None), next(policies, None)


def _bucket_of(models: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str | None, str | None]:
    """Bucket and prefix of s3://BUCKET/PREFIX/NAME/HASH/..., as models have it."""
    for model in models.values():
        url = str(model.get("PrimaryContainer", {}).get("ModelDataUrl", ""))
        bucket, _, key = url.removeprefix("s3://").partition("/")
        folder = re.match(rf"((?:.*/)?{re.escape(name)}/)[0-9a-f]+/", key)
        if folder:
            return bucket, folder[1]
    return None, None


def _archives(aws: Aws, bucket: str | None, prefix: str | None) -> dict[str, Stored]:
    """Those that say their hash, as ours do."""
    if bucket is None or prefix is None:
        return {}
    listed = aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    found = {}
    for each in listed:
        if is_archive(each["Key"], prefix):
            head = aws.known("s3", "head_object", Bucket=bucket, Key=each["Key"]) or {}
            sha256 = head.get("Metadata", {}).get(SHA256)
            if sha256 is not None:
                found[each["Key"]] = Stored(each["Key"], each["Size"], sha256)
    return found


def _unfinished(aws: Aws, bucket: str | None, prefix: str | None) -> tuple[Unfinished, ...]:
    if bucket is None or prefix is None:
        return ()
    listed = aws.pages("s3", "list_multipart_uploads", "Uploads", Bucket=bucket, Prefix=prefix)
    return tuple(
        Unfinished(each["Key"], each["UploadId"])
        for each in listed
        if is_archive(each["Key"], prefix)
    )
