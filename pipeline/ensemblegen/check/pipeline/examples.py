"""Do the examples speak of inputs and outputs that there are?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.check.pipeline.defaults import unfit
from ensemblegen.errors import Problem, did_you_mean, nearest
from ensemblegen.graph import Graph
from ensemblegen.spec import Example, FileValue


def examples(graph: Graph) -> Iterator[Problem]:
    for i, example in enumerate(graph.examples):
        yield from _inputs(graph, i, example)
        outputs = [export.name for export in graph.exports]
        for name in example.expect:
            if name not in outputs:
                message = f"example '{example.name}' expects '{name}', which is no output"
                span = graph.document.key_span(("examples", i, "expect", name))
                yield Problem("E213", message, span, did_you_mean(name, outputs))


def _inputs(graph: Graph, i: int, example: Example) -> Iterator[Problem]:
    unknown = [name for name in example.inputs if name not in graph.entries]
    for name in unknown:
        message = f"example '{example.name}' gives '{name}', which is no input"
        span = graph.document.key_span(("examples", i, "inputs", name))
        yield Problem("E213", message, span, did_you_mean(name, graph.entries))
    for name, value in example.inputs.items():
        entry = graph.entries.get(name)
        if isinstance(value, FileValue):
            continue  # reported where it was read
        if entry is None or any(not isinstance(dim, int) or dim < 1 for dim in entry.tensor.shape):
            continue
        reason = unfit(value, entry.tensor)
        if reason is not None:
            span = graph.document.span(("examples", i, "inputs", name))
            yield Problem("E213", f"'{name}' of example '{example.name}' {reason}", span)
    missing = [
        entry.name
        for entry in graph.entries.values()
        if not (entry.optional or entry.name in example.inputs or nearest(entry.name, unknown))
    ]
    if missing:
        message = f"example '{example.name}' does not give {', '.join(missing)}"
        span = graph.document.key_span(("examples", i, "inputs"))
        yield Problem("E213", message, span, "only inputs with a default may be left out")
