"""What a target release demands of every environment that its Python backend runs."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass

from ensemblegen.environments.declared import Declared
from ensemblegen.targets import Target

_SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
_KERNEL = "5.10"
"""Older than any that runs such a server; packages ask for 3 or so."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A target as the solver sees it: not the machine that builds, but the one that serves."""

    target: Target
    python: str
    """Minor version: the environment's own, or the image's."""
    cuda: bool
    subdir: str

    @property
    def word(self) -> str:
        """Equal for targets that demand the same: `linux-64-py3.10-glibc2.35-numpy1`."""
        target = self.target
        numpy = "" if target.numpy2 else "-numpy1"
        cuda = f"-cuda{target.cuda}" if self.cuda else ""
        return f"{self.subdir}-py{self.python}-glibc{target.glibc}{numpy}{cuda}"

    @property
    def virtual(self) -> dict[str, str]:
        """Conda's virtual packages, on that machine."""
        arch = "x86_64" if self.subdir == "linux-64" else "aarch64"
        found = {
            "__archspec": arch,
            "__glibc": self.target.glibc,
            "__linux": _KERNEL,
            "__unix": "0",
        }
        return found | ({"__cuda": self.target.cuda} if self.cuda else {})

    @property
    def constraints(self) -> tuple[str, ...]:
        """Of conda packages, for those that are there at all."""
        floor = self.target.libstdcxx
        numpy = () if self.target.numpy2 else ("numpy <2",)
        return (*numpy, f"libstdcxx-ng >={floor}", f"libstdcxx >={floor}")

    def conda_specs(self, declared: Declared) -> tuple[str, ...]:
        """What is solved: what is declared, and what the server needs besides."""
        return (*(each.text for each in declared.conda), *self._implied(declared))

    def pip_constraints(self) -> tuple[str, ...]:
        return () if self.target.numpy2 else ("numpy<2",)

    def _implied(self, declared: Declared) -> Iterator[str]:
        if declared.pinned_python is None:
            yield f"python {self.python}.*"
        if not declared.names("numpy"):
            yield "numpy"


def of(declared: Declared, target: Target) -> Profile:
    subdir = _SUBDIRS.get(platform.machine(), "linux-64")
    return Profile(target, declared.pinned_python or target.python, declared.has_cuda, subdir)
