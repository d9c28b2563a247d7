"""The Python of the server's image, and packages from PyPI: no conda channel is needed.

The environment has no interpreter of its own: `bin/python3` leads to the image's, and pyvenv.cfg
says so, as in a virtual environment. It weighs what its packages weigh, and nothing of it is run
while it is built, so that it can be made for an image that this machine cannot run.
"""

from __future__ import annotations

import re
from pathlib import Path

from ensemblegen.environments import pack, pip, verify
from ensemblegen.environments.builders.builder import Made, Task
from ensemblegen.environments.builders.marker import marker
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.survey import MARKER

_ACTIVATE = """\
# Sourced by Triton up to 25.07; later it sets these variables itself.
VIRTUAL_ENV="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export VIRTUAL_ENV
export PATH="$VIRTUAL_ENV/bin:$PATH"
unset PYTHONHOME
"""


class Thin:
    def lock(self, task: Task) -> Lock:
        declared, profile = task.declared, task.profile
        names = {each.name for each in declared.pip}
        lines = tuple(each.text for each in declared.pip)
        request = pip.Request(
            lines=lines if "numpy" in names else (*lines, "numpy"),
            python=profile.python,
            glibc=profile.target.glibc,
            constraints=profile.pip_constraints(),
            offline=task.offline,
        )
        return Lock(
            profile=profile.word,
            declared=declared.digest(),
            builder=declared.builder,
            python=profile.python,
            pip=pip.lock(request, task.cache, task.report),
            pip_options=tuple(each.text for each in declared.pip if not each.name),
            imports=declared.imports,
            interpreter=declared.interpreter,
        )

    def make(self, task: Task, lock: Lock, work: Path) -> Made:
        folder = work / "env"
        interpreter = Path(lock.interpreter or f"/usr/bin/python{lock.python}")
        _lay_out(folder, interpreter, lock.python)
        packages = folder / "lib" / f"python{lock.python}" / "site-packages"
        pip.install(
            lock.pip,
            lock.pip_options,
            task.cache,
            task.report,
            offline=task.offline,
            target=(packages, lock.python, task.profile.target.glibc),
        )
        for module in lock.imports:
            if not _is_there(packages, module):
                raise Fault("verify", f"{module} cannot be imported: there is no such module in it")
        demand = verify.Demand(lock.python, task.profile.target.numpy2, lock.imports, None)
        if interpreter.exists():  # else it was made for an image that is not here
            for fault in verify.faults_of(folder, demand, task.report, work):
                raise fault
        archive = work / "archive.tar.gz"
        pack.pack_folder(folder, archive, {MARKER: marker(lock)}, task.report)
        return Made(archive, MARKER)


def _lay_out(folder: Path, interpreter: Path, python: str) -> None:
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    (binaries / "activate").write_text(_ACTIVATE, encoding="utf-8")
    for name in ("python3", f"python{python}", "python"):
        (binaries / name).symlink_to(interpreter)
    config = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    (folder / "pyvenv.cfg").write_text(f"{config}version = {python}\n", encoding="utf-8")


def _is_there(packages: Path, module: str) -> bool:
    name = module.partition(".")[0]
    extension = re.compile(rf"{re.escape(name)}\.[\w.-]*so")
    return (
        (packages / name).is_dir()
        or (packages / f"{name}.py").is_file()
        or any(extension.fullmatch(each.name) for each in packages.iterdir())
    )
