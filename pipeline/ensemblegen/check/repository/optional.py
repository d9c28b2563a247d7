"""May a request leave out an input that a step of the ensemble cannot do without?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, of
from ensemblegen.repository.model import Model, Repository


def optional(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None or ensemble.open:
        return
    left_out = {
        name
        for name, port in model.inputs.items()
        if port.optional and ensemble.config.knows(*port.at, "optional")
    }
    yield from _required(ensemble, left_out)
    yield from _nothing(ensemble, left_out)


def _required(ensemble: Ensemble, left_out: set[str]) -> Iterator[Problem]:
    for name in sorted(left_out):
        uses = ensemble.readers.get(name, ())
        use = next((use for use in uses if use.port and not use.port.optional), None)
        if use is not None:
            step = ensemble.steps[use.step or 0]
            message = (
                f"input '{name}' of '{ensemble.name}' is optional, but {step} needs it as "
                f"'{use.name}': requests without it are refused"
            )
            hint = f"remove `optional: true`, or make '{use.name}' of '{step.name}' optional"
            span = ensemble.config.span((*ensemble.model.inputs[name].at, "optional"))
            yield Problem("E212", message, span, hint)


def _nothing(ensemble: Ensemble, left_out: set[str]) -> Iterator[Problem]:
    """Steps that a request may leave without any input: Python models that batch need one."""
    for step in ensemble.steps:
        tensors = {use.tensor for use in step.inputs}
        others = ensemble.model.inputs.keys() - tensors
        if not (step.known and tensors and others and tensors <= left_out):
            continue
        if step.member is None or step.member.backend != "python":
            continue
        if all(use.port and use.port.optional and use.batching for use in step.inputs):
            message = (
                f"every input of {step} of '{ensemble.name}' is optional: requests without them "
                "are refused, because the step takes its batch size from its inputs"
            )
            hint = "map an input that is not optional to it, too"
            span = ensemble.config.span((*step.at, "model_name"))
            yield Problem("E212", message, span, hint)
