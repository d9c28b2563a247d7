"""Signatures of TorchScript files, read without torch."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ensemblegen.artifacts import torchscript
from ensemblegen.artifacts.torchscript import Argument, NotTorchScriptError


def test_scripted_module(artifacts: Path) -> None:
    forward = torchscript.read(artifacts / "two.pt")
    assert forward.arguments == (Argument("first", "Tensor"), Argument("second", "Tensor"))
    assert forward.returns == "Tuple[Tensor, Tensor]"
    assert forward.outputs == 2


def test_types_that_the_backend_cannot_pass(artifacts: Path) -> None:
    assert torchscript.read(artifacts / "optional.pt").arguments[1].type == "Optional[Tensor]"
    assert torchscript.read(artifacts / "dict.pt").arguments[0].type == "Dict[str, Tensor]"


@pytest.mark.parametrize("frozen", [True, False])
def test_traced_module(tmp_path: Path, frozen: bool) -> None:
    import torch

    class Inner(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return ids * 2

    class Outer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.inner(input_ids) * mask

    traced = torch.jit.trace(Outer().eval(), (torch.ones(2, 3), torch.ones(2, 3)))
    (torch.jit.freeze(traced) if frozen else traced).save(str(tmp_path / "m.pt"))
    forward = torchscript.read(tmp_path / "m.pt")
    assert [each.name for each in forward.arguments] == ["input_ids", "mask"]
    assert forward.outputs == 1


def test_what_is_no_torchscript_says_what_it_is(artifacts: Path, tmp_path: Path) -> None:
    with pytest.raises(NotTorchScriptError, match=r"torch\.save"):
        torchscript.read(artifacts / "state.pt")
    with pytest.raises(NotTorchScriptError, match="no zip"):
        torchscript.read(artifacts / "forest.tl")
    with zipfile.ZipFile(tmp_path / "z.pt", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(NotTorchScriptError, match=r"no data\.pkl"):
        torchscript.read(tmp_path / "z.pt")


def test_cut_at_any_byte_is_an_error_not_a_crash(artifacts: Path, tmp_path: Path) -> None:
    whole = (artifacts / "two.pt").read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(NotTorchScriptError):
            torchscript.read(tmp_path / "cut.pt")
