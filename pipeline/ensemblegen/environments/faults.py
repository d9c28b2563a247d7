"""What goes wrong below the level that knows pipelines: a kind, and the words of who found it.

`environments.trouble` turns a fault into a located problem or a fault of the machine.
"""

from __future__ import annotations

from typing import Literal

FaultKind = Literal[
    "unsolvable",  # no set of packages fits what is asked for
    "channel",  # a channel is not there, or has nothing for the platform
    "network",  # a server cannot be reached
    "hash",  # a package is not the one that was locked
    "space",  # the disk is full
    "access",  # a file or folder may not be read or written
    "tool",  # a library or program that the build needs is not installed
    "crash",  # the worker ended without an answer
    "clash",  # pip replaced files of conda packages
    "editable",  # an editable package cannot be packed
    "archive",  # an archive that the server could not use
    "verify",  # the environment was built, and is not what the server needs
]


class Fault(Exception):  # noqa: N818 - what it is called here
    """`text` may have several lines; `hint` is one sentence."""

    def __init__(self, kind: FaultKind, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.kind: FaultKind = kind
        self.text = text
        self.hint = hint
