"""Conda packages with a Python of their own, and what pip puts on top of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ensemblegen.environments import conda, nearby, pack, pip, stubs, verify
from ensemblegen.environments.builders.builder import Made, Task
from ensemblegen.environments.builders.marker import marker
from ensemblegen.environments.conda import CondaPackage
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.pip import PipPackage
from ensemblegen.environments.survey import MARKER


class Rattler:
    """py-rattler solves and links, uv installs the pip section, conda-pack's rules pack it."""

    def lock(self, task: Task) -> Lock:
        declared, profile = task.declared, task.profile
        request = conda.Request(
            channels=declared.channels,
            specs=profile.conda_specs(declared),
            constraints=profile.constraints,
            subdir=profile.subdir,
            virtual=profile.virtual,
            offline=task.offline,
        )
        packages = conda.solve(request, task.cache, task.report)
        lines = tuple(each.text for each in declared.pip)
        return Lock(
            profile=profile.word,
            declared=declared.digest(),
            builder=declared.builder,
            python=profile.python,
            conda=nearby.relative(packages, declared.local),
            pip=self._pip(task, lines, packages),
            pip_options=tuple(each.text for each in declared.pip if not each.name),
            imports=declared.imports,
        )

    def make(self, task: Task, lock: Lock, work: Path) -> Made:
        prefix = work / "env"
        packages = nearby.absolute(lock.conda, task.declared.local)
        conda.install(packages, prefix, task.cache, task.report, offline=task.offline)
        python = prefix / "bin" / "python3"
        if lock.pip:
            pip.install(
                lock.pip,
                lock.pip_options,
                task.cache,
                task.report,
                offline=task.offline,
                python=python,
            )
        demand = verify.Demand(
            python=lock.python,
            numpy2=task.profile.target.numpy2,
            modules=lock.imports,
            stub=stubs.find(task.profile.target, lock.python),
        )
        for fault in verify.faults_of(prefix, demand, task.report, work):
            raise fault
        archive = work / "archive.tar.gz"
        pack.pack_conda(prefix, archive, {MARKER: marker(lock)}, task.report)
        return Made(archive, MARKER)

    def _pip(
        self, task: Task, lines: tuple[str, ...], packages: Iterable[CondaPackage]
    ) -> tuple[PipPackage, ...]:
        if not any(each.name for each in task.declared.pip):
            return ()
        present = {_normal(each.name): each.version for each in packages if _is_python(each)}
        request = pip.Request(
            lines=lines,
            python=task.profile.python,
            glibc=task.profile.target.glibc,
            constraints=(
                *task.profile.pip_constraints(),
                *(f"{name}=={version}" for name, version in sorted(present.items())),
            ),
            offline=task.offline,
        )
        found = pip.lock(request, task.cache, task.report)
        return tuple(each for each in found if each.name not in present)


def _is_python(package: CondaPackage) -> bool:
    """Whether it is installed where pip would see it; by its conda name, which is mostly PyPI's."""
    return package.name != "python" and any(
        each.split()[0] in ("python", "python_abi") for each in package.depends
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
