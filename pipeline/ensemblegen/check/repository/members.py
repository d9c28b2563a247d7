"""Can the models of an ensemble be served for it, and do they have the tensors that it maps?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ensemblegen.check.repository.files import stripped
from ensemblegen.errors import Edit, Fix, Problem, did_you_mean, nearest
from ensemblegen.repository.ensemble import Ensemble, Step, Use, of
from ensemblegen.repository.model import Model, Port, Repository

_SHOWN = 6
_SPELLED = 20
"""Comparing names is slow: who has more wrong ones has another problem."""


def members(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None:
        return
    first = {
        step.name: step
        for step in reversed(ensemble.steps)
        if step.name and not step.namespace and ensemble.config.knows(*step.at, "model_name")
    }
    named = sorted(first.values(), key=lambda step: step.number)
    yield from _absent(ensemble, [step for step in named if step.member is None], repository)
    yield from _incomplete(ensemble, named)
    for step in ensemble.steps:
        if step.name in first:
            yield from _version(ensemble, step)
            if step.known:
                yield from _tensors(ensemble, step)


def _absent(ensemble: Ensemble, steps: Sequence[Step], repository: Repository) -> Iterator[Problem]:
    others = set(repository.models) - {ensemble.name}
    lost: list[Step] = []
    for i, step in enumerate(steps):
        match = nearest(step.name, others) if i < _SPELLED and repository.whole else None
        if not repository.whole or (match is None and stripped(repository)):
            lost.append(step)
            continue
        message = f"{step} of '{ensemble.name}' runs a model that is not in the repository"
        hint = f"did you mean '{match}'?" if match else "add the model, or correct the name"
        span = ensemble.config.span((*step.at, "model_name"))
        yield Problem("E222", message, span, hint)
    if lost:
        message = f"models of '{ensemble.name}' are not at hand: {_names(lost)}"
        hint = "check the whole repository to have the ensemble checked against them"
        if repository.whole:
            hint = "if they are no more than files that are fetched later, all is well"
        span = ensemble.config.span((*lost[0].at, "model_name"))
        yield Problem("E223", message, span, hint)


def _incomplete(ensemble: Ensemble, named: Sequence[Step]) -> Iterator[Problem]:
    steps = [step for step in named if step.member and _completed(step.member)]
    if steps:
        message = (
            f"models of '{ensemble.name}' do not say all of their tensors in a config.pbtxt: "
            f"{_names(steps)}"
        )
        hint = "Triton learns them as it loads; until then the ensemble is not checked against them"
        span = ensemble.config.span((*steps[0].at, "model_name"))
        yield Problem("E223", message, span, hint)


def _completed(member: Model) -> bool:
    return member.completes and not (member.config and member.config.broken)


def _names(steps: Sequence[Step]) -> str:
    shown = [f"'{step.name}'" for step in steps[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else "")


def _version(ensemble: Ensemble, step: Step) -> Iterator[Problem]:
    config = ensemble.config
    at = (*step.at, "model_version")
    if step.version == -1 or not config.knows(*at):
        return
    folders = step.member.versions if step.member else ()
    if step.version == 0 and 0 not in folders:
        message = (
            f"{step} of '{ensemble.name}' names no version of its model: Triton takes that for "
            "version 0, which does not exist"
        )
        if at not in config.values and config.broken:
            return
        place = config.span(at if at in config.values else (*step.at, "model_name"))
        hint = "write model_version: -1 for the latest version"
        yield Problem("E220", message, place, hint, _latest(ensemble, step))
    elif step.member is not None and step.member.folder is not None and folders:
        yield from _pinned(ensemble, step, step.member)


def _latest(ensemble: Ensemble, step: Step) -> Fix | None:
    config = ensemble.config
    span = config.values.get((*step.at, "model_version"))
    try:
        edit = Edit(span, "-1") if span else config.insertion(step.at, "model_version: -1")
    except KeyError:
        return None
    return Fix("take the latest version", edits=(edit,))


def _pinned(ensemble: Ensemble, step: Step, member: Model) -> Iterator[Problem]:
    policy = member.config.knows("version_policy") if member.config else True
    served = member.loaded_versions
    if step.version in served or not served or not policy:
        return
    has = f"it has {', '.join(map(str, member.versions))}"
    hint = "write model_version: -1 for the latest version"
    if step.version in member.versions:
        has = f"its version_policy serves {', '.join(map(str, served))} only"
        hint += f", or let the version_policy of '{member.name}' serve it"
        if member.config is None or not member.message.HasField("version_policy"):
            has = f"without a version_policy Triton serves the latest only, {served[-1]}"
    message = f"{step} of '{ensemble.name}' needs version {step.version} of its model: {has}"
    span = ensemble.config.span((*step.at, "model_version"))
    yield Problem("E221", message, span, hint)


def _tensors(ensemble: Ensemble, step: Step) -> Iterator[Problem]:
    assert step.member is not None  # noqa: S101 - it is known
    ports = step.member.inputs
    mapped = {use.name for use in step.inputs}
    unmapped = [name for name, port in ports.items() if not port.optional and name not in mapped]
    for use in _judged(ensemble, step.inputs):
        message = f"'{step.name}', the model of step {step.number}, has no input '{use.name}'"
        hint = _turned(ensemble, use, unmapped) or _claim(use.name, unmapped, ports)
        yield Problem("E204", message, ensemble.config.key_span(use.at), hint)
    if ensemble.config.knows(*step.at, "input_map") and not ensemble.config.broken:
        for name in unmapped if mapped else ():
            message = f"{step} of '{ensemble.name}' does not map '{name}', which its model requires"
            hint = f'add input_map {{ key: "{name}" value: "<a tensor>" }} to the step'
            yield Problem("E203", message, ensemble.config.span((*step.at, "model_name")), hint)
    for use in _judged(ensemble, step.outputs):
        message = f"'{step.name}', the model of step {step.number}, has no output '{use.name}'"
        hint = _turned(ensemble, use, []) or _claim(use.name, [], step.member.outputs)
        yield Problem("E202", message, ensemble.config.key_span(use.at), hint)


def _judged(ensemble: Ensemble, uses: Iterable[Use]) -> Iterator[Use]:
    """Entries whose key is no tensor of the model."""
    return (use for use in uses if use.port is None and ensemble.config.knows(*use.at[:-1]))


def _turned(ensemble: Ensemble, use: Use, unmapped: list[str]) -> str | None:
    if use.at not in ensemble.swapped:
        return None
    if use.tensor in unmapped:
        unmapped.remove(use.tensor)
    way = f'key: "{use.tensor}" value: "{use.name}"'
    return f"key and value are the wrong way round: the key is the model's, so write {way}"


def _claim(name: str, unmapped: list[str], ports: Mapping[str, Port]) -> str | None:
    """What `name` most likely stands for; that is then not reported as missing."""
    match = nearest(name, unmapped) or nearest(name, ports)
    if match is None and len(unmapped) > 0:
        match = unmapped[0]
    if match in unmapped:
        unmapped.remove(match)
    return f"did you mean '{match}'?" if match else did_you_mean(name, ports)
