"""Memory that is freed stays with the process, for the next request.

glibc gives large blocks back to the kernel as soon as they are free, and takes them anew for the
next array: each of its pages then costs a fault, which for arrays of a megabyte is many times what
is computed on them.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
_KEPT = 256 << 20
"""Bytes. A process keeps no more than this of what its largest request took."""
_LARGEST = 32 << 20
"""Bytes, and all that glibc allows. Larger arrays still come from the kernel and go back to it."""
_OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep() -> bool:
    """Whether it does so from now on: not without glibc, nor where the user has set it himself."""
    if any(name in os.environ for name in _OF_THE_USER):
        return False
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _KEPT))
