"""Networks as TorchScript and ONNX: equal to the original, or refused with the reason."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ensemblegen.artifacts import torchscript
from ensemblegen.converters.worker import network, samples, transformer
from ensemblegen.converters.worker.faults import Fault
from tests.converters import networks
from tests.converters.networks import NETS, texts

IDS = ["input_ids", "attention_mask"]
TOLERANCES = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 3e-2}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The worker runs in the pipeline's folder, with the author's modules to import."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("nets", None)


def quietly(convert: Any, request: dict[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts: dict[str, Any] = convert(request)
        return facts


def export(label: str, inputs: list[str] = IDS, **options: Any) -> dict[str, Any]:
    """A model of transformers, by the worker's own function."""
    request = {
        "word": "transformers",
        "format": "torchscript",
        "label": label,
        "revision": None,
        "task": "sequence-classification",
        "dtype": "fp32",
        "max_length": None,
        "inputs": [{"name": name} for name in inputs],
        "result": "model.pt",
        **options,
    }
    return quietly(transformer.convert, request)


def module(name: str, inputs: dict[str, tuple[str, list[Any]]], **options: Any) -> dict[str, Any]:
    """A module of nets.py, likewise."""
    request = {
        "word": "module",
        "format": "torchscript",
        "label": f"nets.py:{name}",
        "object": ["nets.py", name],
        "arguments": {},
        "weights": None,
        "method": "trace",
        "batched": True,
        "outputs": [],
        "inputs": [{"name": each, "dtype": dtype, "shape": shape}
                   for each, (dtype, shape) in inputs.items()],
        "result": "model.pt",
        **options,
    }  # fmt: skip
    return quietly(network.convert, request)


def loaded(path: str = "model.pt") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)


@pytest.mark.parametrize(
    ("family", "dtype"),
    [*((each, "fp32") for each in networks.FAMILIES), ("Bert", "fp16"), ("Bert", "bf16")],
)
def test_equal_on_64_texts(family: str, dtype: str, tmp_path: Path) -> None:
    original = networks.transformer(tmp_path / "model", family)
    facts = export("model", dtype=dtype, max_length=48)
    assert facts["outputs"] == [{"name": "logits", "dtype": "fp32", "shape": [3]}]
    made = loaded()
    with torch.inference_mode():
        apart = [
            float((made(*text) - original(*text).logits).abs().max()) for text in texts(64, 48)
        ]
    assert max(apart) <= TOLERANCES[dtype]
    assert facts["max_difference"] <= TOLERANCES[dtype]


@pytest.mark.parametrize(
    ("task", "head", "outputs"),
    [
        ("token-classification", "TokenClassification", {"logits": ["tokens", 3]}),
        ("masked-lm", "MaskedLM", {"logits": ["tokens", 60]}),
        ("feature-extraction", "", {"last_hidden_state": ["tokens", 32]}),
        (
            "question-answering",
            "QuestionAnswering",
            {"start_logits": ["tokens"], "end_logits": ["tokens"]},
        ),
    ],
)
def test_tasks(task: str, head: str, outputs: dict[str, Any], tmp_path: Path) -> None:
    original = networks.transformer(tmp_path / "model", head=head)
    facts = export("model", task=task)
    assert {each["name"]: each["shape"] for each in facts["outputs"]} == outputs
    ids, mask = texts(3, 20)[2]
    with torch.inference_mode():
        answer = loaded()(ids, mask)
        expected = original(ids, mask)
    answered = answer if isinstance(answer, tuple) else (answer,)
    for name, each in zip(outputs, answered, strict=True):
        assert torch.allclose(each, expected[name], atol=1e-5)


def test_arguments_are_the_steps_inputs(tmp_path: Path) -> None:
    original = networks.transformer(tmp_path / "model")
    names = ["token_type_ids", "attention_mask", "input_ids"]
    export("model", names)
    forward = torchscript.read(tmp_path / "model.pt")
    assert [each.name for each in forward.arguments] == names
    ids, mask = texts(2, 20)[1]
    kinds = torch.ones_like(ids)
    with torch.inference_mode():
        expected = original(ids, mask, token_type_ids=kinds).logits
        assert torch.allclose(loaded()(kinds, mask, ids), expected, atol=1e-5)


def test_too_long_a_sequence_is_an_error(tmp_path: Path) -> None:
    networks.transformer(tmp_path / "model")
    export("model", max_length=10)
    ids = torch.ones((1, 11), dtype=torch.int64)
    with pytest.raises(Exception, match="11 tokens are too many: the model takes 10"):
        loaded()(ids, ids)
    loaded()(ids[:, :10], ids[:, :10])


def test_the_longest_sequence_by_the_positions(tmp_path: Path) -> None:
    networks.transformer(tmp_path / "model")
    assert export("model")["max_length"] == 64
    networks.transformer(tmp_path / "shifted", "Roberta")  # positions begin after the padding's
    assert export("shifted")["max_length"] == 62


def test_no_tensor_is_bound_to_the_device_of_the_export(tmp_path: Path) -> None:
    """On a GPU a tensor that was made on the CPU is an error; there is none here to try it."""
    networks.transformer(tmp_path / "model")
    export("model")
    assert fixed_devices() == []
    module("Ranked", {"x": ("fp32", [4])})
    assert fixed_devices() == []


def fixed_devices() -> list[str]:
    nodes = (each for each in loaded().inlined_graph.nodes() if each.kind() == "prim::Constant")
    return [str(each) for each in nodes if str(each.output().type()) == "Device"]


def _headless(folder: Path) -> None:
    networks.transformer(folder, head="")


def _not_one(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("weights to come")


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (_headless, {}, "file", "has no weights for classifier.bias, classifier.weight"),
        (_not_one, {}, "file", "does not load model"),
        (
            networks.transformer,
            {"task": "token-classification"},
            "file",
            "holds a BertForSequenceClassification",
        ),
        (networks.transformer, {"max_length": 65}, "input", "takes no 65 tokens"),
        (networks.transformer, {"inputs": ["input_ids", "pixels"]}, "input", "'pixels' is no"),
        (networks.transformer, {"inputs": ["attention_mask"]}, "input", "needs input_ids"),
    ],
)
def test_what_cannot_be_exported(
    make: Any, options: dict[str, Any], kind: str, message: str, tmp_path: Path
) -> None:
    make(tmp_path / "model")
    with pytest.raises(Fault) as raised:
        export("model", **options)
    assert raised.value.kind == kind
    assert message in raised.value.message
    assert not (tmp_path / "model.pt").exists()


def test_a_name_that_no_hub_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hub would give is loaded by the same line; none is in reach here."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(Fault, match="does not load nobody/nothing") as raised:
        export("nobody/nothing")
    assert raised.value.kind == "file"


def test_a_module_answers_as_itself(tmp_path: Path) -> None:
    facts = module("ready", {"x": ("fp32", [4])})
    assert facts["outputs"] == [{"name": "output0", "dtype": "fp32", "shape": [1]}]
    original = sys.modules["nets"].ready.eval()
    x = torch.randn(64, 4)
    with torch.inference_mode():
        assert torch.allclose(loaded()(x), original(x)[:, None], atol=1e-6)


def test_inputs_by_name_in_any_order(tmp_path: Path) -> None:
    inputs = {"scale": ("fp32", [1]), "x": ("fp32", [4])}
    module("ready", inputs)
    original = sys.modules["nets"].ready.eval()
    x, scale = torch.randn(64, 4), torch.randn(64, 1)
    with torch.inference_mode():
        expected = original(x, scale)[:, None]
        assert torch.allclose(loaded()(scale, x), expected, atol=1e-6)


def test_sizes_that_vary(tmp_path: Path) -> None:
    facts = module("bag", {"words": ("int64", ["n"])}, outputs=["mean", "most", "count"])
    assert facts["outputs"] == [
        {"name": "mean", "dtype": "fp32", "shape": [3]},
        {"name": "most", "dtype": "fp32", "shape": [3]},
        {"name": "count", "dtype": "int64", "shape": [1]},
    ]
    bag = sys.modules["nets"].bag.eval()
    for length in range(1, 65):
        ids = torch.randint(0, 10, (2, length))
        with torch.inference_mode():
            for one, other in zip(loaded()(ids), bag(ids), strict=True):
                assert torch.allclose(one, other, atol=1e-6)


def test_weights_from_a_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file  # type: ignore[import-not-found, unused-ignore]

    module("Regressor", {"x": ("fp32", [4])})
    trained = sys.modules["nets"].Regressor()
    torch.save(trained.state_dict(), "weights.pt")
    save_file(trained.state_dict(), "weights.safetensors")
    x = torch.randn(5, 4)
    for weights in ("weights.pt", "weights.safetensors"):
        module("Regressor", {"x": ("fp32", [4])}, weights=weights)
        with torch.inference_mode():
            assert torch.allclose(loaded()(x), trained(x)[:, None], atol=1e-6)
    with pytest.raises(Fault, match="does not fit") as raised:
        module("Regressor", {"x": ("fp32", [4])}, weights="weights.pt", arguments={"hidden": 9})
    assert raised.value.kind == "file"


def test_script_keeps_a_choice(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="differs from the original") as raised:
        module("Choice", {"x": ("fp32", [4])})
    assert raised.value.kind == "differs"
    assert "method: script" in str(raised.value.hint)
    module("Choice", {"x": ("fp32", [4])}, method="script")
    for x in (torch.ones(2, 4), -torch.ones(2, 4)):
        assert torch.equal(loaded()(x), x * 2 if x.sum() > 0 else x - 1)


def test_script_takes_arguments_in_its_own_order(tmp_path: Path) -> None:
    inputs = {"right": ("fp32", [4]), "left": ("fp32", [4])}
    assert module("Difference", inputs, method="script")["max_difference"] == 0
    left, right = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(loaded()(left, right), left - right)


def test_a_column_of_its_own_for_one_value(tmp_path: Path) -> None:
    assert module("Flat", {"x": ("fp32", [4])})["outputs"][0]["shape"] == [1]
    with pytest.raises(Fault, match="without an axis beside the batch"):
        module("Flat", {"x": ("fp32", [4])}, method="script")


def test_without_a_batch_axis(tmp_path: Path) -> None:
    facts = module("Total", {"x": ("fp32", ["n", 2])}, batched=False)
    assert facts["outputs"][0]["shape"] == [1, 2]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("Broken", "code", "raised RuntimeError: the second layer is missing (nets.py:"),
        ("Dict", "model", "gives a dict; the backend takes a tensor or a tuple"),
        ("Total", "model", "the first axis must be the batch"),
        ("Narrow", "model", "output0 comes as bfloat16, for which the backend has no type"),
        ("four", "file", "is no torch.nn.Module: it is a builtins.int"),
        ("missing", "code", "nets.py has no 'missing'"),
    ],
)
def test_modules_that_cannot_be_exported(name: str, kind: str, message: str) -> None:
    with pytest.raises(Fault) as raised:
        module(name, {"x": ("fp32", [4])})
    assert raised.value.kind == kind
    assert message in raised.value.message


def test_strings_and_too_many_outputs() -> None:
    with pytest.raises(Fault, match="'x' is string"):
        module("Total", {"x": ("string", [1])})
    with pytest.raises(Fault, match="gives 1 tensor; the step declares 2 outputs"):
        module("Choice", {"x": ("fp32", [4])}, outputs=["a", "b"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.25),
        ([0.1], [0.2], 0.1),
        ([float("nan"), float("inf")], [float("nan"), float("inf")], 0.0),
        ([1.0], [float("nan")], float("inf")),
        ([float("inf")], [1.0], float("inf")),
        ([1.0, 1.0], [1.0], float("inf")),
    ],
)
def test_differences(one: list[float], other: list[float], expected: float) -> None:
    found = samples.difference([torch.tensor(one)], [torch.tensor(other)])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("family", ["Bert", "DistilBert"])
def test_onnx_of_transformers(family: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    original = networks.transformer(tmp_path / "model", family)
    facts = export("model", format="onnx", result="model.onnx", max_length=48)
    assert facts["max_difference"] <= 1e-5
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == IDS
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("logits", ["batch", 3])]
    for ids, mask in texts(64, 48):
        feed = dict(zip(IDS, (ids.numpy(), mask.numpy()), strict=True))
        with torch.inference_mode():
            expected = original(ids, mask).logits.numpy()
        assert np.abs(session.run(None, feed)[0] - expected).max() <= 1e-5


def test_onnx_frees_named_sizes_only(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    module("Square", {"x": ("fp32", ["n", 6, 2])}, format="onnx", result="model.onnx")
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", "n", 6, 2]
    assert session.get_outputs()[0].shape == ["batch", 6, 2]


def test_onnx_of_a_module(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    facts = module("Bag", {"words": ("int64", ["n"])}, outputs=["mean", "most", "count"],
                   format="onnx", result="model.onnx")  # fmt: skip
    assert facts["max_difference"] <= 1e-6
    session = runtime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", "n"]
    assert [each.shape[0] for each in session.get_outputs()] == ["batch"] * 3
