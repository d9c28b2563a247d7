"""What commands take as `--target`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ensemblegen.targets import Target


def target(release: str | None) -> Target | None:
    """The release of that name; a usage error where the tables do not cover it."""
    if release is None:
        return None
    from ensemblegen import targets

    if not targets.known(release):
        known = f"{targets.OLDEST} to {targets.NEWEST} are known"
        raise typer.BadParameter(f"'{release}' is no release; {known}", param_hint="--target")
    return targets.Target(release)
