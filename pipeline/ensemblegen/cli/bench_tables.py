"""How a measurement looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ensemblegen.bench.report import latencies, milliseconds
from ensemblegen.bench.statistics import PHASES as COUNTED
from ensemblegen.bench.statistics import Usage
from ensemblegen.bench.waterfall import (
    INFER,
    INPUT,
    OTHER,
    OUTPUT,
    PHASES,
    QUEUE,
    REPLY,
    REQUEST,
    SCHEDULING,
)
from ensemblegen.bench.windows import AGREEING, merged, percentile, spread
from ensemblegen.cli.render import console, stderr_console, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ensemblegen.bench.points import Point
    from ensemblegen.bench.report import Lane, Measurement, Report, Subject
    from ensemblegen.bench.waterfall import Bar, Waterfall
    from ensemblegen.bench.windows import Ratio

_NARROW, _WIDE = 20, 44
_BESIDE = 62
"""Cells of a bar, and of all that stands beside it."""
_MESSAGES = 3
_BUSY = 0.8
_REACHED = 0.95
_LOOKS = {
    QUEUE: ("░", ".", "yellow"),
    INPUT: ("▒", ":", "cyan"),
    INFER: ("█", "#", "green"),
    OUTPUT: ("▓", "=", "magenta"),
    OTHER: ("─", "-", "dim"),
}
"""Of each phase: its bar, its bar where letters are ASCII alone, its colour."""


def draw(report: Report) -> None:
    """All of it on standard output; what has to be said of the numbers on standard error."""
    out = console()
    out.print(_headline(report))
    print_whole(out, _results(report))
    for measurement in report.measurements:
        for line in _ratios(measurement):
            out.print(line)
    subjects = {each.name: each for each in report.subjects}
    for measurement in report.measurements:
        for lane in measurement.lanes:
            _breakdown(out, lane, measurement, subjects[lane.name])
    notes = stderr_console()
    for measurement in report.measurements:
        for lane in measurement.lanes:
            for note in _notes(lane, measurement.point):
                notes.print(f"{_title(lane, measurement)}: {note}", markup=False)


def _headline(report: Report) -> Text:
    from rich.text import Text

    options, machine = report.head["options"], report.head["machine"]
    models = ", ".join(dict.fromkeys(each.model for each in report.subjects))
    how = f"{options['protocol']}{' with shared memory' if options['shared_memory'] else ''}"
    where = f"{machine['cores']} cores, {', '.join(machine['gpus']) or 'no GPU'}"
    line = Text(visible(models), style="bold")
    return line.append(visible(f"  {how}, {options['input']}; {where}"), style="not bold")


def _results(report: Report) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    points = [each.point for each in report.measurements]
    columns = ["", "batch", "rate" if points[0].rate is not None else "in flight"]
    columns += ["requests/s", "rows/s", "mean", "p50", "p90", "p95", "p99 ms", "errors", "client"]
    hidden = set() if len(report.subjects) > 1 else {""}
    if all(point.batch == 1 for point in points):
        hidden.add("rows/s")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        if name not in hidden:
            table.add_column(name, justify="right" if name else "left")
    for measurement in report.measurements:
        for lane in measurement.lanes:
            cells = zip(columns, _cells(lane, measurement.point), strict=True)
            shown = (Text(text) for name, text in cells if name not in hidden)
            table.add_row(*shown, style="red" if merged(lane.windows).failed else None)
    return table


def _cells(lane: Lane, point: Point) -> list[str]:
    kept = lane.kept
    times = latencies(kept)
    load = f"{point.rate:g}" if point.rate is not None else str(point.concurrency)
    return [
        visible(lane.name),
        str(point.batch),
        load,
        _rate(kept.throughput) + ("" if lane.stable else "~"),
        _rate(kept.throughput * point.batch),
        *(_time(times[name]) for name in ("mean", "p50", "p90", "p95", "p99")),
        str(merged(lane.windows).failed),
        f"{kept.generator:.2f}",
    ]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.2f}"


def _ratios(measurement: Measurement) -> Iterator[str]:
    from rich.markup import escape

    for each in measurement.against:
        pair = f"{escape(visible(each.name))} / {escape(visible(each.to))}, {measurement.point}"
        yield f"{pair}: throughput {_ratio(each.throughput)}, latency {_ratio(each.latency)}"


def _ratio(found: Ratio | None) -> str:
    if found is None:
        return "-"
    return f"[bold]{found.median:.2f}[/] ({found.low:.2f} to {found.high:.2f})"


def _title(lane: Lane, measurement: Measurement) -> str:
    name = f"{visible(lane.name)}, " if len(measurement.lanes) > 1 else ""
    return f"{name}{measurement.point}"


def _breakdown(out: Console, lane: Lane, measurement: Measurement, subject: Subject) -> None:
    from rich.text import Text

    names = subject.steps
    title = _title(lane, measurement)
    found = lane.waterfall
    ascii_only = out.options.ascii_only
    if found is not None:
        heading = f"{title}: a request's {found.latency:.2f} ms"
        heading += f" (mean of {found.requests} traced; median {found.typical:.2f} ms)"
        out.print(Text(f"\n{heading}", style="bold"))
        look = _Look(max(_NARROW, min(_WIDE, out.width - _BESIDE)), found.latency, int(ascii_only))
        print_whole(out, _waterfall(found, lane, names, look))
        out.print(_legend(look))
    elif lane.usages:
        heading = f"{title}: the server's statistics, ms a request"
        out.print(Text(f"\n{heading}", style="bold"))
        print_whole(out, _statistics(lane.usages, names))


@dataclass(frozen=True)
class _Look:
    """How bars are drawn: cells for so many milliseconds, and which of the letters."""

    cells: int
    milliseconds: float
    letter: int

    def stretch(self, start: float, end: float) -> tuple[int, int]:
        """First cell and number of cells; rounded at both ends, so that neighbours meet."""
        scale = self.cells / self.milliseconds if self.milliseconds else 0.0
        first, last = min(round(start * scale), self.cells), min(round(end * scale), self.cells)
        return first, max(last - first, 0)


def _waterfall(found: Waterfall, lane: Lane, names: Mapping[str, str], look: _Look) -> Table:
    from rich.table import Table

    batches = {names.get(model, model): usage.batch for model, usage in lane.usages.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column(f"0{f'{found.latency:.2f} ms':>{look.cells - 1}}", no_wrap=True)
    for name in ("queue", "input", "infer", "output", "slack", "path", "batch"):
        table.add_column(name, justify="right")
    table.add_row(*_outside(REQUEST, 0.0, found, look))
    for bar in found.bars:
        table.add_row(*_step(bar, batches, look))
    table.add_row(*_outside(SCHEDULING, None, found, look))
    table.add_row(*_outside(REPLY, found.latency - found.outside[REPLY], found, look))
    return table


def _outside(label: str, start: float | None, found: Waterfall, look: _Look) -> list[str]:
    """The row of what belongs to no step; what is between the steps lies in many places."""
    spent = found.outside[label]
    first, cells = look.stretch(start, start + spent) if start is not None else (0, 0)
    share = f"{spent / found.latency:.0%}" if found.latency else "0%"
    drawn = " " * first + _LOOKS[OTHER][look.letter] * cells
    return [f"  {label}", drawn, "", "", "", "", "", share]


def _step(bar: Bar, batches: Mapping[str, float], look: _Look) -> list[str | Text]:
    from rich.text import Text

    critical = bar.critical >= 0.5
    name = Text(f"{'*' if critical else ' '} {visible(bar.name)}", style="bold" if critical else "")
    phases = (_time(bar.phases[phase]) for phase in (QUEUE, INPUT, INFER, OUTPUT))
    batch = batches.get(bar.name.rpartition("/")[2])
    rows = f"{batch:.1f}" if batch is not None else ""
    return [name, _bar(bar, look), *phases, _time(bar.slack), f"{bar.share:.0%}", rows]


def _bar(bar: Bar, look: _Look) -> Text:
    from rich.text import Text

    position = bar.start
    line = Text(" " * min(look.stretch(0.0, position)[1], look.cells - 1))
    for phase in PHASES:
        letters, until = _LOOKS[phase], position + bar.phases[phase]
        line.append(letters[look.letter] * look.stretch(position, until)[1], style=letters[2])
        position = until
    return line if line.plain.strip() else line.append("▏|"[look.letter])


def _legend(look: _Look) -> Text:
    from rich.text import Text

    line = Text("  ")
    for phase in (QUEUE, INPUT, INFER, OUTPUT):
        letters = _LOOKS[phase]
        line.append(letters[look.letter] * 2, style=letters[2]).append(f" {phase}  ")
    return line.append("* critical path", style="dim")


def print_whole(out: Console, table: Table) -> None:
    """Whole, even where lines are longer than the terminal is wide: numbers are never cut."""
    from rich.measure import Measurement as Measured

    wide = out.options.update(max_width=1000)
    out.width = max(out.width, Measured.get(out, wide, table).maximum)
    out.print(table)


def _statistics(usages: Mapping[str, Usage], names: Mapping[str, str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in ("requests", "batch", *(phase.replace("compute_", "") for phase in COUNTED)):
        table.add_column(name, justify="right")
    for usage in usages.values():
        times = (_time(usage.milliseconds[phase]) for phase in COUNTED)
        shown = Text(visible(names.get(usage.model, usage.model)))
        table.add_row(shown, str(usage.requests), f"{usage.batch:.1f}", *times)
    return table


def _notes(lane: Lane, point: Point) -> Iterator[str]:
    everything = merged(lane.windows)
    if everything.failed:
        yield f"{everything.failed} requests failed"
        for message, count in list(everything.errors.items())[:_MESSAGES]:
            yield f"  {count} times: {visible(message)}"
    if not lane.stable and everything.latencies:
        last = lane.windows[-AGREEING:]
        rates = spread([each.throughput for each in last])
        times = spread([percentile(each.latencies, 95) for each in last])
        yield (
            f"not stable after {len(lane.windows)} windows (~): the last differ from their mean "
            f"by up to {rates:.0%} in throughput, {times:.0%} in p95"
        )
    if lane.kept.generator > _BUSY * _processes(point):
        yield "the load generator was busy nearly all the time: the server may be faster"
    if point.rate is not None and lane.kept.throughput < _REACHED * point.rate:
        late = milliseconds(lane.kept.late)
        yield (
            f"{lane.kept.throughput:.1f} of {point.rate:g} requests/s were answered, sent "
            f"{late:.1f} ms late on average: the queue grows, and latency with it"
        )


def _processes(point: Point) -> int:
    from ensemblegen.bench.load import processes

    return processes(point.concurrency)
