"""The file at an environment's root that says which it is."""

from __future__ import annotations

from ensemblegen import json_text
from ensemblegen.environments.lock import Lock


def marker(lock: Lock) -> bytes:
    """Equal for equal keys: nothing of the author's names or of this machine goes in."""
    return json_text.text(
        {
            "key": lock.key,
            "profile": lock.profile,
            "python": lock.python,
            "packages": dict(sorted(lock.versions.items())),
        }
    ).encode()
