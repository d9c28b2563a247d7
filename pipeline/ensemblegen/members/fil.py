"""Tree models on Triton's FIL backend.

The backend checks no sizes: a wrong number of features reads memory past the rows, too few outputs
overflow the heap (observed on 24.10). Both come from the file here, never from the author.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, StrictBool

from ensemblegen.artifacts import forest
from ensemblegen.artifacts.forest import Forest
from ensemblegen.backends import fil
from ensemblegen.content import Content, Linked
from ensemblegen.converters.source import ForestWord
from ensemblegen.members import converted
from ensemblegen.members.kind import Kind, Member, Port, Signature, Site
from ensemblegen.spec import StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Tensor
from ensemblegen.words import Number, Place


class FilSpec(StepSpec):
    """A tree model. Its format, features and classes are read from the file."""

    kind = "fil"

    fil: ForestWord = Field(
        description="Treelite checkpoint, XGBoost JSON or UBJSON, or LightGBM text file; or the "
        "library that has the model: sklearn, cuml, xgboost or lightgbm."
    )
    predict_proba: StrictBool = Field(
        False, description="Classifiers: give the probability of each class, not the class."
    )
    threshold: Number = Field(
        0.5, description="Binary classifiers: the probability from which the class is 1."
    )


@dataclass(frozen=True, slots=True)
class _Artifact:
    file: Linked
    forest: Forest
    predict_proba: bool
    threshold: float
    facts: Mapping[str, Any] | None
    """What a conversion knows of the model; None of a file of the author's."""


class Fil(Kind):
    word = "fil"
    backend = fil.BACKEND
    spec = FilSpec
    dtypes = fil.DTYPES
    unbatched = False  # the backend takes the features for the number of rows

    def read(self, step: FilSpec, site: Site) -> Signature | None:
        made = _file(step, site)
        if made is None:
            return None
        file, facts = made
        try:
            found = forest.read(file.path)
        except forest.NotAForestError as error:
            site.problem("E402", f"{step.fil.place} {error}", "fil", hint=error.hint)
            return None
        before = len(site.problems)
        _check_supported(step, found, site)
        width = found.classes if step.predict_proba else 1
        output = Tensor(DType.FP32, (width,))
        name = _output_name(step, output, site)
        port = Port(name, fil.OUTPUT, output, squeezed=True)
        inputs = _inputs(step, found, site)
        if len(site.problems) > before:
            return None
        _warn_of_threshold(step, found, site)
        artifact = _Artifact(file, found, step.predict_proba, step.threshold, facts)
        return Signature(inputs, {name: port}, artifact)

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        artifact: _Artifact = member.artifact
        classifier = artifact.forest.task == "classification"
        parameters = {"model_type": artifact.forest.type, "output_class": _flag(classifier)}
        if target.fil_renamed_parameters:
            parameters["is_classifier"] = _flag(classifier)
        if classifier:
            # Required by every release although its documents give a default.
            parameters["threshold"] = repr(artifact.threshold)
            parameters["predict_proba"] = _flag(artifact.predict_proba)
        several = classifier and artifact.forest.columns > 1 and not artifact.predict_proba
        if several and device == "cpu":
            # The plain CPU path asks Treelite 4 for a post-processor that it no longer has:
            # every request would fail (`Post-processor named 'max_index' not found`).
            parameters["use_experimental_optimizations"] = "true"
        return parameters

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        yield f"1/{fil.FILES[artifact.forest.type]}", artifact.file
        if artifact.facts is not None:
            yield converted.facts(artifact.facts)


def _file(step: FilSpec, site: Site) -> tuple[Linked, Mapping[str, Any] | None] | None:
    """The author's file, or the one that is made of a library's model."""
    if step.fil.word is None:
        path = site.file(step.fil.place, "fil")
        return (Linked(path), None) if path is not None else None
    result = fil.FILES["treelite_checkpoint"]
    return converted.convert(step.fil, site, result, {"treelite": site.target.treelite})


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _check_supported(step: FilSpec, found: Forest, site: Site) -> None:
    if found.targets != 1:
        message = (
            f"{step.fil.place} predicts {found.targets} targets at once; the backend gives one"
        )
        site.problem("E406", message, "fil", hint="train one model for each target")
    if step.predict_proba and found.task == "regression":
        message = f"{step.fil.place} is a regression model: it has no probabilities"
        site.key_problem("E407", message, "predict_proba", hint="remove predict_proba")
    if found.type == "xgboost_ubj" and not site.target.xgboost_ubj:
        message = f"Triton {site.target.release} does not read XGBoost UBJSON; 24.10 is the first"
        hint = "save the model as JSON: booster.save_model('model.json')"
        site.problem("E504", message, "fil", hint=hint)


def _warn_of_threshold(step: FilSpec, found: Forest, site: Site) -> None:
    """Forests of scikit-learn give a column a class also where there are two: the larger decides.

    The threshold is looked at only where there is one column (fil_backend, `num_classes_ > 1`).
    """
    if "threshold" in step.model_fields_set and not step.predict_proba and found.columns > 1:
        message = f"{step.fil.place} gives a probability for each class: the largest decides"
        hint = "remove threshold, or compare in a Python step, with `predict_proba: true` here"
        site.key_problem("E470", f"threshold is ignored: {message}", "threshold", hint=hint)


def _inputs(step: FilSpec, found: Forest, site: Site) -> dict[str, Port]:
    names = list(step.inputs)
    for name in names[1:]:
        message = f"a tree model has one input, '{names[0]}'; '{name}' is too many"
        hint = "put all features into one tensor"
        site.key_problem("E204", message, "inputs", name, hint=hint)
    tensor = Tensor(DType.FP32, (found.features,))
    return {names[0]: Port(names[0], fil.INPUT, tensor)}


def _output_name(step: FilSpec, output: Tensor, site: Site) -> str:
    if not step.outputs:
        return "output"
    names = list(step.outputs)
    for name in names[1:]:
        message = f"a tree model has one output, '{names[0]}'; '{name}' is too many"
        site.key_problem("E407", message, "outputs", name)
    declared = step.outputs[names[0]]
    if Tensor(declared.dtype, tuple(declared.shape)) != output:
        message = (
            f"{step.fil.place} gives {output}, not {Tensor(declared.dtype, tuple(declared.shape))}"
        )
        hint = "leave `outputs` out: they are read from the file"
        site.problem("E407", message, "outputs", names[0], hint=hint)
    return names[0]
