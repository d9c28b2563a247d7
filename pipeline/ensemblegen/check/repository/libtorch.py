"""Does a config fit its TorchScript file, as Triton's PyTorch backend applies the one to the other?

At load the backend compares little more than the number of inputs. What it takes beyond that may
swap arguments, fail every request, or end the server (observed on 24.10; libtorch.cc).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ensemblegen.artifacts import torchscript
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.artifacts.torchscript import Forward
from ensemblegen.backends import libtorch as backend
from ensemblegen.check.repository import parameters
from ensemblegen.check.repository.files import at_hand
from ensemblegen.check.repository.ports import all_named, declared, optional_inputs, unsupported
from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Port, Repository

_TEXT = 13
"""TYPE_STRING."""


def libtorch(model: Model, _: Repository) -> Iterator[Problem]:
    if model.backend != backend.BACKEND or model.config is None or not _torchscript(model):
        return
    yield from _parameters(model)
    problems = [
        *declared(model),
        *optional_inputs(model),
        *unsupported(model, backend.DTYPES, (model.inputs, model.outputs)),
        *_texts(model),
    ]
    yield from problems
    if not any(problem.code == "E459" for problem in problems):
        for shown, path in at_hand(model):
            yield from _against(model, shown, path)


def _torchscript(model: Model) -> bool:
    """Whether the backend's own library runs it, which is not so with a `runtime` of Python."""
    message, config = model.message, model.config
    if config is None or not config.knows("runtime") or not config.knows("platform"):
        return False
    return not message.runtime and message.platform in ("", "pytorch_libtorch")


def _parameters(model: Model) -> Iterator[Problem]:
    words = {word for each in backend.FLAG_WORDS for word in (each, each.upper(), each.title())}
    yield from parameters.flags(model, backend.FLAGS, words)
    yield from parameters.numbers(model, backend.NUMBERS)
    yield from parameters.misspelt(model, backend.FLAGS | backend.NUMBERS)
    for name, since in backend.REMOVED.items():
        if parameters.text(model, name) is not None:
            message = f"parameter '{name}' of '{model.name}' has no effect since Triton {since}"
            span = parameters.key_span(model, name)
            yield Problem("E456", message, span, "remove it")


def _texts(model: Model) -> Iterator[Problem]:
    """Strings arrive and leave as one list, so there is room for a single axis."""
    assert model.config is not None  # noqa: S101 - asked by the rule
    if not model.config.knows("max_batch_size"):
        return
    for port in (*model.inputs.values(), *model.outputs.values()):
        if port.data_type != _TEXT or port.open or not model.config.knows(*port.at, "reshape"):
            continue
        reshaped = port.message.HasField("reshape")
        axes = len(port.message.reshape.shape) if reshaped else len(port.dims)
        if axes + (model.max_batch_size > 0) > backend.TEXT_AXES:
            message = f"'{port.name}' of '{model.name}' holds strings: the backend takes a list"
            hint = "let it have one axis: without max_batch_size, dims: [ -1 ]"
            if model.max_batch_size > 0:
                hint = "let the batch be its only axis: dims: [ 1 ] reshape { shape: [ ] }"
            yield Problem("E405", message, model.config.span((*port.at, "dims")), hint)


def _against(model: Model, shown: str, path: Path) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    forward = _read(path)
    if isinstance(forward, torchscript.NotTorchScriptError):
        if forward.certain:
            hint = "save it with torch.jit.trace(model, example).save(path)"
            span = model.config.span(("backend",) if model.message.backend else ("platform",))
            yield Problem("E402", f"{shown} of '{model.name}' {forward}", span, hint)
        return
    yield from _inputs(model, forward)
    yield from _outputs(model, forward)


def _read(path: Path) -> Forward | torchscript.NotTorchScriptError:
    def look() -> Forward | torchscript.NotTorchScriptError:
        try:
            return torchscript.read(path)
        except torchscript.NotTorchScriptError as error:
            return error

    return stamped(look, path)


def _inputs(model: Model, forward: Forward) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    arguments = [each.name for each in forward.arguments]
    span = model.config.key_span(("input",))
    for argument in forward.arguments:
        if not backend.argument_fits(argument.type, len(arguments)):
            message = (
                f"forward of '{model.name}' takes '{argument.name}: {argument.type}'; "
                "the backend passes tensors only"
            )
            hint = "trace a module that fixes this argument"
            yield Problem("E406", message, span, hint)
            return
    if [argument for argument in forward.arguments if backend.takes_keys(argument.type)]:
        return
    if not all_named(model, "input") or model.message.HasField("sequence_batching"):
        return
    if len(model.message.input) != len(arguments) and not model.message.batch_input:
        yield _arity(model, arguments)
    elif len(model.inputs) == len(arguments):
        yield from _order(model, arguments)


def _arity(model: Model, arguments: list[str]) -> Problem:
    assert model.config is not None  # noqa: S101 - asked by the rule
    names = list(model.inputs)
    missing = [name for name in arguments if name not in names]
    needs = f"forward({', '.join(arguments)}) of '{model.name}'"
    message = f"{needs} takes {_count(len(arguments))}; the config has {len(names)}"
    hint = "declare one input for each argument: defaults do not count"
    if 0 < len(missing) < len(arguments) and len(names) < len(arguments):
        hint += f"; missing: {', '.join(missing)}"
    return Problem("E403", message, model.config.key_span(("input",)), hint)


def _order(model: Model, arguments: list[str]) -> Iterator[Problem]:
    ports = list(model.inputs.values())
    convention = backend.convention([port.name for port in ports], arguments)
    if convention == "index":
        yield from _indices(model, arguments)
    elif convention == "order":
        yield from _meant(model, ports, arguments)


def _indices(model: Model, arguments: list[str]) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    seen: dict[int, str] = {}
    for port in model.inputs.values():
        index = backend.index(port.name) or 0
        span = model.config.span((*port.at, "name"))
        if index >= len(arguments):
            message = (
                f"index {index} of '{port.name}' is out of range: forward of '{model.name}' has "
                f"{_count(len(arguments))}; the first request ends the server"
            )
            hint = f"indices run from 0 to {len(arguments) - 1}"
            yield Problem("E404", message, span, hint)
        elif index in seen:
            message = f"'{seen[index]}' and '{port.name}' of '{model.name}' are both index {index}"
            yield Problem("E411", message, span, "number the inputs from 0, each once")
        seen.setdefault(index, port.name)


def _meant(model: Model, ports: list[Port], arguments: list[str]) -> Iterator[Problem]:
    """Names of which some are no arguments: the order decides, whatever the others say."""
    assert model.config is not None  # noqa: S101 - asked by the rule
    plain = {_plain(name): i for i, name in enumerate(arguments)}
    for i, port in enumerate(ports):
        meant = plain.get(_plain(port.name), backend.index(port.name))
        if meant is None or meant == i:
            continue
        message = (
            f"input '{port.name}' of '{model.name}' goes to the argument '{arguments[i]}': "
            f"not all names are arguments of forward({', '.join(arguments)}), so the order counts"
        )
        hint = "name all inputs as the arguments, or all <name>__<index>, or put them in order"
        yield Problem("E458", message, model.config.span((*port.at, "name")), hint)
        return


def _outputs(model: Model, forward: Forward) -> Iterator[Problem]:
    assert model.config is not None  # noqa: S101 - asked by the rule
    if not all_named(model, "output"):
        return
    parts = forward.parts
    if len(parts) == 1 and not _may_be_tensor(parts[0]):
        yield _not_a_tensor(model, forward.returns)
        return
    if parts == (forward.returns,) and parts[0] not in torchscript.TENSORS:
        return
    ports = list(model.outputs.values())
    by_index = backend.convention([port.name for port in ports], ()) == "index"
    for i, port in enumerate(ports):
        index = backend.index(port.name) or 0 if by_index else i
        if index >= len(parts):
            said = f"index {index} of '{port.name}'" if by_index else f"output '{port.name}'"
            message = (
                f"{said} is out of range: forward of '{model.name}' gives "
                f"{len(parts)} tensor{'s' * (len(parts) > 1)}"
            )
            span = model.config.span((*port.at, "name"))
            hint = (
                "outputs are numbered from 0" if by_index else "outputs follow the config's order"
            )
            yield Problem("E404", message, span, hint)
        elif not _may_be_tensor(parts[index]):
            yield _not_a_tensor(model, forward.returns)
            return


def _may_be_tensor(kind: str) -> bool:
    if kind in torchscript.TENSORS:
        return True
    return not (kind.startswith(("List[", "Dict[")) or kind in ("int", "float", "bool", "str"))


def _not_a_tensor(model: Model, returns: str) -> Problem:
    assert model.config is not None  # noqa: S101 - asked by the rule
    message = f"forward of '{model.name}' gives {returns}; the backend takes a tensor or a tuple"
    hint = "trace a module that returns a tensor or a tuple of tensors"
    return Problem("E406", message, model.config.key_span(("output",)), hint)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _count(inputs: int) -> str:
    return f"{inputs} input{'s' * (inputs != 1)}"
