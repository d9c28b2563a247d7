"""Do the calls of a model.py fit the models that they name (business logic scripting)?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ensemblegen.artifacts.model_source import Call, NotPythonError
from ensemblegen.check.repository.files import stripped
from ensemblegen.check.repository.python_source import place, sources
from ensemblegen.errors import Problem, did_you_mean, nearest
from ensemblegen.repository.model import Model, Repository


def python_calls(model: Model, repository: Repository) -> Iterator[Problem]:
    for path, source in sources(model):
        if isinstance(source, NotPythonError):
            continue
        loads = "load_model" in model.sources.get(path, "")
        for call in source.calls:
            called = repository.models.get(call.model.name)
            if called is not None:
                yield from _fits(path, call, called)
            elif repository.whole and not loads:
                others = set(repository.models) - {model.name}
                message = (
                    f"'{model.name}' calls '{call.model.name}', which is not in the repository"
                )
                match = nearest(call.model.name, others)
                if match is None and stripped(repository):
                    continue  # it may consist of a file that is not here
                hint = f"did you mean '{match}'?" if match else "add the model, or correct the name"
                yield Problem("E489", message, place(path, call.model), hint)


def _fits(path: Path, call: Call, called: Model) -> Iterator[Problem]:
    if called.config is None or called.completes:
        return
    for mention in call.outputs:
        if mention.name not in called.outputs:
            message = f"'{called.name}' has no output '{mention.name}': the call fails"
            hint = did_you_mean(mention.name, called.outputs)
            yield Problem("E490", message, place(path, mention), hint)
    if call.inputs is None or called.message.HasField("sequence_batching"):
        return
    given = {mention.name for mention in call.inputs}
    missing = [name for name, port in called.inputs.items() if not port.optional]
    missing = [name for name in missing if name not in given]
    for mention in call.inputs:
        if mention.name not in called.inputs:
            message = f"'{called.name}' has no input '{mention.name}': the call fails"
            hint = did_you_mean(mention.name, missing or called.inputs)
            yield Problem("E490", message, place(path, mention), hint)
            return
    if missing:
        message = f"'{called.name}' needs {', '.join(map(repr, missing))} as well: the call fails"
        yield Problem("E490", message, place(path, call.model), "pass every required input")
