"""Which calls, in which order: from what stands to what is wanted, or to nothing.

before  State, Wanted
after   steps; none where all is as it should be

Nothing is called here. A step that was done does not come again when the state is read anew, so
that a run which was interrupted is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ensemblegen.deploy import upload
from ensemblegen.deploy.call import Call
from ensemblegen.deploy.state import SHA256, State, Stored
from ensemblegen.deploy.upload import Upload
from ensemblegen.deploy.wanted import SCALED, Place, Wanted, pairs, resource
from ensemblegen.errors import InputError, Problem

_COPIED = 5 << 30
"""S3 copies objects up to that size in one call."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the endpoint is in service with `config`, gone, or settled in whatever it comes to."""

    endpoint: str
    until: Literal["InService", "gone", "settled"]
    config: str | None = None


Step = Call | Upload | Wait


def deploy(state: State, wanted: Wanted) -> tuple[Step, ...]:
    """InputError where the endpoint's name is taken by something that is not ours."""
    require_ours(state)
    return (
        *_archives(state, wanted),
        *_alarms(state, wanted),
        *_named(state, wanted),
        *_endpoint(state, wanted),
        *_scaling(state, wanted),
        *_leftovers(state, wanted),
    )


def require_ours(state: State) -> None:
    if state.endpoint is not None and not state.endpoint.ours:
        message = f"there is an endpoint '{state.name}' that was not made by this command"
        raise InputError([Problem("E656", message, hint="choose another name with --endpoint")])


def _archives(state: State, wanted: Wanted) -> Iterator[Step]:
    same = {each.sha256: each for each in state.archives.values()}
    unfinished = {each.key: each.id for each in state.unfinished}
    for place in wanted.places:
        stored = state.archives.get(place.key)
        if stored is not None and _holds(stored, place):
            continue
        known = same.get(place.archive.sha256)
        if known is not None and _holds(known, place) and known.bytes < _COPIED:
            yield _copy(wanted.bucket, known, place)
        else:
            yield upload.upload(wanted.bucket, place, unfinished.get(place.key))


def _holds(stored: Stored, place: Place) -> bool:
    return (stored.sha256, stored.bytes) == (place.archive.sha256, place.archive.bytes)


def _copy(bucket: str, stored: Stored, place: Place) -> Call:
    parameters = {
        "Bucket": bucket,
        "Key": place.key,
        "CopySource": {"Bucket": bucket, "Key": stored.key},
        "MetadataDirective": "REPLACE",
        "Metadata": {SHA256: place.archive.sha256},
    }
    return Call("s3", "copy_object", parameters, f"{place.archive.name} is in the bucket already")


def _alarms(state: State, wanted: Wanted) -> Iterator[Step]:
    for each in wanted.alarms:
        if not _same(each, state.alarms.get(each["AlarmName"]), but="Tags"):
            yield Call("cloudwatch", "put_metric_alarm", each, "undoes an update that fails")


def _same(wanted: Mapping[str, Any], found: Mapping[str, Any] | None, but: str = "") -> bool:
    """Whether all that is wanted is there; what AWS adds does not matter."""
    told = {key: value for key, value in wanted.items() if key != but}
    return found is not None and _covers(found, told)


def _covers(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _covers(found.get(key), value) for key, value in wanted.items()
        )
    return bool(found == wanted)


def _named(state: State, wanted: Wanted) -> Iterator[Step]:
    """What is called by its content."""
    if wanted.model["ModelName"] not in state.models:
        yield Call("sagemaker", "create_model", wanted.model)
    if wanted.config["EndpointConfigName"] not in state.configs:
        yield Call("sagemaker", "create_endpoint_config", wanted.config)


def _endpoint(state: State, wanted: Wanted) -> Iterator[Step]:
    config = str(wanted.config["EndpointConfigName"])
    done = Wait(wanted.endpoint, "InService", config)
    endpoint = state.endpoint
    if endpoint is not None and endpoint.status == "Failed":
        # SageMaker allows nothing else with an endpoint that failed.
        yield Call("sagemaker", "delete_endpoint", {"EndpointName": endpoint.name}, "it failed")
        yield Wait(endpoint.name, "gone")
        endpoint = None
    named = {"EndpointName": wanted.endpoint, "EndpointConfigName": config}
    if endpoint is None:
        yield Call("sagemaker", "create_endpoint", {**named, "Tags": pairs(wanted.tags)},
                   "billed from now on")  # fmt: skip
        yield done
        return
    if endpoint.config != config:
        yield from _released(state, wanted)
        yield Call("sagemaker", "update_endpoint", {**named, **_update(state, wanted)},
                   "the old machines answer until the new ones do")  # fmt: skip
        yield done
    elif endpoint.status != "InService":
        yield done
    lacking = {key: value for key, value in wanted.tags.items() if endpoint.tags.get(key) != value}
    if lacking:
        parameters = {"ResourceArn": endpoint.arn, "Tags": pairs(lacking)}
        yield Call("sagemaker", "add_tags", parameters)


def _released(state: State, wanted: Wanted) -> Iterator[Step]:
    """Application Auto Scaling refuses to change the type of machines that it scales."""
    if state.target is not None and state.instance_type != wanted.instance_type:
        yield _deregister(wanted.endpoint, "its machines change: it is registered again below")


def _update(state: State, wanted: Wanted) -> dict[str, Any]:
    """What an update says beside its names: as many machines as autoscaling has made them."""
    scaled = wanted.target is not None and state.target is not None
    kept = scaled and state.instance_type == wanted.instance_type
    deployment = {"DeploymentConfig": wanted.deployment} if wanted.deployment else {}
    return {"RetainAllVariantProperties": kept, **deployment}


def _scaling(state: State, wanted: Wanted) -> Iterator[Step]:
    if wanted.target is None or wanted.policy is None:
        if state.target is not None:
            yield _deregister(wanted.endpoint, "autoscaling is not wanted any more")
        return
    again = any(_released(state, wanted)) or state.endpoint is None
    if again or not _same(wanted.target, state.target):
        yield Call("application-autoscaling", "register_scalable_target", wanted.target)
    if again or not _same(wanted.policy, state.policy):
        yield Call("application-autoscaling", "put_scaling_policy", wanted.policy)


def _deregister(endpoint: str, why: str) -> Call:
    parameters = {**SCALED, "ResourceId": resource(endpoint)}
    return Call("application-autoscaling", "deregister_scalable_target", parameters, why)


def _leftovers(state: State, wanted: Wanted) -> Iterator[Step]:
    """What the endpoint does not need, now that it is in service without it."""
    keys = {place.key for place in wanted.places}
    yield from _without_configs(state, str(wanted.config["EndpointConfigName"]))
    yield from _without_models(state, str(wanted.model["ModelName"]))
    yield from _without_alarms(state, {str(each["AlarmName"]) for each in wanted.alarms})
    yield from _without_archives(state, keys)


def delete(state: State) -> tuple[Step, ...]:
    """What is billed goes first; models last, since they know where the archives are."""
    require_ours(state)
    return (
        *_without_endpoint(state),
        *_without_scaling(state),
        *_without_alarms(state, set()),
        *_without_configs(state, None),
        *_without_archives(state, set()),
        *_without_models(state, None),
    )


def _without_endpoint(state: State) -> Iterator[Step]:
    if state.endpoint is None:
        return
    if state.endpoint.status == "SystemUpdating":
        # SageMaker maintains it, and lets nobody delete it meanwhile.
        yield Wait(state.name, "settled")
    if state.endpoint.status != "Deleting":
        yield Call("sagemaker", "delete_endpoint", {"EndpointName": state.name}, "ends the bill")
    yield Wait(state.name, "gone")


def _without_scaling(state: State) -> Iterator[Step]:
    if state.target is not None:
        yield _deregister(state.name, "")


def _without_alarms(state: State, kept: set[str]) -> Iterator[Step]:
    unwanted = sorted(set(state.alarms) - kept)
    if unwanted:
        yield Call("cloudwatch", "delete_alarms", {"AlarmNames": unwanted})


def _without_configs(state: State, kept: str | None) -> Iterator[Step]:
    for name in state.configs:
        if name != kept:
            yield Call("sagemaker", "delete_endpoint_config", {"EndpointConfigName": name})


def _without_models(state: State, kept: str | None) -> Iterator[Step]:
    for name in state.models:
        if name != kept:
            yield Call("sagemaker", "delete_model", {"ModelName": name})


def _without_archives(state: State, kept: set[str]) -> Iterator[Step]:
    for each in state.unfinished:
        if each.key not in kept:
            parameters = {"Bucket": state.bucket, "Key": each.key, "UploadId": each.id}
            yield Call("s3", "abort_multipart_upload", parameters, "its parts are billed")
    for key in state.archives:
        if key not in kept:
            yield Call("s3", "delete_object", {"Bucket": state.bucket, "Key": key})
