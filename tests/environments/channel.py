"""An offline conda channel made of what this machine has.

Its `python` is an interpreter of this machine made relocatable, its `numpy` a wheel, and what
conflicts with what is up to tiny packages of the test's own. The bytes of a package depend on
what goes into it alone. `python -m tests.environments.channel FOLDER` prints the channel's URL.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.environments.conda_files import place, write, write_repodata
from tests.environments.distributions import Noarch, distribution, noarch
from tests.environments.interpreters import MINORS, NoInterpreter, examine, find, python

__all__ = ["MINORS", "NoInterpreter", "Noarch", "build", "find"]


def build(
    folder: Path,
    interpreters: Sequence[Path] | None = None,
    distributions: Sequence[str] = (),
    packages: Sequence[Noarch] = (),
) -> str:
    """Make a channel of `folder`, which may be one already; returns its file:// URL.

    It gets a `python` for each of `interpreters` (default: those that `find` finds), each of
    `distributions` ("numpy==1.26.4"), without dependencies of its own, for each of these minors,
    and `packages`. Raises NoInterpreter.
    """
    pythons = find() if interpreters is None else [examine(path) for path in interpreters]
    made = [python(each) for each in pythons]
    made += [distribution(text, each.minor) for each in pythons for text in distributions]
    for package in made:
        place(folder, json.loads((package / "index.json").read_text()), package)
    for each in packages:
        index, files = noarch(each)
        with tempfile.TemporaryDirectory() as work:
            write(Path(work), index, files)
            place(folder, index, Path(work))
    for subdir in ("linux-64", "noarch"):
        write_repodata(folder / subdir)
    return folder.resolve().as_uri()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.environments.channel")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minor", action="append", choices=MINORS)
    parser.add_argument("--distribution", action="append", default=[])
    given = parser.parse_args()
    try:
        pythons = [each.executable for each in find(given.minor)]
        url = build(given.folder, pythons, given.distribution)
    except NoInterpreter as reason:
        sys.exit(str(reason))
    sys.stdout.write(f"{url}\n")


if __name__ == "__main__":
    main()
