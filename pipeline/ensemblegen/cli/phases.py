"""How the phases of a long command look while they run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ensemblegen.environments.progress import Event, Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_WORDS = {
    "solve": "choosing packages",
    "fetch": "fetching packages",
    "link": "installing conda packages",
    "pip": "installing pip packages",
    "check": "importing in it",
    "pack": "packing",
    "verify": "reading the archive",
    "place": "placing",
}


class Lines:
    """One line a phase, for logs."""

    def __init__(self, name: str, out: Console) -> None:
        self._name = name
        self._out = out
        self._seen: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event.phase not in self._seen:
            self._seen.add(event.phase)
            self._out.print(f"{self._name}: {_WORDS[event.phase]}", markup=False)


@contextlib.contextmanager
def bars(name: str, out: Console) -> Iterator[Report]:
    """A bar a phase, gone when all is done."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=out, transient=True) as progress:

        def report(event: Event) -> None:
            if event.phase not in tasks:
                for earlier in tasks.values():
                    progress.update(earlier, total=1, completed=1)
                title = f"{name}: {_WORDS[event.phase]}"
                tasks[event.phase] = progress.add_task(title, total=event.total)
            progress.update(tasks[event.phase], total=event.total, completed=event.done)

        yield report
