"""The stand-in backends by themselves: which input is which, and what they refuse.

What they answer is tested on the real server, in tests/server/test_backends.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemblegen.engine import embedded


class _Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self._name, self._array = name, array

    @classmethod
    def from_dlpack(cls, name: str, tensor: Any) -> _Tensor:
        return cls(name, tensor.numpy())

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self._array

    def shape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    def is_cpu(self) -> bool:
        return True

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class _Error:
    INTERNAL, INVALID_ARG = 1, 4

    def __init__(self, message: str, code: int) -> None:
        self.message, self.code = message, code


class _Response:
    def __init__(self, tensors: Any = (), error: _Error | None = None) -> None:
        self.outputs = {tensor.name(): tensor.as_numpy() for tensor in tensors}
        self.error = error


class _Request:
    def __init__(self, outputs: list[str], **arrays: Any) -> None:
        self.tensors = {name: _Tensor(name, array) for name, array in arrays.items()}
        self._outputs = outputs

    def requested_output_names(self) -> list[str]:
        return self._outputs


def _backend(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = types.ModuleType("triton_python_backend_utils")
    for key, value in {
        "Tensor": _Tensor,
        "TritonError": _Error,
        "InferenceResponse": _Response,
        "get_input_tensor_by_name": lambda request, wanted: request.tensors.get(wanted),
    }.items():
        setattr(fake, key, value)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    folder = Path(embedded.__file__).parent / "backends"
    monkeypatch.syspath_prepend(folder)  # the stub appends it
    monkeypatch.delitem(sys.modules, "stand_in", raising=False)
    path = folder / name / "model.py"
    spec = importlib.util.spec_from_file_location(f"stand_in_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _loaded(module: Any, folder: Path, config: dict[str, Any]) -> Any:
    model = module.TritonPythonModel()
    args = {
        "model_config": json.dumps({"name": "m", "max_batch_size": 8} | config),
        "model_repository": str(folder),
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_instance_name": "m_0_0",
    }
    with warnings.catch_warnings():  # the stand-in filters in its own process
        model.initialize(args)
    return model


def _tensors(**dims: list[int]) -> list[dict[str, Any]]:
    return [
        {"name": name, "data_type": "TYPE_FP32", "dims": list(map(str, each))}
        for name, each in dims.items()
    ]


# --- pytorch ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    class Affine(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.linear(left) - right

    folder = tmp_path_factory.mktemp("scripted")
    (folder / "1").mkdir()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Affine().eval()), str(folder / "1/model.pt"))
    return folder


LEFT = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
RIGHT = LEFT * 0.5


def _affine(folder: Path, left: Any, right: Any) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(str(folder / "1/model.pt"))
    with torch.inference_mode():
        return module(torch.from_numpy(left), torch.from_numpy(right)).numpy()


@pytest.mark.parametrize(
    ("left", "right", "swapped"),
    [
        ("left", "right", False),
        ("left", "right", True),
        ("A__0", "B__1", False),
        ("A__0", "B__1", True),
        ("first", "second", False),
    ],
)
def test_which_input_is_which(
    scripted: Path, monkeypatch: pytest.MonkeyPatch, left: str, right: str, swapped: bool
) -> None:
    names = {right: [4], left: [4]} if swapped else {left: [4], right: [4]}
    config = {"input": _tensors(**names), "output": _tensors(out=[4])}
    model = _loaded(_backend("pytorch", monkeypatch), scripted, config)
    requests = [
        _Request(["out"], **{left: LEFT[i : i + 1], right: RIGHT[i : i + 1]}) for i in range(2)
    ]
    responses = model.execute(requests)
    answer = np.concatenate([response.outputs["out"] for response in responses])
    assert np.allclose(answer, _affine(scripted, LEFT, RIGHT), atol=1e-6)


def test_one_bad_request_fails_alone(scripted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"input": _tensors(left=[-1], right=[-1]), "output": _tensors(out=[4])}
    model = _loaded(_backend("pytorch", monkeypatch), scripted, config)
    good = {"left": LEFT, "right": RIGHT}
    bad = {"left": LEFT[:, :3], "right": RIGHT[:, :3]}
    missing = {"left": LEFT}
    requests = [_Request(["out"], **each) for each in (good, bad, missing, good)]
    responses = model.execute(requests)
    assert [response.error is None for response in responses] == [True, False, False, True]
    assert responses[1].error.message.startswith("PyTorch execute failure: ")
    assert responses[2].error.code == _Error.INVALID_ARG


def test_only_requested_outputs(scripted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"input": _tensors(left=[4], right=[4]), "output": _tensors(out=[4])}
    model = _loaded(_backend("pytorch", monkeypatch), scripted, config)
    (response,) = model.execute([_Request([], left=LEFT, right=RIGHT)])
    assert response.outputs == {}


def test_bfloat16_on_request(scripted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLEGEN_PYTORCH_PRECISION", "bf16")
    config = {"input": _tensors(left=[4], right=[4]), "output": _tensors(out=[4])}
    model = _loaded(_backend("pytorch", monkeypatch), scripted, config)
    (response,) = model.execute([_Request(["out"], left=LEFT, right=RIGHT)])
    assert response.error is None
    expected = _affine(scripted, LEFT, RIGHT)
    assert response.outputs["out"].dtype == np.float32
    assert np.allclose(response.outputs["out"], expected, atol=0.05)
    assert not np.array_equal(response.outputs["out"], expected)


@pytest.mark.parametrize(
    ("inputs", "config", "message"),
    [
        ({"left": [4]}, {}, "configuration expects 1 inputs, model provides 2"),
        ({"A__0": [4], "B__2": [4]}, {}, "not from 0 to 1"),
        ({"A__0": [4], "B__0": [4]}, {}, "not from 0 to 1"),
        ({"left": [4], "right": [4]}, {"output": []}, "at least one output"),
        ({"left": [4], "right": [4]}, {"default_model_filename": "no.pt"}, "unable to find"),
        (
            {"left": [4], "right": [4]},
            {"parameters": {"INFERENCE_MODE": {"string_value": "banana"}}},
            "failed to convert 'banana' to boolean",
        ),
        (
            {"left": [4], "right": [4]},
            {"output": [{"name": "o", "data_type": "TYPE_BF16", "dims": ["4"]}]},
            "unsupported datatype TYPE_BF16",
        ),
    ],
)
def test_pytorch_refuses(
    scripted: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: dict[str, list[int]],
    config: dict[str, Any],
    message: str,
) -> None:
    whole = {"input": _tensors(**inputs), "output": _tensors(out=[4])} | config
    with pytest.raises(Exception, match=message):
        _loaded(_backend("pytorch", monkeypatch), scripted, whole)


def test_not_torchscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/model.pt").write_bytes(b"nothing of the kind")
    config = {"input": _tensors(x=[4]), "output": _tensors(out=[4])}
    with pytest.raises(RuntimeError, match="failed to load model 'm'"):
        _loaded(_backend("pytorch", monkeypatch), tmp_path, config)


# --- fil -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import treelite
    from sklearn.ensemble import RandomForestClassifier

    folder = tmp_path_factory.mktemp("trees")
    (folder / "1").mkdir()
    x = np.random.default_rng(0).normal(size=(60, 6))
    model = RandomForestClassifier(5, random_state=0).fit(x, np.digitize(x[:, 0], [-0.5, 0.5]))
    treelite.sklearn.import_model(model).serialize(str(folder / "1/checkpoint.tl"))
    return folder


def _forest(width: int = 3, features: int = 6, **parameters: str) -> dict[str, Any]:
    given = {
        "model_type": "treelite_checkpoint",
        "output_class": "true",
        "threshold": "0.5",
        "predict_proba": "true",
    } | parameters
    return {
        "input": _tensors(input__0=[features]),
        "output": _tensors(output__0=[width]),
        "parameters": {name: {"string_value": value} for name, value in given.items() if value},
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (_forest(output_class=""), "Required parameter output_class not found"),
        (_forest(threshold=""), "Required parameter threshold not found"),
        (_forest(predict_proba="maybe"), "Expected 'true' or 'false'.*'maybe'"),
        (_forest(model_type="catboost"), "catboost not recognized"),
        (_forest(model_type="xgboost_json"), "does not exist"),
        (_forest(features=5), r"'input__0' has the dims \[5\], the model has 6 features"),
        (_forest(width=4), r"'output__0' has the dims \[4\], the model answers 3 values"),
        (_forest() | {"input": _tensors(x=[6])}, "unknown request input name input__0"),
        (_forest() | {"output": _tensors(y=[3])}, "No output with name output__0"),
        (
            _forest() | {"output": _tensors(output__0=[3], treeshap_output=[7])},
            "treeshap_output needs the native FIL backend",
        ),
    ],
)
def test_fil_refuses(
    trees: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        _loaded(_backend("fil", monkeypatch), trees, config)


def test_fil_shapes(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _backend("fil", monkeypatch)
    rows = np.zeros((2, 6), np.float32)
    wrong = np.zeros((2, 5), np.float32)
    empty = np.zeros((0, 6), np.float32)
    proba = _loaded(module, trees, _forest())
    requests = [_Request(["output__0"], input__0=each) for each in (rows, wrong, empty)]
    good, bad, none = proba.execute(requests)
    assert good.outputs["output__0"].shape == (2, 3)
    assert "rows of 6 features" in bad.error.message
    assert none.outputs["output__0"].shape == (0, 3)
    classes = _loaded(module, trees, _forest(width=1, predict_proba="false"))
    (answer,) = classes.execute([_Request(["output__0"], input__0=rows)])
    assert answer.outputs["output__0"].shape == (2,)  # squeezed, as the native backend does


@pytest.mark.parametrize("name", ["pytorch", "fil"])
def test_numpy_2_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _backend(name, monkeypatch)
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(RuntimeError, match="pip install 'numpy<2'"):
        module.TritonPythonModel().initialize({})


class _OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit(), "SystemExit"),
        (_OddError(), "_OddError"),
        (ValueError("\ud800 \0"), "\\ud800 \\x00"),
        (ValueError("x" * 9000), "x" * 3997 + "..."),
    ],
)
def test_any_error_becomes_a_response(
    error: BaseException, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _backend("fil", monkeypatch)
    response = sys.modules["stand_in"]._error(error)
    assert response.error.message == message
    assert response.error.code == _Error.INTERNAL


def test_an_exit_within_a_call_fails_alone(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _loaded(_backend("fil", monkeypatch), trees, _forest())
    predict = model._predict

    def leaving(rows: Any) -> Any:
        if (rows < 0).any():
            raise SystemExit
        return predict(rows)

    model._predict = leaving
    rows = [np.full((1, 6), value, np.float32) for value in (1, -1, 1)]
    responses = model.execute([_Request([], input__0=each) for each in rows])
    assert [response.error is None for response in responses] == [True, False, True]


@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (1500, 1), (8000, 99)])
def test_threads_follow_the_work(
    trees: Path, monkeypatch: pytest.MonkeyPatch, rows: int, threads: int
) -> None:
    model = _loaded(_backend("fil", monkeypatch), trees, _forest(cpu_nthread="99"))
    asked = []
    predict = model._gtil.predict

    def counted(*given: Any, nthread: int) -> Any:
        asked.append(nthread)
        return predict(*given, nthread=nthread)

    monkeypatch.setattr(model._gtil, "predict", counted)
    x = np.random.default_rng(3).normal(size=(rows, 6)).astype(np.float32)
    (response,) = model.execute([_Request(["output__0"], input__0=x)])
    assert response.error is None
    assert asked == [min(threads, 8, len(os.sched_getaffinity(0)))]
