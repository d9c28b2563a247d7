"""What becomes of a tree model's output of one value a row, which arrives without its last axis?

rapids-triton drops each size of 1 from the output of the FIL backend: dims [1] come as [N], not
[N, 1]. A `reshape` in the config makes the server put the axis back (observed on 24.10).
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.backends import fil
from ensemblegen.errors import Fix, Problem
from ensemblegen.repository.ensemble import Ensemble, Use, of
from ensemblegen.repository.model import Model, Port, Repository

_RESHAPE = "reshape { shape: [ 1 ] }"


def squeezed(model: Model, repository: Repository) -> Iterator[Problem]:
    if model.backend == fil.BACKEND:
        yield from _output(model, repository)
        return
    ensemble = of(model, repository)
    if ensemble is not None:
        yield from _read(ensemble, repository)


def _squeezes(model: Model) -> Port | None:
    """The output that loses its axis."""
    config = model.config
    if model.backend != fil.BACKEND or config is None or config.broken:
        return None
    port = model.outputs.get(fil.OUTPUT)
    if port is None or port.open or port.dims != (1,) or not config.knows("max_batch_size"):
        return None
    if model.max_batch_size <= 0 or not config.knows(*port.at):
        return None
    return None if port.message.HasField("reshape") else port


def _output(model: Model, repository: Repository) -> Iterator[Problem]:
    port = _squeezes(model)
    if port is None or model.config is None or any(_waiting(model, repository)):
        return
    message = f"'{port.name}' of '{model.name}' arrives as [N], not as [N, 1] as declared"
    hint = f"add {_RESHAPE} to the output, or expect one number a row without an axis"
    span = model.config.span((*port.at, "dims"))
    yield Problem("E465", message, span, hint, _fix(model, repository))


def _fix(model: Model, repository: Repository) -> Fix | None:
    """None where some ensemble relies on the output as it comes, or the place is not known."""
    port = _squeezes(model)
    if port is None or model.config is None or _read_flat(model, repository):
        return None
    if model.config.blocks.get(port.at, (0, -1))[1] < 0:
        return None
    edit = model.config.insertion(port.at, _RESHAPE)
    return Fix("let the server put the axis back", edits=(edit,))


def _waiting(model: Model, repository: Repository) -> Iterator[Use]:
    """Inputs that are reported for lacking the axis."""
    for ensemble in repository.ensembles.values():
        if not ensemble.model.context:
            for use in _given_by(ensemble, model):
                yield from _batching_readers(ensemble, use)


def _batching_readers(ensemble: Ensemble, use: Use) -> Iterator[Use]:
    for reader in ensemble.readers.get(use.tensor, ()):
        if reader.judged and reader.batching:
            yield reader


def _read_flat(model: Model, repository: Repository) -> bool:
    """Whether an ensemble passes the output on to a model that takes it as [N], as it comes."""
    for ensemble in repository.ensembles.values():
        for use in _given_by(ensemble, model):
            readers = ensemble.readers.get(use.tensor, ())
            if any(not (each.judged and each.batching) for each in readers):
                return True
            if use.tensor in ensemble.model.outputs and ensemble.model.max_batch_size <= 0:
                return True
    return False


def _given_by(ensemble: Ensemble, model: Model) -> Iterator[Use]:
    for step in ensemble.steps:
        if step.member is model:
            yield from (use for use in step.outputs if use.name == fil.OUTPUT)


def _read(ensemble: Ensemble, repository: Repository) -> Iterator[Problem]:
    for step in ensemble.steps:
        member = step.member
        if member is None or _squeezes(member) is None:
            continue
        for use in (use for use in step.outputs if use.name == fil.OUTPUT):
            for reader in _batching_readers(ensemble, use):
                to = f"'{reader.name}' of {ensemble.steps[reader.step or 0]}"
                message = (
                    f"{to} takes [N, 1], but '{fil.OUTPUT}' of '{step.name}' comes as [N]: "
                    "requests fail"
                )
                hint = f"add {_RESHAPE} to '{fil.OUTPUT}' in the config of '{step.name}'"
                span = ensemble.config.span(reader.at)
                yield Problem("E466", message, span, hint, _fix(member, repository))
