"""Is an ensemble one in form: its platform, its steps, and nothing that it cannot have?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Edit, Fix, Problem
from ensemblegen.repository.ensemble import STEPS, Ensemble, of
from ensemblegen.repository.model import Model, Repository

_REFUSED = ("instance_group", "optimization", "model_warmup")
_WHY = {
    "instance_group": "its models have instances, the ensemble has none",
    "optimization": "set it in the configs of its models",
    "model_warmup": "warm up its models instead",
}


def scheduling(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None:
        return
    yield from _platform(ensemble)
    yield from _fields(ensemble)
    yield from _ragged(ensemble)
    yield from _steps(ensemble)


def _platform(ensemble: Ensemble) -> Iterator[Problem]:
    config, message = ensemble.config, ensemble.config.message
    if message.platform == "ensemble" or config.broken or not config.knows("platform"):
        return
    said = f"is '{message.platform}'" if message.platform else "is missing"
    if message.platform:
        edit = Edit(config.span(("platform",)), '"ensemble"')
    elif message.backend == "ensemble":
        said = "is called backend"
        edit = Edit(config.key_span(("backend",)), "platform")
    else:
        edit = config.insertion((), 'platform: "ensemble"')
    given = message.platform or message.backend == "ensemble"
    span = edit.span if given else config.key_span((STEPS[0],))
    text = f"'{ensemble.name}' has steps, but its platform {said}"
    fix = Fix("name the platform", edits=(edit,))
    yield Problem("E227", text, span, 'write platform: "ensemble"', fix)


def _fields(ensemble: Ensemble) -> Iterator[Problem]:
    config, message = ensemble.config, ensemble.config.message
    renamed = message.backend == "ensemble" and not message.platform
    if message.backend and not renamed and config.knows("backend"):
        text = f"'{ensemble.name}' is an ensemble, which has no backend"
        hint = f'remove backend: "{message.backend}"'
        yield Problem("E226", text, config.span(("backend",)), hint)
    for name in _REFUSED:
        given = getattr(message, name) if name != "optimization" else message.HasField(name)
        if given:
            text = f"'{ensemble.name}' is an ensemble, which cannot have {name}"
            at = (name,) if (name,) in config.keys else (name, 0)
            yield Problem("E226", text, config.key_span(at), f"remove it: {_WHY[name]}")


def _ragged(ensemble: Ensemble) -> Iterator[Problem]:
    """An ensemble never joins requests; its models do (server#8653)."""
    config = ensemble.config
    for i, port in enumerate(config.message.input):
        at = ("input", i, "allow_ragged_batch")
        if port.allow_ragged_batch and config.knows(*at):
            text = f"allow_ragged_batch does nothing on '{port.name}', an input of an ensemble"
            hint = "set it on the inputs of the models that take ragged batches"
            yield Problem("E234", text, config.span(at), hint)


def _steps(ensemble: Ensemble) -> Iterator[Problem]:
    config, message = ensemble.config, ensemble.config.message
    if config.broken:
        return
    if not message.HasField(STEPS[0]):
        if any(each.code in ("E122", "E126") for each in config.problems):
            return  # it is there, misspelt or beside another choice
        text = f"'{ensemble.name}' has the platform 'ensemble', but no ensemble_scheduling"
        hint = "add ensemble_scheduling { step [ ... ] }"
        yield Problem("E225", text, config.span(("platform",)), hint)
    elif not ensemble.steps and config.knows(*STEPS):
        text = f"the ensemble '{ensemble.name}' has no steps"
        hint = "add a step with model_name, model_version, input_map and output_map"
        yield Problem("E225", text, config.key_span((STEPS[0],)), hint)
    for step in ensemble.steps:
        given = {"model_name": step.name, "input_map": step.inputs, "output_map": step.outputs}
        lacking = [name for name in given if not given[name] and config.knows(*step.at, name)]
        if lacking:
            text = f"{step} of '{ensemble.name}' has no {' and no '.join(lacking)}"
            hint = "Triton runs no step without inputs or outputs"
            if "model_name" in lacking:
                hint = "name the model that the step runs"
            yield Problem("E225", text, config.span(step.at), hint)
