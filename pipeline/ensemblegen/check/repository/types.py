"""Do all uses of a tensor agree in type and shape, as Triton compares them when it loads?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem, Span
from ensemblegen.model_config import ModelConfig
from ensemblegen.repository.ensemble import Dispute, Ensemble, Use, of
from ensemblegen.repository.model import Model, Repository

_TYPES = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number


def types(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None:
        return
    for dispute in ensemble.disputes:
        yield _problem(ensemble, dispute)
    yield from _repeated(ensemble)


def _problem(ensemble: Ensemble, dispute: Dispute) -> Problem:
    first, other = dispute.first, dispute.other
    code = "E301" if dispute.about == "type" else "E302"
    message = (
        f"tensor '{first.tensor}' is {said(first, dispute.about)} as {end(ensemble, first)}, but "
        f"{said(other, dispute.about)} as {end(ensemble, other)}"
    )
    if first.step is None:
        hint = f"{_own(first)} '{first.name}' must be declared as {said(other, dispute.about)}"
    elif dispute.about == "type":
        hint = "convert it in the model that gives it, or in one between"
    else:
        hint = "one of the configs is wrong, or a model between them must reshape it"
    if dispute.about == "shape" and len(first.dims) != len(other.dims):
        hint += "; dims leave out the batch axis where max_batch_size is above 0"
    return Problem(code, message, _span(ensemble, dispute), hint)


def _span(ensemble: Ensemble, dispute: Dispute) -> Span:
    """What the ensemble declares, unless other steps agree with that; else the later use."""
    first, other = dispute.first, dispute.other
    if first.step is None:
        same = (*ensemble.readers.get(first.tensor, ()), *ensemble.writers.get(first.tensor, ()))
        if not any(use.judged and use is not other and _agree(use, first) for use in same):
            field = "data_type" if dispute.about == "type" else _dims_field(first)
            return ensemble.config.span((*first.at, field))
    return ensemble.config.span(other.at)


def _agree(one: Use, other: Use) -> bool:
    assert one.port is not None and other.port is not None  # noqa: S101, PT018 - both judged
    return one.port.data_type == other.port.data_type and one.dims == other.dims


def _repeated(ensemble: Ensemble) -> Iterator[Problem]:
    """An output with the name of an input is that input, whatever type it is declared to have."""
    for name in filter(ensemble.retyped, ensemble.model.outputs):
        given, output = ensemble.model.inputs[name], ensemble.model.outputs[name]
        message = (
            f"output '{name}' of '{ensemble.name}' is the input of that name, which is "
            f"{_type(given.data_type)}, not {_type(output.data_type)}"
        )
        span = ensemble.config.span((*output.at, "data_type"))
        yield Problem("E301", message, span, "clients would read it wrongly: remove the output")


def said(use: Use, about: str) -> str:
    """What the config at `use` declares, as it stands there."""
    assert use.port is not None  # noqa: S101 - only judged uses are compared
    if about == "type":
        return _type(use.port.data_type)
    dims = f"[{', '.join(map(str, use.dims))}]"
    return f"{dims} after a batch axis" if use.batching else dims


def end(ensemble: Ensemble, use: Use) -> str:
    """Where `use` is: an input or output of the ensemble or of the model of a step."""
    if use.step is None:
        return f"{_own(use)} of '{ensemble.name}'"
    way = "output" if use.writes else "input"
    return f"{way} '{use.name}' of '{ensemble.steps[use.step].name}'"


def _own(use: Use) -> str:
    return "input" if use.writes else "output"


def _type(number: int) -> str:
    found = _TYPES.get(number)
    return str(found.name) if found else str(number)


def _dims_field(use: Use) -> str:
    assert use.port is not None  # noqa: S101 - only judged uses are compared
    return "reshape" if use.port.message.HasField("reshape") else "dims"
