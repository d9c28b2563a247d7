"""The report as one page: no file beside it, nothing from a network, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from ensemblegen.bench import plots
from ensemblegen.bench.plots import SERIES, Series
from ensemblegen.bench.points import Point
from ensemblegen.bench.report import (
    Lane,
    Measurement,
    Report,
    Subject,
    latencies,
    milliseconds,
)
from ensemblegen.bench.statistics import PHASES as COUNTED
from ensemblegen.bench.waterfall import INFER, INPUT, OUTPUT, QUEUE, Waterfall
from ensemblegen.bench.windows import Ratio, histogram, merged

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --fore: #1c2128; --soft: #667080; --line: #d8dee6;
  --s0: #2563c9; --s1: #d9730d; --s2: #16876b; --s3: #b0388f; --s4: #8a6d00; --s5: #5b6675;
  --queue: #e3b341; --input: #5aa9e6; --infer: #2f9e63; --output: #a26bd1; --other: #98a2ae;
  --bad: #c62828; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --fore: #e4e8ee; --soft: #97a3b3;
  --line: #303944; --s0: #6ea8ff; --s1: #f0a050; --s2: #4cc9a4; --s3: #e58acb; --s4: #d9bd4a;
  --s5: #a5b0bf; --queue: #d3a331; --input: #4f9bd8; --infer: #3fb573; --output: #b184dd;
  --other: #6b7683; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 62rem; background: var(--back);
  color: var(--fore); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; font-weight: 600; }
p { margin: .3rem 0; } .soft, figcaption { color: var(--soft); } .bad { color: var(--bad); }
code { font-size: .9em; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0;
  font-variant-numeric: tabular-nums; font-size: .92em; }
th, td { text-align: right; padding: .28rem .6rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; } th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
figure { margin: .8rem 0; } .narrow { max-width: 34rem; }
svg { width: 100%; height: auto; display: block; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 0 1.6rem; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em;
  vertical-align: -.05em; } .key:first-child { margin-left: 0; }
text { fill: var(--soft); font: 12px system-ui, sans-serif; } .label { fill: var(--fore);
  font-size: 13px; text-anchor: end; } .strong { font-weight: 700; }
.middle { text-anchor: middle; } .end { text-anchor: end; } .start { text-anchor: start; }
.grid { stroke: var(--line); }
.line { fill: none; stroke-width: 2; } .area { fill-opacity: .18; stroke-width: 1.6; }
.queue { fill: var(--queue); background: var(--queue); }
.input { fill: var(--input); background: var(--input); }
.infer { fill: var(--infer); background: var(--infer); }
.output { fill: var(--output); background: var(--output); }
.other, .outside { fill: var(--other); background: var(--other); }
.slack { fill: var(--other); fill-opacity: .25; }
.critical { fill: none; stroke: var(--fore); stroke-width: 1.5; }
"""


def page(report: Report) -> str:
    """The whole page, UTF-8. Every name in it that anyone wrote is escaped."""
    models = ", ".join(dict.fromkeys(each.model for each in report.subjects))
    several = len(report.subjects) > 1
    subjects = {each.name: each for each in report.subjects}
    parts = [
        f"<h1>{escape(models)}</h1>",
        *_head(report),
        "<h2>Results</h2>",
        _results(report, several=several),
        *_ratios(report.measurements),
        *_overview(report),
        *(
            text
            for each in report.measurements
            for lane in each.lanes
            for text in _detail(each, lane, subjects[lane.name], several=several)
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(models)}: ensemblegen bench</title>"
        f"<style>{_STYLE}{_colours()}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _colours() -> str:
    rules = (
        f".s{i} {{ stroke: var(--s{i}); fill: var(--s{i}); background: var(--s{i}); }}\n"
        for i in range(SERIES)
    )
    return "".join(rules) + ".line { fill: none; }\n"


def _head(report: Report) -> Iterator[str]:
    machine, options = report.head["machine"], report.head["options"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    how = f"{options['protocol']}{' with shared memory' if options['shared_memory'] else ''}"
    servers = ", ".join(dict.fromkeys(each.server for each in report.subjects))
    told = [
        f"{machine['cpu']}, {machine['cores']} cores, {gpus}; {machine['system']}",
        f"{servers}; {how}; input: {options['input']}; {report.head['date']}; "
        f"ensemblegen {report.head['ensemblegen']}",
    ]
    yield from (f'<p class="soft">{escape(line)}</p>' for line in told)
    yield f'<p class="soft"><code>{escape(report.head["command"])}</code></p>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _results(report: Report, *, several: bool) -> str:
    header = ["load", "requests/s", "rows/s", "mean ms", "p50", "p90", "p95", "p99"]
    header += ["errors", "client cores", "stable"]
    rows = []
    for measurement in report.measurements:
        for lane in measurement.lanes:
            kept, times = lane.kept, latencies(lane.kept)
            rate = kept.throughput
            rows.append(
                [
                    _title(measurement, lane, several=several),
                    plots.number_text(rate),
                    plots.number_text(rate * measurement.point.batch),
                    *(_number(times[name]) for name in ("mean", "p50", "p90", "p95", "p99")),
                    str(merged(lane.windows).failed),
                    f"{kept.generator:.2f}",
                    "yes" if lane.stable else f"not in {len(lane.windows)} windows",
                ]
            )
    return _table(header, rows)


def _ratios(measurements: Sequence[Measurement]) -> Iterator[str]:
    rows = [
        [f"{each.name} / {each.to}", str(one.point), _ratio(each.throughput), _ratio(each.latency)]
        for one in measurements
        for each in one.against
    ]
    if rows:
        yield "<h2>In alternating rounds</h2>"
        yield _table(["", "load", "throughput", "latency"], rows)
        yield '<p class="soft">Median of the rounds, and the lowest and highest of them.</p>'


def _overview(report: Report) -> Iterator[str]:
    """Throughput and latency over the load, where there is more than one load."""
    batches = dict.fromkeys(each.point.batch for each in report.measurements)
    throughput, tails = [], []
    for subject in report.subjects:
        for batch in batches:
            name = ", ".join([subject.name] * (len(report.subjects) > 1) + [f"batch {batch}"])
            found = [
                (_load(each.point), lane.kept)
                for each in report.measurements
                for lane in each.lanes
                if lane.name == subject.name and each.point.batch == batch and lane.kept.latencies
            ]
            throughput.append(Series(name, [(x, kept.throughput * batch) for x, kept in found]))
            tails.append(Series(name, [(x, latencies(kept)["p95"] or 0.0) for x, kept in found]))
    if len(dict.fromkeys(_load(each.point) for each in report.measurements)) > 1:
        axis = "requests/s asked" if report.measurements[0].point.rate else "requests in flight"
        yield "<h2>Over the load</h2>"
        yield _keys([each.name for each in throughput])
        yield '<div class="two">'
        yield f"<figure>{plots.lines(throughput, axis, 'rows/s')}</figure>"
        yield f"<figure>{plots.lines(tails, axis, 'p95, ms')}</figure></div>"


def _load(point: Point) -> float:
    return point.rate if point.rate is not None else float(point.concurrency or 0)


def _detail(
    measurement: Measurement, lane: Lane, subject: Subject, *, several: bool
) -> Iterator[str]:
    yield f"<h2>{escape(_title(measurement, lane, several=several))}</h2>"
    errors = merged(lane.windows).errors
    for message, count in errors.items():
        yield f'<p class="bad">{count} requests failed: {escape(message)}</p>'
    if lane.waterfall is not None:
        yield from _fall(lane.waterfall, lane)
    if lane.usages:
        yield "<h3>The server's statistics</h3>"
        yield '<p class="soft">Means a request over the measured windows, in ms.</p>'
        yield _statistics(lane, subject.steps)
    if lane.kept.latencies:
        bins = [
            (milliseconds(low), milliseconds(high), count)
            for low, high, count in histogram(lane.kept.latencies)
        ]
        yield "<h3>Latency</h3>"
        drawn = plots.distribution([(lane.name, bins)], "ms; the last bar has all above p99")
        yield f'<figure class="narrow">{drawn}</figure>'


def _fall(found: Waterfall, lane: Lane) -> Iterator[str]:
    outside = ", ".join(f"{label} {value:.2f} ms" for label, value in found.outside.items())
    yield (
        f'<p class="soft">Mean {found.latency:.2f} ms, median {found.typical:.2f} ms of '
        f"{found.requests} traced requests; outside of steps: {outside}.</p>"
    )
    keys = "".join(
        f'<span class="key {phase}"></span>{phase}' for phase in (QUEUE, INPUT, INFER, OUTPUT)
    )
    yield f"<figure>{plots.waterfall(found, lane)}<figcaption>{keys}"
    yield '<span class="key slack other" style="opacity:.35"></span>slack; '
    yield "framed: on the critical path</figcaption></figure>"
    header = ["step", "start", QUEUE, INPUT, INFER, OUTPUT, "slack", "waited for", "of the path"]
    rows = (
        [
            bar.name,
            _number(bar.start),
            *(_number(bar.phases[phase]) for phase in (QUEUE, INPUT, INFER, OUTPUT)),
            _number(bar.slack),
            f"{bar.critical:.0%}",
            f"{bar.share:.0%}",
        ]
        for bar in found.bars
    )
    yield _table(header, rows)


def _statistics(lane: Lane, steps: Mapping[str, str]) -> str:
    header = ["model", "step", "requests", "batch"]
    header += [phase.replace("compute_", "") for phase in COUNTED]
    rows = (
        [
            usage.model,
            steps.get(usage.model, ""),
            str(usage.requests),
            f"{usage.batch:.2f}",
            *(_number(usage.milliseconds[phase]) for phase in COUNTED),
        ]
        for usage in lane.usages.values()
    )
    return _table(header, rows)


def _keys(names: Sequence[str]) -> str:
    keys = (
        f'<span class="key s{i % SERIES}"></span>{escape(name)}' for i, name in enumerate(names)
    )
    return f"<p>{''.join(keys)}</p>"


def _title(measurement: Measurement, lane: Lane, *, several: bool) -> str:
    return f"{lane.name}, {measurement.point}" if several else str(measurement.point)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(found: Ratio | None) -> str:
    return "-" if found is None else f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
