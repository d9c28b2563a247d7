"""Do requests of every batch size that an ensemble takes come through all of its steps?

Triton compares configs when it loads, and shapes when a request comes: what it accepts may still
refuse every request, or all but those of one item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ensemblegen.check.repository.types import end, said
from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, of
from ensemblegen.repository.flow import Clash, run
from ensemblegen.repository.model import Model, Repository


def batching(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    most = model.max_batch_size
    if ensemble is None or most < 0 or not ensemble.config.knows("max_batch_size"):
        return
    limits = {
        step.member.max_batch_size: step
        for step in reversed(ensemble.steps)
        if step.known and step.member and any(use.batching for use in step.inputs)
    }
    least = min(limits, default=most)
    if least < most:
        message = (
            f"'{ensemble.name}' takes batches of {most}, but {limits[least]} of {least} at most"
        )
        hint = f"lower it to {least}, or raise max_batch_size of '{limits[least].name}'"
        yield Problem("E304", message, ensemble.config.span(("max_batch_size",)), hint)
    if ensemble.sound and not ensemble.disputes:
        yield from _through(ensemble, repository, min(least, most))


def _through(ensemble: Ensemble, repository: Repository, most: int) -> Iterator[Problem]:
    sizes = sorted({1, 2, 3, most}) if most else [0]
    tried = [size for size in sizes if size <= most]
    around = repository.ensembles
    clashes = {size: clash for size in tried if (clash := run(ensemble, size, around))}
    if not clashes:
        return
    if len(clashes) == len(tried):
        clash = clashes[tried[0]]
        message = f"no request passes {_end(ensemble, clash)}: {_why(ensemble, clash)}"
        if clash.use.step is None:
            message = f"{_end(ensemble, clash)} never comes as declared: {_why(ensemble, clash)}"
        yield Problem("E306", message, ensemble.config.span(clash.use.at), _no_size(clash))
    else:
        yield _some_sizes(ensemble, clashes, tried)


def _some_sizes(ensemble: Ensemble, clashes: Mapping[int, Clash], tried: list[int]) -> Problem:
    first = next(iter(clashes))
    clash = clashes[first]
    which = f"batches of {first}"
    if list(clashes) == tried[tried.index(first) :]:
        which += " and more" if first < tried[-1] else ""
    elif len(clashes) > 1:
        which = f"batches of {', '.join(map(str, clashes))}"
    message = f"{which} do not pass {_end(ensemble, clash)}: {_why(ensemble, clash)}"
    if clash.use.step is None:
        which = f"{which} do not come as declared"
        message = f"{which} from {_end(ensemble, clash)}: {_why(ensemble, clash)}"
    return Problem("E307", message, ensemble.config.span(clash.use.at), _some_hint(clash, first))


def _end(ensemble: Ensemble, clash: Clash) -> str:
    if clash.use.step is None:
        return f"output '{clash.use.name}' of '{ensemble.name}'"
    step = ensemble.steps[clash.use.step]
    return f"input '{clash.use.name}' of {step}"


def _why(ensemble: Ensemble, clash: Clash) -> str:
    shape = _text(clash.shape)
    if clash.inside:
        return f"inside, {shape} comes where {_text(clash.wanted)} is expected"
    if clash.why == "batch":
        return f"{shape} comes, which is a batch of {clash.shape[0]}"
    if clash.why == "mixed":
        return f"{shape} comes, while another input of the step brings another batch size"
    why = f"{shape} comes where {_text(clash.wanted)} is expected"
    fixed = clash.given.fixed_by
    if fixed is not None:
        why += f" ('{fixed.tensor}' is {said(fixed, 'shape')} as {end(ensemble, fixed)})"
    return why


def _no_size(clash: Clash) -> str:
    if clash.use.step is None:
        return "Triton hands out what comes, unchecked: correct the dims of one of the configs"
    if clash.given.fixed_by is not None:
        return f"one tensor cannot be both: map two, or let the models take {_open(clash)}"
    return "Triton loads this, and refuses each request: correct the dims of one of the configs"


def _some_hint(clash: Clash, size: int) -> str:
    if clash.use.step is None:
        return "Triton hands out what comes, unchecked: batches must keep their size on the way"
    if clash.use.batching:
        return "batches must keep their size on the way: give the models before max_batch_size, too"
    dims = _text((-1, *clash.use.dims), "-1")
    hint = f"give the model a max_batch_size, or declare its input '{clash.use.name}' as {dims}"
    return f"{hint}; or set max_batch_size of the ensemble to 1" if size == 2 else hint


def _open(clash: Clash) -> str:
    return _text(tuple(-1 for _ in clash.use.dims))


def _text(sizes: tuple[int, ...], unknown: str = "?") -> str:
    return f"[{', '.join(unknown if size == -1 else str(size) for size in sizes)}]"
