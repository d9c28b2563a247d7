"""Do a model.py and its config speak of the same tensors?

The Python backend compares nothing: a tensor that the config lacks is None where the code asks for
it, and is dropped in silence where the code gives it (observed on 24.10).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ensemblegen.artifacts import model_source
from ensemblegen.artifacts.model_source import Mention, ModelSource, NotPythonError
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.check.repository.files import at_hand
from ensemblegen.check.repository.ports import all_named
from ensemblegen.errors import Problem, Span, did_you_mean
from ensemblegen.repository.model import Model, Repository


def python_source(model: Model, repository: Repository) -> Iterator[Problem]:
    for path, source in sources(model):
        if isinstance(source, NotPythonError):
            span = Span(str(path), source.line, source.column, source.column + 1)
            message = f"Python cannot read this file of '{model.name}': {source}"
            yield Problem("E480", message, span, "correct it: the model does not load")
        else:
            yield from _class(model, path, source)
            yield from _values(model, path, source)
            yield from _api(path, source, repository)
            if not model.completes:
                yield from _tensors(model, path, source)


def sources(model: Model) -> Iterator[tuple[Path, ModelSource | NotPythonError]]:
    """The model.py of each version that is loaded, as far as something can be said of it."""
    # A platform of the Python backend (23.08 to 23.12) runs files without a TritonPythonModel.
    if model.backend != "python" or model.config is None or model.message.platform:
        return
    texts = model.sources
    for _, path in at_hand(model):
        if path not in texts or path.suffix != ".py":
            continue
        source = _read(path, texts[path])
        if source is not None:
            yield path, source


def _read(path: Path, text: str) -> ModelSource | NotPythonError | None:
    def look() -> ModelSource | NotPythonError | None:
        try:
            return model_source.read(text)
        except NotPythonError as error:
            return error

    try:
        return stamped(look, path)
    except OSError:
        return None


def _class(model: Model, path: Path, source: ModelSource) -> Iterator[Problem]:
    found = source.model
    if found.missing:
        message = f"this file of '{model.name}' has no class TritonPythonModel: it does not load"
        hint = "the Python backend looks for that name: class TritonPythonModel"
        yield Problem("E481", message, Span(str(path), 1, 1, 2), hint)
    if found.lacks_execute:
        message = f"TritonPythonModel of '{model.name}' has no execute: every request fails"
        hint = "def execute(self, requests): return one InferenceResponse for each request"
        yield Problem("E482", message, _line(model, path, found.line), hint)
    yield from _transactions(model, path, source)


def _transactions(model: Model, path: Path, source: ModelSource) -> Iterator[Problem]:
    config, found = model.config, source.model
    if config is None or config.broken or not config.knows("model_transaction_policy"):
        return
    if "set_model_transaction_policy" in model.sources[path]:
        return
    decoupled = model.message.model_transaction_policy.decoupled
    if found.silent and not decoupled:
        message = f"execute of '{model.name}' returns nothing: on Triton 24.10 each request hangs"
        hint = "return a list with one InferenceResponse for each request"
        yield Problem("E483", message, _line(model, path, found.silent), hint)
    if found.wants_decoupled and not decoupled:
        message = f"'{model.name}' raises unless it is decoupled, and its config does not say so"
        hint = "add model_transaction_policy { decoupled: true } to config.pbtxt"
        yield Problem("E484", message, _line(model, path, found.wants_decoupled), hint)
    if found.returns and decoupled:
        message = f"'{model.name}' is decoupled: execute must return None, and send its responses"
        hint = "use request.get_response_sender(), or remove model_transaction_policy"
        yield Problem("E484", message, _line(model, path, found.returns), hint)


def _line(model: Model, path: Path, line: int) -> Span:
    text = model_source.lines_of(model.sources[path])[line - 1]
    start = len(text) - len(text.lstrip()) + 1
    return Span(str(path), line, start, max(len(text.rstrip()), start) + 1)


def _values(model: Model, path: Path, source: ModelSource) -> Iterator[Problem]:
    for mention in source.not_arrays:
        message = f"{_short(mention.name)} is no numpy array: '{model.name}' raises TypeError here"
        hint = f"numpy.array({_short(mention.name)}, dtype=...)"
        yield Problem("E491", message, place(path, mention), hint)
    for mention in source.numpy_as_dlpack:
        message = f"from_dlpack of a numpy array ends the process of '{model.name}' on Triton 24.10"
        hint = "pb_utils.Tensor(name, array) is for numpy, from_dlpack for torch and cupy"
        yield Problem("E491", message, place(path, mention), hint)


def _short(code: str) -> str:
    return code if len(code) <= 30 else f"{code[:27]}..."


def _api(path: Path, source: ModelSource, repository: Repository) -> Iterator[Problem]:
    target = repository.target
    if target is None or target.has("25.02"):
        return
    for mention in source.parameters:
        message = f"InferenceResponse of Triton {target.release} takes no parameters; 25.02 is the"
        yield Problem(
            "E504", f"{message} first", place(path, mention), "remove them, or send a tensor"
        )


def _tensors(model: Model, path: Path, source: ModelSource) -> Iterator[Problem]:
    if all_named(model, "input"):
        names = {*model.inputs, *_given_inputs(model)}
        unread = [name for name in model.inputs if name not in source.texts]
        for mention in _unknown((*source.inputs, *source.input_configs), names):
            message = f"'{mention.name}' is no input in the config of '{model.name}'"
            hint = did_you_mean(mention.name, unread or model.inputs)
            yield Problem("E486", f"{message}: this gives None", place(path, mention), hint)
    if all_named(model, "output"):
        yield from _outputs(model, path, source)


def _outputs(model: Model, path: Path, source: ModelSource) -> Iterator[Problem]:
    assert model.config is not None, "all of its outputs are known"  # noqa: S101
    names = {*model.outputs, *_states(model)}
    unmade = [name for name in model.outputs if name not in source.texts]
    strange = list(_unknown(source.outputs, names))
    asked = list(_unknown(source.output_configs, names))
    for code, mentions, then in (
        ("E486", asked, "this gives None"),
        ("E487", strange, "it is dropped"),
    ):
        for mention in mentions:
            message = f"'{mention.name}' is no output in the config of '{model.name}': {then}"
            hint = did_you_mean(mention.name, unmade or model.outputs)
            yield Problem(code, message, place(path, mention), hint)
    if source.all_outputs and source.model.plain and not strange:
        for name in unmade:
            message = f"no response of '{model.name}' has its output '{name}'"
            hint = f"{path.name} gives {', '.join(sorted({each.name for each in source.outputs}))}"
            span = model.config.span((*model.outputs[name].at, "name"))
            yield Problem("E488", message, span, hint)


def _unknown(mentions: Iterable[Mention], names: Collection[str]) -> Iterator[Mention]:
    seen: set[str] = set()
    for mention in mentions:
        if mention.name not in names and mention.name not in seen:
            seen.add(mention.name)
            yield mention


def place(path: Path, mention: Mention) -> Span:
    return Span(str(path), mention.line, mention.column, mention.end_column)


def _given_inputs(model: Model) -> Iterator[str]:
    """Inputs that the server adds: controls and states of sequences, and batch inputs."""
    sequences = model.message.sequence_batching
    yield from (each.name for each in sequences.control_input)
    yield from (each.input_name for each in sequences.state)
    for each in model.message.batch_input:
        yield from each.target_name


def _states(model: Model) -> Iterator[str]:
    yield from (each.output_name for each in model.message.sequence_batching.state)
    for each in model.message.batch_output:
        yield from each.target_name
