"""A call as plans hold it and messages name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call of boto3: client, method and parameters, and what it is for."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    why: str = ""
