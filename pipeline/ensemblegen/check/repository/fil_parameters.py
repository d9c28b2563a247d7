"""Are the parameters of a tree model such that Triton's FIL backend loads it, and heeds them?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.backends import fil as backend
from ensemblegen.check.repository import parameters
from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository


def fil_parameters(model: Model, repository: Repository) -> Iterator[Problem]:
    if model.backend != backend.BACKEND or model.config is None:
        return
    yield from parameters.flags(model, backend.FLAGS, ("true", "false"))
    yield from parameters.numbers(model, backend.NUMBERS)
    yield from parameters.misspelt(model, backend.KNOWN)
    yield from _model_type(model, repository)
    yield from _required(model, repository)
    yield from _choices(model)
    yield from _renamed(model, repository)


def _model_type(model: Model, repository: Repository) -> Iterator[Problem]:
    kind, target = parameters.text(model, "model_type"), repository.target
    if kind is None:
        return
    span = parameters.span(model, "model_type")
    if kind not in backend.FILES:
        message = f"the FIL backend of '{model.name}' knows no model_type \"{kind}\""
        yield Problem("E453", message, span, f"it has {', '.join(backend.FILES)}")
    elif kind == "xgboost_ubj" and target is not None and not target.xgboost_ubj:
        message = f"Triton {target.release} does not read XGBoost UBJSON; 24.10 is the first"
        hint = "save the model as JSON: booster.save_model('xgboost.json')"
        yield Problem("E504", message, span, hint)


def _required(model: Model, repository: Repository) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    target = repository.target
    renamed = target is not None and target.fil_renamed_parameters
    span = model.config.span(("backend",))
    if parameters.lacks(model, "output_class") and not renamed:
        if "is_classifier" not in model.message.parameters:
            message = (
                f"'{model.name}' has no parameter output_class, without which it does not load"
            )
            hint = 'add output_class: "true" for classifiers, "false" for regression'
            yield Problem("E454", message, span, hint)
        elif target is None:
            message = f"before Triton 25.09, '{model.name}' needs output_class, too"
            hint = "give both parameters to serve it on all releases"
            yield Problem("E456", message, parameters.key_span(model, "is_classifier"), hint)
        else:
            message = f"Triton {target.release} reads output_class, not is_classifier"
            span = parameters.key_span(model, "is_classifier")
            yield Problem("E454", message, span, "add output_class with the same value")
    if parameters.text(model, "output_class") == "true" and parameters.lacks(model, "threshold"):
        message = f"'{model.name}' has no parameter threshold, which the backend requires"
        hint = 'add threshold "0.5": the default that its documents name is not there'
        yield Problem("E454", message, parameters.span(model, "output_class"), hint)


def _choices(model: Model) -> Iterator[Problem]:
    for name, words in backend.CHOICES.items():
        value = parameters.text(model, name)
        if value is not None and value not in words:
            message = f"parameter '{name}' of '{model.name}' knows no \"{value}\" and is ignored"
            hint = f"it has {', '.join(words)}"
            yield Problem("E470", message, parameters.span(model, name), hint)
    algo, storage = parameters.text(model, "algo"), parameters.text(model, "storage_type")
    if algo in backend.DENSE_ONLY and storage in ("SPARSE", "SPARSE8"):
        message = f"algo \"{algo}\" of '{model.name}' needs a dense forest, not {storage}"
        hint = 'use algo "NAIVE" or "ALGO_AUTO", or storage_type "DENSE"'
        yield Problem("E470", message, parameters.span(model, "algo"), hint)


def _renamed(model: Model, repository: Repository) -> Iterator[Problem]:
    target = repository.target
    if target is None or not target.fil_renamed_parameters:
        return
    for name in model.message.parameters:
        new = backend.RENAMED.get(name)
        if new is not None and new not in model.message.parameters:
            message = f"parameter '{name}' of '{model.name}' is called '{new}' since Triton 25.09"
            hint = "the old name still works"
            if name == "output_class":
                hint += "; give both to serve it on all releases"
            yield Problem("E456", message, parameters.key_span(model, name), hint)
        elif name in backend.REMOVED:
            message = f"parameter '{name}' of '{model.name}' has no effect since Triton 25.09"
            yield Problem("E456", message, parameters.key_span(model, name), "remove it")
