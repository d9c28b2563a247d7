"""What AWS does and moto does not, from AWS's API reference: taught to moto's own classes.

moto has no UpdateEndpoint, takes a second thing under a name, has every endpoint in service at
once, and keeps the policies of a scalable target that is gone.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol


class Fate(Protocol):
    """What is to come of the endpoints that are made or updated from now on."""

    takes: int
    fails: str | None


def teach(fate: Fate) -> None:
    backend = importlib.import_module("moto.sagemaker.models").SageMakerModelBackend
    _names_are_taken_once(backend, "create_model", "model_name", "_models")
    _names_are_taken_once(
        backend, "create_endpoint_config", "endpoint_config_name", "endpoint_configs"
    )
    _names_are_taken_once(backend, "create_endpoint", "endpoint_name", "endpoints")
    _what_is_used_stays(backend)
    _endpoints_take_their_time(backend, fate)
    _endpoints_are_updated(fate)
    _policies_go_with_their_target()


def maintain(name: str, account: str, region: str, looks: int) -> None:
    """Put an endpoint under SageMaker's own maintenance, until it was looked at so often."""
    models = importlib.import_module("moto.sagemaker.models")
    endpoint = models.sagemaker_backends[account][region].endpoints[name]
    endpoint.endpoint_status, endpoint.looks, endpoint.outcome = "SystemUpdating", looks, None


def _error(message: str) -> Exception:
    exceptions = importlib.import_module("moto.sagemaker.exceptions")
    error: Exception = exceptions.ValidationError(message=message)
    return error


def _names_are_taken_once(backend: Any, method: str, word: str, kept: str) -> None:
    original = getattr(backend, method)

    def guarded(self: Any, **words: Any) -> Any:
        if words[word] in getattr(self, kept):
            raise _error(f"Cannot create already existing {words[word]}")
        return original(self, **words)

    setattr(backend, method, guarded)


def _what_is_used_stays(backend: Any) -> None:
    original = backend.delete_endpoint_config

    def guarded(self: Any, endpoint_config_name: str) -> None:
        used = [each.endpoint_config_name for each in self.endpoints.values()]
        assert endpoint_config_name not in used, "a configuration in use must not be deleted"
        original(self, endpoint_config_name)

    backend.delete_endpoint_config = guarded


def _begin(endpoint: Any, status: str, fate: Fate) -> None:
    endpoint.looks = fate.takes
    endpoint.endpoint_status = status if fate.takes or fate.fails else "InService"
    endpoint.outcome, fate.fails = fate.fails, None


def _endpoints_take_their_time(backend: Any, fate: Fate) -> None:
    create, describe = backend.create_endpoint, backend.describe_endpoint
    delete = backend.delete_endpoint

    def create_endpoint(self: Any, **words: Any) -> Any:
        endpoint = create(self, **words)
        _begin(endpoint, "Creating", fate)
        return endpoint

    def describe_endpoint(self: Any, endpoint_name: str) -> Any:
        endpoint = self.endpoints.get(endpoint_name)
        if endpoint is not None and endpoint.endpoint_status in _MOVING:
            endpoint.looks -= 1
            if endpoint.looks < 0:
                _settle(endpoint)
        return describe(self, endpoint_name)

    def delete_endpoint(self: Any, endpoint_name: str) -> None:
        endpoint = self.endpoints.get(endpoint_name)
        if endpoint is not None and endpoint.endpoint_status == "SystemUpdating":
            raise _error("Cannot delete an endpoint that is undergoing maintenance")
        delete(self, endpoint_name)

    backend.create_endpoint = create_endpoint
    backend.delete_endpoint = delete_endpoint
    backend.describe_endpoint = describe_endpoint


_MOVING = ("Creating", "Updating", "SystemUpdating")


def _settle(endpoint: Any) -> None:
    """What comes of a creation or an update: an update that fails leaves all as it was."""
    if endpoint.outcome is None:
        endpoint.endpoint_status = "InService"
        return
    endpoint.failure_reason = endpoint.outcome
    if endpoint.endpoint_status == "Updating":
        endpoint.endpoint_config_name = endpoint.before
        endpoint.endpoint_status = "InService"
    else:
        endpoint.endpoint_status = "Failed"


def _endpoints_are_updated(fate: Fate) -> None:
    responses = importlib.import_module("moto.sagemaker.responses")

    def update_endpoint(self: Any) -> Any:
        """The configuration must be there, and nothing under way."""
        known = self.sagemaker_backend
        endpoint = known.endpoints[self._get_param("EndpointName")]
        config = self._get_param("EndpointConfigName")
        variants = known.describe_endpoint_config(config)["ProductionVariants"]
        if endpoint.endpoint_status != "InService":
            raise _error("Cannot update in-progress endpoint")
        endpoint.before = endpoint.endpoint_config_name
        endpoint.endpoint_config_name = config
        endpoint.production_variants = endpoint._process_production_variants(variants)
        _begin(endpoint, "Updating", fate)
        return responses.ActionResult({"EndpointArn": endpoint.arn})

    responses.SageMakerResponse.update_endpoint = update_endpoint


def _policies_go_with_their_target() -> None:
    models = importlib.import_module("moto.applicationautoscaling.models")
    backend = models.ApplicationAutoscalingBackend
    original = backend.deregister_scalable_target

    def deregister_scalable_target(self: Any, namespace: str, r_id: str, dimension: str) -> None:
        original(self, namespace, r_id, dimension)
        gone = [key for key, policy in self.policies.items() if policy.resource_id == r_id]
        for key in gone:
            del self.policies[key]

    backend.deregister_scalable_target = deregister_scalable_target
