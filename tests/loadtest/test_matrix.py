"""Files of configurations; and the one that is shipped, of the published study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.bert_large.export import TOKENS
from ensemblegen.compile import make_plan
from ensemblegen.errors import InputError
from ensemblegen.loadtest import matrix, prices
from ensemblegen.loadtest.limits import Limits
from tests.artifacts import onnx_wire as wire

GPU = ["GPU 0: any"]


@pytest.fixture
def study(root: Path, tmp_path: Path, artifacts: Path) -> Path:
    """The study's folder with files in place of its models: right in form, wrong in content."""
    folder = tmp_path / "bert_large"
    shutil.copytree(root / "bench/bert_large", folder, ignore=lambda *_: {"artifacts"})
    (folder / "artifacts").mkdir()
    tokens = wire.tensor(wire.INT64, ["batch", TOKENS])
    logits = wire.value("logits", wire.tensor(wire.FLOAT, ["batch", 2]))
    inputs = [wire.value(name, tokens) for name in ("input_ids", "attention_mask")]
    (folder / "artifacts/bert.onnx").write_bytes(wire.model(inputs, [logits]))
    return folder


def test_the_study_has_eight_configurations(study: Path) -> None:
    found = matrix.read(study / "matrix.yaml")
    names = [each.name for each in found.configurations]
    kinds = ("base", "batching", "instances", "both")
    assert names == [f"{backend}-{kind}" for backend in ("pytorch", "tensorrt") for kind in kinds]
    assert all(each.instance for each in found.configurations)
    for each in found.configurations:
        needs_gpu = each.name.startswith("tensorrt")
        assert (each.lacks([]) is not None) == needs_gpu
        assert each.lacks(GPU) is None
    (study / "artifacts/bert.onnx").unlink()
    assert "bert.onnx is not there: export.py" in str(found.configurations[-1].lacks(GPU))


def test_each_configuration_is_what_it_is_called(study: Path) -> None:
    """What differs is the instances and the batching, and nothing else."""
    import torch

    class Classifier(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return (input_ids * attention_mask)[:, :2].float()

    torch.jit.script(Classifier()).save(str(study / "artifacts/bert.pt"))
    seen = {}
    for each in matrix.read(study / "matrix.yaml").configurations:
        assert each.pipeline is not None
        (model,) = make_plan(each.pipeline).members
        assert [each.tensor.shape for each in model.inputs] == [(TOKENS,), (TOKENS,)]
        seen[each.name] = (model.batching is not None, max(model.instances.values()))
    assert seen == {
        f"{backend}-{name}": told
        for backend in ("pytorch", "tensorrt")
        for name, told in {
            "base": (False, 1), "batching": (True, 1), "instances": (False, 2), "both": (True, 2),
        }.items()
    }  # fmt: skip


def test_what_is_said_of_a_run(tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(
        "phases: [{users: 2, spawn_rate: 0.5, duration: 10s}]\n"
        "stop: {invocations_per_minute: 600, latency: 250ms}\n"
        "target_rate: 10\n"
        "configurations:\n"
        "  a: {pipeline: a/pipeline.yaml}\n"
        '  b: {url: "localhost:8000", model: m}\n'
    )
    found = matrix.read(file)
    assert found.limits == Limits(600.0, 250_000_000)
    assert found.target_rate == 10.0
    assert found.phases[0].most == 7
    assert found.configurations[0].pipeline == tmp_path / "a/pipeline.yaml"
    assert found.configurations[1].model == "m"


def refused(text: str, read: object, path: Path) -> list[tuple[str, int, int]]:
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read(path)  # type: ignore[operator]
    return [
        (each.code, each.span.line, each.span.column)
        for each in error.value.problems
        if each.span is not None
    ]


def test_mistakes_have_their_places(tmp_path: Path) -> None:
    text = "phases: [{users: 1, duration: 10}]\nconfigurations: {a: {pipelin: x}}\n"
    assert refused(text, matrix.read, tmp_path / "m.yaml") == [("E112", 1, 31), ("E110", 2, 22)]
    assert refused("[]", matrix.read, tmp_path / "m.yaml") == [("E112", 1, 1)]


def test_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\nper_hour: {ml.c5.large: 0.1}\n")
    found = prices.read(path)
    assert (found.currency, found.of("ml.c5.large")) == ("EUR", 0.1)
    with pytest.raises(InputError, match="no price of"):
        found.of("ml.c5.larg")
    assert refused("per_hour: {a: 0.0}", prices.read, path) == [("E112", 1, 15)]
    assert refused("per_hour: {a: x}", prices.read, path) == [("E112", 1, 15)]
    assert refused("- 1", prices.read, path) == [("E112", 1, 1)]
