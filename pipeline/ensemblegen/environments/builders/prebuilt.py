"""An archive or a folder that the author made: taken as it is, once it has proved sound."""

from __future__ import annotations

from pathlib import Path

from ensemblegen.content import Linked, take
from ensemblegen.environments import archive, pack, stubs, verify
from ensemblegen.environments.builders.builder import Made, Task
from ensemblegen.environments.declared import ACTIVATE
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.survey import MARKER


class Prebuilt:
    def lock(self, _: Task) -> None:
        return None

    def make(self, task: Task, _: Lock, work: Path) -> Made:
        source = task.declared.path
        contents = archive.examine(source, task.report)
        python = contents.python
        if python is None:
            raise Fault("archive", "it has no Python of its own: no lib/libpython3.*.so")
        prefix = source
        if source.is_file():
            prefix = work / "env"
            archive.unpack(source, prefix, task.report)
        target = task.profile.target
        demand = verify.Demand(python, target.numpy2, (), stubs.find(target, python))
        for fault in verify.faults_of(prefix, demand, task.report, work):
            raise fault
        made = work / "archive.tar.gz"
        if source.is_file():
            take(Linked(source), made)
        else:
            pack.pack_folder(source, made, {}, task.report)
        # What tells it from others, if it has no marker: with its name in it or not.
        return Made(made, MARKER if contents.marker is not None else ACTIVATE)
