"""A module whose forward has the arguments that the step names, for tracing and exporting."""

from __future__ import annotations

import inspect
from typing import Any

from . import authors


def named(model: Any, names: list[str], call: Any) -> Any:
    """A torch.nn.Module with `forward(*names)`, which gives what `call(model, *tensors)` gives."""
    torch = authors.library("torch", "runs the model")

    def forward(self: Any, *tensors: Any) -> Any:
        return call(self.model, *tensors)

    # torch.jit.trace and torch.onnx.export name arguments by the signature.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kind) for name in ("self", *names)]
    )
    made = type("Named", (torch.nn.Module,), {"forward": forward})()
    made.model = model
    return made.eval()
