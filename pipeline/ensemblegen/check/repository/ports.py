"""What backends ask of the inputs and outputs that a config declares, whatever the file holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ensemblegen.errors import Problem
from ensemblegen.model_config import ModelConfig
from ensemblegen.repository.model import Model, Port
from ensemblegen.types import DType

_TYPES = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
_DTYPES = {each.triton: each for each in DType}


def dtype(number: int) -> DType | None:
    """The DType of a value of DataType; None for TYPE_INVALID."""
    found = _TYPES.get(number)
    return _DTYPES.get(found.name) if found else None


def all_named(model: Model, side: str) -> bool:
    """Whether the config says all of its inputs, or outputs, and none by a placeholder."""
    config = model.config
    if config is None or config.broken:
        return False
    return not any(at[0] == side and (len(at) < 3 or at[2] == "name") for at in config.unknown)


def declared(model: Model) -> Iterator[Problem]:
    """Inputs and outputs must be there for backends that do not read them from the file."""
    config = model.config
    if config is None or config.broken:
        return
    for field in ("input", "output"):
        if len(getattr(model.message, field)) or not config.knows(field):
            continue
        message = f"'{model.name}' declares no {field}s, and its backend does not find them itself"
        field_at = "backend" if model.message.backend else "platform"
        hint = f"declare every {field} with name, data_type and dims"
        yield Problem("E459", message, config.span((field_at,)), hint)


def optional_inputs(model: Model) -> Iterator[Problem]:
    assert model.config is not None, "a model with a config"  # noqa: S101
    for port in model.inputs.values():
        if port.optional and model.config.knows(*port.at, "optional"):
            message = f"input '{port.name}' of '{model.name}' is optional"
            span = model.config.span((*port.at, "optional"))
            hint = "remove `optional`: every request must bring it"
            yield Problem("E457", f"{message}, which its backend does not support", span, hint)


def unsupported(
    model: Model, dtypes: Collection[DType], sides: Iterable[Mapping[str, Port]]
) -> Iterator[Problem]:
    """Ports whose type is none of `dtypes`."""
    assert model.config is not None, "a model with a config"  # noqa: S101
    for ports in sides:
        for port in ports.values():
            found = None if port.open else dtype(port.data_type)
            if found is None or found in dtypes:
                continue
            message = f"'{port.name}' of '{model.name}' is {found.triton}"
            span = model.config.span((*port.at, "data_type"))
            hint = "declare what the model takes and gives"
            if found in (DType.UINT16, DType.UINT32, DType.UINT64):
                hint = f"the nearest that it has is TYPE_{found.name[1:]}"
            yield Problem("E405", f"{message}, which its backend does not support", span, hint)
