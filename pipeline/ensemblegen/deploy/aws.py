"""AWS through boto3: which regions and machines there are, and one way to make a call.

Credentials are found by boto3's own chain and nowhere else. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ensemblegen.deploy import faults
from ensemblegen.deploy.call import Call
from ensemblegen.errors import MachineError

_INSTALL = "pip install 'ensemblegen[sagemaker]'"


@dataclass
class Aws:
    """The services of one region; clients are made when they are first needed."""

    region: str
    attempts: int | None = None
    """Of a call; None for what AWS_MAX_ATTEMPTS or the profile says."""
    connections: int = 10
    _session: Any = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            retries: dict[str, Any] = {"mode": "standard"}
            if self.attempts is not None:
                retries["total_max_attempts"] = self.attempts
            config = _library("botocore.config").Config(
                retries=retries,
                max_pool_connections=self.connections,
                user_agent_extra="ensemblegen",
            )
            with faults.worded(Call(service, "client", {}), self.region):
                self._session = self._session or _library("boto3").session.Session()
                self._clients[service] = self._session.client(
                    service, region_name=self.region, config=config
                )
        return self._clients[service]

    def call(self, call: Call) -> dict[str, Any]:
        """Its answer; InputError or MachineError where it is refused."""
        method = getattr(self.client(call.service), call.operation)
        with faults.worded(call, self.region):
            answer: dict[str, Any] = method(**call.parameters)
        return answer

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """A call that changes nothing."""
        return self.call(Call(service, operation, parameters))

    def known(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """The same of one thing; None where there is no such thing."""
        method = getattr(self.client(service), operation)
        with faults.worded(Call(service, operation, parameters), self.region):
            try:
                answer: dict[str, Any] = method(**parameters)
            except _library("botocore.exceptions").ClientError as error:
                if faults.is_absence(error):
                    return None
                raise
        return answer

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """What stands under `key` in all pages of a listing."""
        paginator = self.client(service).get_paginator(operation)
        with faults.worded(Call(service, operation, parameters), self.region):
            for page in paginator.paginate(**parameters):
                yield from page.get(key) or ()


@cache
def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MachineError("boto3 is not installed", _INSTALL) from None


def default_region() -> str | None:
    """What boto3 finds in AWS_DEFAULT_REGION or the profile."""
    with faults.worded(Call("sts", "client", {}), ""):
        found: str | None = _library("boto3").session.Session().region_name
    return found


@cache
def regions() -> frozenset[str]:
    """Those that this version of botocore knows to have SageMaker."""
    known = _library("botocore.session").get_session()
    return frozenset(
        region
        for partition in known.get_available_partitions()
        for region in known.get_available_regions("sagemaker", partition)
    )


@cache
def instance_types() -> frozenset[str]:
    """Those of endpoints that this version of botocore knows, from its model of the service."""
    model = _library("botocore.session").get_session().get_service_model("sagemaker")
    return frozenset(model.shape_for("ProductionVariantInstanceType").enum)
