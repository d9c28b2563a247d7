"""torch on the CPU is the real one. The cupy here is a fake: nothing in this file ran on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

torch: Any = pytest.importorskip("torch")

SHOW = """
    seen = []
    def step(x):
        seen.append(x)
        return {"y": x}
"""


def seen(model: Any) -> Any:
    return model.step.__globals__["seen"][-1]


def ones(*shape: int) -> Any:
    return numpy.ones(shape, numpy.float32)


def test_torch_in_and_out_without_a_copy(make_model: Any, triton: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2])}, {"y": ("fp32", [2])}, arrays="torch")
    array = ones(3, 2)
    (answer,) = model.ask({"x": triton.Tensor("x", array)})
    assert isinstance(seen(model), torch.Tensor)
    assert seen(model).data_ptr() == array.ctypes.data
    assert answer["y"].ctypes.data == array.ctypes.data


def test_torch_answers_of_a_batch_are_views(make_model: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2])}, {"y": ("fp32", [2])}, arrays="torch")
    first, second = model.ask({"x": ones(3, 2)}, {"x": ones(1, 2) * 2})
    assert seen(model).shape == (4, 2)
    assert first["y"].ctypes.data == seen(model).data_ptr()
    assert second["y"].ctypes.data == seen(model).data_ptr() + 24
    assert second["y"].tolist() == [[2, 2]]


def test_torch_pads_and_crops(make_model: Any) -> None:
    inputs = {"x": ("int64", ["n"], {"pad": -1})}
    model = make_model(SHOW, inputs, {"y": ("int64", ["n"])}, arrays="torch")
    answers = model.ask(*[{"x": numpy.arange(n)[None]} for n in (1, 3, 0)])
    assert seen(model).tolist() == [[0, -1, -1], [0, 1, 2], [-1, -1, -1]]
    assert [answer["y"].tolist() for answer in answers] == [[[0]], [[0, 1, 2]], [[]]]


def test_torch_defaults_are_fresh(make_model: Any) -> None:
    code = "def step(x, w):\n    w += 1\n    return x * w"
    inputs = {"x": ("fp32", [2]), "w": ("fp32", [1], {"default": 2})}
    model = make_model(code, inputs, {"y": ("fp32", [2])}, arrays="torch")
    for rows in (1, 1, 2):
        assert model.ask({"x": ones(rows, 2)})[0]["y"].tolist() == [[3, 3]] * rows


def test_bf16_through_torch(make_model: Any, triton: Any) -> None:
    model = make_model(
        "def step(x):\n    return x * 2",
        {"x": ("bf16", [2])},
        {"y": ("bf16", [2])},
        arrays="torch",
    )
    tensor = triton.Tensor.from_dlpack("x", torch.ones((1, 2), dtype=torch.bfloat16))
    first, second = model.ask({"x": tensor}, {"x": tensor})
    for answer in (first, second):
        result = torch.from_dlpack(answer.tensors["y"])
        assert result.dtype == torch.bfloat16
        assert result.tolist() == [[2, 2]]


@pytest.mark.parametrize(
    "value",
    ["x.T.contiguous().T", "torch.ones(2, 2, requires_grad=True)", "x.numpy()", "x.tolist()"],
)
def test_what_a_torch_step_may_return(make_model: Any, value: str) -> None:
    code = f"import torch\ndef step(x):\n    return {value}"
    model = make_model(code, {"x": ("fp32", [2])}, {"y": ("fp32", [2])}, arrays="torch")
    assert model.ask({"x": ones(2, 2)})[0]["y"].tolist() == [[1, 1], [1, 1]]


def test_a_numpy_step_may_return_torch(make_model: Any) -> None:
    code = "import torch\ndef step(x):\n    return torch.from_numpy(x)"
    model = make_model(code, {"x": ("fp32", [2])}, {"y": ("fp32", [2])})
    assert model.ask({"x": ones(2, 2)})[0]["y"].tolist() == [[1, 1], [1, 1]]


def test_a_torch_dtype_error_says_how_to_cast(make_model: Any) -> None:
    model = make_model(
        "def step(x):\n    return x.double()",
        {"x": ("fp32", [2])},
        {"y": ("fp32", [2])},
        arrays="torch",
    )
    error = model.ask({"x": ones(2, 2)})[0].error
    assert error.endswith("is float64, but fp32 is declared: return it through .to(torch.float32)")


def test_a_library_that_is_not_installed(
    make_model: Any, triton: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(triton.TritonModelException, match="torch cannot be imported in this step"):
        make_model(SHOW, {"x": ("fp32", [2])}, {"y": ("fp32", [2])}, arrays="torch")


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    path = Path(__file__).parent / "fake_cupy.py"
    spec = importlib.util.spec_from_file_location("cupy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cupy", module)
    spec.loader.exec_module(module)
    return module


def gpu_model(make_model: Any, code: str = SHOW, **more: Any) -> Any:
    inputs = more.pop("inputs", {"x": ("fp32", [2])})
    outputs = more.pop("outputs", {"y": ("fp32", [2])})
    more = {"kind": "GPU", "device_id": "1", "device": "gpu", "arrays": "cupy", **more}
    return make_model(code, inputs, outputs, **more)


def gpu_result(answer: Any) -> Any:
    tensor = answer.tensors["y"]
    assert not tensor.is_cpu()
    assert tensor.__dlpack_device__() == (2, 1)
    return tensor._memory.get()


def test_cupy_takes_a_gpu_tensor_where_it_is(make_model: Any, triton: Any, cupy: Any) -> None:
    model = gpu_model(make_model)
    array = ones(2, 2)
    (answer,) = model.ask({"x": triton.Tensor.on_gpu("x", array, device_id=1)})
    assert numpy.shares_memory(seen(model)._host, array)
    assert numpy.shares_memory(answer.tensors["y"]._memory._host, array)


def test_cupy_brings_every_tensor_to_its_device(make_model: Any, triton: Any, cupy: Any) -> None:
    model = gpu_model(make_model)
    here = triton.Tensor.on_gpu("x", ones(1, 2) * 3, device_id=1)
    there = triton.Tensor.on_gpu("x", ones(1, 2) * 2, device_id=0)
    answers = model.ask({"x": ones(1, 2)}, {"x": here}, {"x": there})
    assert seen(model).device.id == 1
    assert [gpu_result(answer).tolist() for answer in answers] == [[[1, 1]], [[3, 3]], [[2, 2]]]


def test_cupy_pads_crops_and_fills(make_model: Any, cupy: Any) -> None:
    inputs = {"x": ("int64", ["n"], {"pad": -1}), "w": ("fp32", [1], {"default": 2})}
    code = """
        seen = []
        def step(x, w):
            assert w.device.id == 1 and w.get().tolist() == [[2]] * len(x)
            seen.append(x)
            return x
    """
    model = gpu_model(make_model, code, inputs=inputs, outputs={"y": ("int64", ["n"])})
    short, long = model.ask({"x": numpy.array([[5], [6]])}, {"x": numpy.arange(3)[None]})
    assert seen(model).get().tolist() == [[5, -1, -1], [6, -1, -1], [0, 1, 2]]
    assert gpu_result(short).tolist() == [[5], [6]]
    assert gpu_result(long).tolist() == [[0, 1, 2]]


def test_cupy_dtype_error_says_how_to_cast(make_model: Any, cupy: Any) -> None:
    model = gpu_model(make_model, outputs={"y": ("fp64", [2])})
    assert model.ask({"x": ones(1, 2)})[0].error.endswith(".astype(cupy.float64)")


def test_strings_stay_on_the_host(make_model: Any, cupy: Any) -> None:
    code = "def step(x, t):\n    assert t == ['a']\n    return x"
    inputs = {"x": ("fp32", [2]), "t": ("string", [1])}
    model = gpu_model(make_model, code, inputs=inputs)
    text = numpy.array([["a"]], object)
    assert gpu_result(model.ask({"x": ones(1, 2), "t": text})[0]).tolist() == [[1, 1]]


def test_cupy_needs_a_gpu(make_model: Any, triton: Any, cupy: Any) -> None:
    with pytest.raises(triton.TritonModelException, match="arrays: cupy needs a GPU"):
        gpu_model(make_model, kind="CPU", device="cpu")


def test_a_gpu_tensor_at_a_numpy_step_is_copied(make_model: Any, triton: Any, cupy: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2])}, {"y": ("fp32", [2])})
    (answer,) = model.ask({"x": triton.Tensor.on_gpu("x", ones(1, 2))})
    assert isinstance(seen(model), numpy.ndarray)
    assert answer["y"].tolist() == [[1, 1]]


def test_a_gpu_tensor_that_nothing_can_copy(
    make_model: Any, triton: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    model = make_model(SHOW, {"x": ("fp32", [2])}, {"y": ("fp32", [2])})
    bad, good = model.ask({"x": triton.Tensor.on_gpu("x", ones(1, 2))}, {"x": ones(1, 2)})
    assert "input 'x' is in GPU memory, and neither cupy nor torch is installed" in bad.error
    assert good["y"].tolist() == [[1, 1]]
