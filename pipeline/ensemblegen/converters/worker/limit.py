"""The limit of a sequence's length, as TorchScript: its `if` stays one in a trace."""

from __future__ import annotations

import torch


def limited(ids: torch.Tensor, longest: int) -> torch.Tensor:
    """The ids, or an error for too many: on a GPU, positions past the table end its context."""
    if ids.size(1) > longest:
        raise ValueError(f"{ids.size(1)} tokens are too many: the model takes {longest}")
    return ids
