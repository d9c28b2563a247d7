"""Can clients ask for some of the outputs only?

Triton leaves out the steps that a request does not need. When it leaves out one that takes an input
of the ensemble, it takes the first step of the configuration for the producer of that input, and
counts one of its outputs as not needed: the first step is then left out too, and the request ends
in `unexpected deadlock` (seen on 24.10, unchanged in core at 26.06; server#7482). It is harmless
where the first step is itself the only such step, so `graph` puts it there; with several of them
no order is right for every request.
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Graph


def subsets(graph: Graph) -> Iterator[Problem]:
    if graph.verbatim or not graph.order or graph.loose in ((), graph.order[:1]):
        return
    names = ", ".join(export.name for export in graph.exports)
    message = f"clients must ask for all outputs ({names}), not for some of them"
    hint = (
        f"not every output needs {', '.join(graph.loose)}: Triton may answer such a request with "
        "'unexpected deadlock'; outputs with nothing in common are better two pipelines"
    )
    span = graph.exports[0].key_span
    yield Problem("E215", message, span, hint)
