"""What SageMaker's protocol says around the bodies that Triton reads and writes."""

from __future__ import annotations

JSON = "application/json"
BINARY = "application/vnd.sagemaker-triton.binary+json;json-header-size="
"""What the type of a binary request or answer begins with; the bytes of its JSON part follow."""
TARGET = "X-Amzn-SageMaker-Target-Model"
"""The header that names the archive that a request to a multi-model endpoint is for."""
