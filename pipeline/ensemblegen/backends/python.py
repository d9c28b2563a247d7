"""The parameters of a config that the Python backend itself reads (its README)."""

from __future__ import annotations

ENVIRONMENT = "EXECUTION_ENV_PATH"
"""The archive, or the folder, in which a model's stub runs."""
FORCE_CPU = "FORCE_CPU_ONLY_INPUT_TENSORS"
"""`no` leaves inputs where they are; without it they are copied to the host."""
HERE = "$$TRITON_MODEL_DIRECTORY"
"""What a value of ENVIRONMENT must begin with for Triton to put the model's folder there."""
