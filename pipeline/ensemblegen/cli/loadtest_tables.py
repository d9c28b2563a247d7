"""How a load test looks: while it runs, and its table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ensemblegen.bench.windows import percentile
from ensemblegen.cli.bench_tables import print_whole
from ensemblegen.cli.render import console, stderr_console, visible

if TYPE_CHECKING:
    from rich.table import Table

    from ensemblegen.loadtest.run import Sample
    from ensemblegen.loadtest.summary import Summary

_EVERY = 10
"""Of what is seen each second, logs get so few lines."""
_MESSAGES = 3


@contextlib.contextmanager
def watching(name: str) -> Iterator[Callable[[Sample], None]]:
    """One line that changes on a terminal; in a log, one every ten seconds."""
    out = stderr_console()
    if out.is_terminal:
        with out.status(f"{name}: starting") as status:
            yield lambda sample: status.update(visible(f"{name}: {_line(sample)}"))
        return
    count = 0

    def seen(sample: Sample) -> None:
        nonlocal count
        count += 1
        if count % _EVERY == 0:
            out.print(f"{name}: {_line(sample)}", markup=False)

    yield seen


def _line(sample: Sample) -> str:
    window = sample.window
    late = percentile(window.latencies, 95) / 1e6
    failed = f", {window.failed} failed" if window.failed else ""
    return (
        f"{sample.seconds:.0f} s, {sample.users} users, {window.throughput:.1f} requests/s, "
        f"p95 {late:.1f} ms{failed}"
    )


def draw(rows: Sequence[Summary], rate: float | None, currency: str | None) -> None:
    """The table on standard output; what failed or was not run below it."""
    out = console()
    measured = [row for row in rows if row.throughput is not None]
    if measured:
        print_whole(out, _table(measured, rate, currency))
    for row in rows:
        name = visible(row.name)
        if row.not_run is not None:
            out.print(f"{name}: not run: {visible(row.not_run)}", markup=False)
        elif row.stopped is not None:
            out.print(f"{name}: stopped: {row.stopped}", markup=False)
        for text, count in row.errors[:_MESSAGES]:
            stderr_console().print(f"{name}: {count} x {visible(text)}", markup=False)


def _table(rows: Sequence[Summary], rate: float | None, currency: str | None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("configuration", overflow="fold")
    heads = ["requests/s", "users", "p50", "p95", "p99 ms", "failed"]
    if rate is not None:
        heads.append(f"machines for {rate:g}/s")
    if currency is not None:
        heads += [f"{visible(currency)}/hour", "per million"]
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        cells = [_number(row.throughput), str(row.users)]
        cells += [_number(each) for each in (row.p50, row.p95, row.p99)] + [str(row.failed)]
        if rate is not None:
            cells.append(str(row.instances))
        if currency is not None:
            cells += [_money(row.per_hour), _money(row.per_million)]
        table.add_row(visible(row.name), *cells)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _money(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else "-"
