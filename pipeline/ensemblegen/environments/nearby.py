"""Packages of channels that lie beside the environment's file, without the folder they lie in.

A lock is committed and comes to other folders: what it says of them is relative to the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ensemblegen.environments.conda import CondaPackage


def relative(
    packages: Iterable[CondaPackage], local: Mapping[str, str]
) -> tuple[CondaPackage, ...]:
    """`file:///home/me/p/channel/noarch/x.conda` as `./channel/noarch/x.conda`."""
    return _moved(packages, {address: word for word, address in local.items()})


def absolute(
    packages: Iterable[CondaPackage], local: Mapping[str, str]
) -> tuple[CondaPackage, ...]:
    """The way back, in whatever folder the file is now."""
    return _moved(packages, local)


def _moved(packages: Iterable[CondaPackage], places: Mapping[str, str]) -> tuple[CondaPackage, ...]:
    """The longest goes first: one channel may lie in another."""
    ordered = sorted(places.items(), key=lambda each: -len(each[0]))

    def moved(url: str) -> str:
        for before, after in ordered:
            if url == before or url.startswith(f"{before}/"):
                return after + url[len(before) :]
        return url

    return tuple(
        replace(each, url=moved(each.url), channel=moved(each.channel)) for each in packages
    )
