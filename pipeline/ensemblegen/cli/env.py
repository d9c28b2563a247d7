"""`ensemblegen env`: lock, build, list, verify and prune execution environments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ensemblegen.cli import meant
from ensemblegen.cli.options import FormatOption
from ensemblegen.cli.render import (
    Format,
    console,
    print_json,
    problem_json,
    stderr_console,
)

if TYPE_CHECKING:
    from ensemblegen.environments.progress import Report
    from ensemblegen.environments.store import Entry, Store
    from ensemblegen.errors import Problem
    from ensemblegen.outfit import Need

app = typer.Typer(
    help="Execution environments of Python steps: lock, build, list, verify, prune.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Sources = Annotated[
    list[Path], typer.Argument(help="A pipeline.yaml, or environment files such as conda/x.yaml.")
]
DeviceOption = Annotated[
    Literal["cpu", "gpu"] | None, typer.Option(help="For the steps placed on this device.")
]
ProfileOption = Annotated[str | None, typer.Option(help="For a profile of the pipeline.")]
VariantsOption = Annotated[
    bool, typer.Option("--variants", help="For every device and profile of the pipeline.")
]
TargetOption = Annotated[
    str | None, typer.Option(metavar="YY.MM", help="The release, for environment files alone.")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Use only what is on this machine already.")
]


_NONE = "no step asks for an environment"


@app.command()
def lock(
    sources: Sources,
    device: DeviceOption = None,
    profile: ProfileOption = None,
    variants: VariantsOption = False,
    target: TargetOption = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Solve again, for newer packages.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a lock is missing or stale.")
    ] = False,
    offline: OfflineOption = False,
    format: FormatOption = Format.human,
) -> None:
    """Choose every package of an environment, and write the lock beside its file.

    Example: ensemblegen env lock pipeline.yaml
    """
    from ensemblegen.environments import build
    from ensemblegen.environments.store import Store

    if check and renew:
        raise typer.BadParameter("--check and --renew exclude each other")
    store = Store()
    chosen = meant.Chosen(device, profile, variants, target, format)
    needs = meant.needs(sources, chosen)
    if check:
        meant.require_locks(needs, store, chosen)
    rows = []
    for need in needs:
        with _progress(need, format) as report:
            options = build.Options(locked=check, offline=offline, renew=renew, report=report)
            made = build.lock(need.declared, need.target, store, options)
        path = str(need.declared.lock_path) if made.lock else None
        count = len(made.lock.versions) if made.lock else 0
        rows.append({"environment": need.declared.name, "lock": path, "packages": count,
                     "written": made.new})  # fmt: skip
    if format is Format.json:
        print_json({"ok": True, "environments": rows, "problems": chosen.told()})
        return
    for row in rows:
        if row["lock"] is None:
            console().print(f"{row['environment']} is taken as it is: there is nothing to lock")
        else:
            verb = "written" if row["written"] else "is up to date"
            console().print(f"{row['lock']} {verb}: {row['packages']} packages")


@app.command()
def build(
    sources: Sources,
    device: DeviceOption = None,
    profile: ProfileOption = None,
    variants: VariantsOption = False,
    target: TargetOption = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse to solve: the lock must fit the file.")
    ] = False,
    offline: OfflineOption = False,
    format: FormatOption = Format.human,
) -> None:
    """Build the archives that `ensemblegen compile` puts beside a repository.

    Example: ensemblegen env build pipeline.yaml

    Each is verified before it is kept in $ENSEMBLEGEN_CACHE; what is there is not built again.
    """
    import time

    from ensemblegen.environments import build as builds
    from ensemblegen.environments.store import Store

    store = Store()
    chosen = meant.Chosen(device, profile, variants, target, format)
    needs = meant.needs(sources, chosen)
    if locked:
        meant.require_locks(needs, store, chosen)
    rows = []
    for need in needs:
        began = time.monotonic()
        with _progress(need, format) as report:
            options = builds.Options(locked=locked, offline=offline, report=report)
            built = builds.build(need.declared, need.target, store, options)
        row = _entry_json(built.entry) | {
            "environment": need.declared.name,
            "steps": list(need.users),
            "built": built.new,
            "seconds": round(time.monotonic() - began, 3),
        }
        rows.append(row)
        if format is Format.human:
            _draw_built(row)
    if format is Format.json:
        print_json({"ok": True, "environments": rows, "problems": chosen.told()})
    elif not rows:
        console().print(_NONE)


@app.command(name="list")
def list_(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Those of a pipeline; without it all of the store.")
    ] = None,
    target: TargetOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Show the archives of the store, or whether those of a pipeline are locked and built.

    Example: ensemblegen env list pipeline.yaml
    """
    from ensemblegen.environments.store import Store

    store = Store()
    if sources:
        chosen = meant.Chosen(None, None, True, target, format)
        _list_needs(meant.needs(sources, chosen), store, chosen)
        return
    entries = store.entries()
    if format is Format.json:
        rows = [_entry_json(each) for each in entries]
        print_json({"ok": True, "store": str(store.envs), "environments": rows})
        return
    for entry in entries:
        console().print(_line(entry))
    total = sum(entry.size for entry in entries)
    console().print(f"{len(entries)} in {store.envs}, {_bytes(total)}")


@app.command()
def verify(
    sources: Annotated[
        list[Path], typer.Argument(help="A compiled repository, an archive, or a pipeline.yaml.")
    ],
    target: TargetOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Read archives from end to end as the server would, and compare their hashes.

    Example: ensemblegen env verify build/repository
    """
    from ensemblegen.errors import InputError

    chosen = meant.Chosen(None, None, False, target, format)
    found = [each for source in sources for each in _verified(source, chosen)]
    problems = [problem for _, problem in found if problem is not None]
    good = [name for name, problem in found if problem is None]
    if format is Format.json:
        told = [*chosen.told(), *map(problem_json, problems)]
        print_json({"ok": not problems, "archives": good, "problems": told})
        raise typer.Exit(1 if problems else 0)
    for name in good:
        console().print(f"[green]ok[/] {name}")
    if problems:
        raise InputError(problems)
    if not found:
        console().print(_NONE)


@app.command()
def prune(
    older: Annotated[
        int, typer.Option("--older-than", min=0, help="Days since something was last used.")
    ] = 30,
    repository: Annotated[
        Path | None,
        typer.Option(help="Prune envs/ beside this repository instead of the store."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    format: FormatOption = Format.human,
) -> None:
    """Remove archives and converted models not used for long, and what killed builds left.

    Example: ensemblegen env prune --older-than 7

    With --repository: what no compiled repository in the same folder names any more.
    """
    from ensemblegen.emit import unused

    store = None if repository is not None else _store()
    if repository is not None:
        gone = unused.prune(repository, dry_run=dry_run)
    else:
        gone = _prune_store(_store(), older, dry_run=dry_run)
    freed = sum(size for _, size in gone)
    kept = store.packages() if store is not None else None
    if format is Format.json:
        shown = {} if kept is None else {"packages_bytes": kept}
        names = [str(path) for path, _ in gone]
        print_json({"ok": True, "removed": names, "bytes": freed, "dry_run": dry_run, **shown})
        return
    for path, _ in gone:
        console().print(f"[red]-[/] {path}")
    verbs = ("would go", "would free") if dry_run else ("removed", "freed")
    console().print(f"{len(gone)} {verbs[0]}, {verbs[1]} {_bytes(freed)}")
    if store is not None and kept:
        console().print(f"{_bytes(kept)} of packages stay in {store.cache}, for the next builds")


def _prune_store(store: Store, older: int, *, dry_run: bool) -> list[tuple[Path, int]]:
    """What was not used for `older` days, and what killed builds left."""
    from ensemblegen.converters import convert
    from ensemblegen.environments.store import ages

    old = [entry for entry in store.entries() if ages(entry) >= older]
    for entry in old if not dry_run else ():
        store.remove(entry)
    archives = [(entry.archive, entry.size) for entry in old]
    models = convert.prune(older, dry_run=dry_run)
    return [*archives, *models, *store.sweep(dry_run=dry_run)]


def _verified(source: Path, chosen: meant.Chosen) -> Iterator[tuple[str, Problem | None]]:
    """Each archive that is meant, and what is wrong with it."""
    from ensemblegen import manifest, outfit
    from ensemblegen.environments import placed

    meant.require(source)
    if (source / manifest.NAME).is_file():
        yield from ((str(path), problem) for path, problem in placed.verify(source))
    elif meant.is_archive(source):
        yield str(source), placed.verify_archive(source)
    else:
        for need in meant.needs([source], chosen):
            yield need.declared.name, outfit.verify(need, _store())


def _store() -> Store:
    from ensemblegen.environments.store import Store

    return Store()


@contextlib.contextmanager
def _progress(need: Need, format: Format) -> Iterator[Report]:
    """Bars by phase on a terminal; else a line a phase, and for machines nothing."""
    from ensemblegen.cli.phases import Lines, bars
    from ensemblegen.environments.progress import silent

    out = stderr_console()
    if format is Format.json:
        yield silent
    elif out.is_terminal:
        with bars(need.declared.name, out) as report:
            yield report
    else:
        yield Lines(need.declared.name, out)


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "environment": entry.name,
        "key": entry.key,
        "archive": str(entry.archive),
        "python": entry.python,
        "packages": len(entry.packages),
        "bytes": entry.size,
        "unpacked_bytes": entry.unpacked,
        "sha256": entry.sha256,
    }


def _line(entry: Entry) -> str:
    return (
        f"{entry.short}  {entry.name}  python {entry.python}, {len(entry.packages)} packages, "
        f"{_bytes(entry.size)}"
    )


def _draw_built(row: dict[str, Any]) -> None:
    verb = f"built in {row['seconds']:.1f} s" if row["built"] else "is built already"
    steps = f" for {', '.join(row['steps'])}" if row["steps"] else ""
    out = console()
    out.print(f"[bold]{row['environment']}[/]{steps} {verb}")
    out.print(
        f"  python {row['python']}, {row['packages']} packages, {_bytes(row['bytes'])} packed, "
        f"{_bytes(row['unpacked_bytes'])} unpacked"
    )
    out.print(f"  {row['archive']}")


def _list_needs(needs: list[Need], store: Store, chosen: meant.Chosen) -> None:
    from ensemblegen import outfit
    from ensemblegen.environments.store import Entry

    rows: list[dict[str, Any]] = []
    for need in needs:
        found = outfit.built(need.declared, need.target, store)
        known = _entry_json(found) if isinstance(found, Entry) else {"key": None, "archive": None}
        rows.append(known | {
            "environment": need.declared.name,
            "steps": list(need.users),
            "built": isinstance(found, Entry),
            "state": _line(found) if isinstance(found, Entry) else found.message,
        })  # fmt: skip
    if chosen.format is Format.json:
        print_json({"ok": True, "environments": rows, "problems": chosen.told()})
        return
    for row in rows:
        mark = "[green]built[/]  " if row["built"] else "[yellow]missing[/]"
        steps = f" ({', '.join(row['steps'])})" if row["steps"] else ""
        console().print(f"{mark} {row['environment']}{steps}: {row['state']}")
    if not rows:
        console().print(_NONE)


def _bytes(number: int) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number //= 1000
    return f"{number:.1f} GB"
