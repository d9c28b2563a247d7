"""One request to an endpoint, in the binary form of Triton's SageMaker adaptor.

Imports numpy and tritonclient.
"""

from __future__ import annotations

import numpy as np

from ensemblegen.client import invocation
from ensemblegen.client.interface import Interface
from ensemblegen.client.tensors import Array
from ensemblegen.deploy.aws import Aws


def invoke(
    aws: Aws, endpoint: str, interface: Interface, item: dict[str, Array], target: str | None
) -> dict[str, Array]:
    """The outputs for one item, in item shape; `target` names one of many models."""
    batched = {name: array[np.newaxis] for name, array in item.items()}
    data, kind = invocation.body(interface, batched if interface.batched else item)
    words = {"TargetModel": target} if target else {}
    answer = aws.ask("sagemaker-runtime", "invoke_endpoint", EndpointName=endpoint, Body=data,
                     ContentType=kind, Accept=kind, **words)  # fmt: skip
    outputs = invocation.answered(interface, answer["Body"].read(), answer["ContentType"])
    return {name: array[0] if interface.batched else array for name, array in outputs.items()}
