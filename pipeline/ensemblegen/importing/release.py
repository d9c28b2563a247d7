"""The Triton release that configs need: the first that knows every field in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.message import Message

from ensemblegen.repository.model import Model
from ensemblegen.targets import DEFAULT, FIELDS_SINCE


def of(models: Iterable[Model]) -> str:
    """What a pipeline says by itself, or what came later and `models` use."""
    messages = [model.message for model in models if model.config is not None]
    needed = [
        since
        for way, since in FIELDS_SINCE.items()
        if any(_holds(message, way.split(".")) for message in messages)
    ]
    return max([DEFAULT, *needed])  # `YY.MM` sorts as it is


def _holds(message: Message, way: Sequence[str]) -> bool:
    """Whether something stands at `way`, in any of the messages on it."""
    if not way:
        return True
    for field, value in message.ListFields():
        if field.name == way[0]:
            inside = value if field.is_repeated else [value]
            return len(way) == 1 or any(_holds(each, way[1:]) for each in inside)
    return False
