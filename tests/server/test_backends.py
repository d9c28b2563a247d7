"""The stand-in backends on the real server: equal to the libraries that made the models."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ensemblegen.client.interface import Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.engine.server import Server

Array = npt.NDArray[Any]
FEATURES, CLASSES = 6, 3
ROWS = np.random.default_rng(7).normal(size=(40, FEATURES)).astype(np.float32)
_TRAIN = np.random.default_rng(8).normal(size=(200, FEATURES))
_TARGET = _TRAIN[:, 0] * _TRAIN[:, 1]
_BINARY = (_TARGET > 0).astype(int)
_MULTI = np.digitize(_TARGET, [-0.3, 0.3])


def _config(model: Path, text: str) -> None:
    group = "instance_group { kind: KIND_CPU count: 1 } dynamic_batching { }"
    (model / "config.pbtxt").write_text(f"{text}\n{group}\n")


def _tensors(kind: str, tensors: dict[str, tuple[str, str]]) -> str:
    return "\n".join(
        f'{kind} {{ name: "{name}" data_type: TYPE_{dtype} dims: {dims} }}'
        for name, (dtype, dims) in tensors.items()
    )


# --- pytorch ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nets:
    """The modules behind the models of the repository, by model name."""

    modules: dict[str, Any]


def _nets() -> dict[str, Any]:
    import torch

    class Difference(torch.nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left - right

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.linear(x), x.sum(1, keepdim=True) > 0

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(10, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.embedding(ids).mean(1)

    torch.manual_seed(0)
    return {"difference": Difference(), "linear": Linear(), "tokens": Tokens()}


_TORCH = {
    "by_index": (
        "difference",
        {"B__1": ("FP32", "[ 4 ]"), "A__0": ("FP32", "[ 4 ]")},
        {"OUT__0": ("FP32", "[ 4 ]")},
    ),
    "tuple": (
        "linear",
        {"x": ("FP32", "[ 4 ]")},
        {"POSITIVE__1": ("BOOL", "[ 1 ]"), "LINEAR__0": ("FP32", "[ 2 ]")},
    ),
    "tokens": ("tokens", {"ids": ("INT64", "[ -1 ]")}, {"mean": ("FP32", "[ 3 ]")}),
    "wrong_dtype": ("tokens", {"ids": ("INT64", "[ -1 ]")}, {"mean": ("FP64", "[ 3 ]")}),
}


def _write_torch(repository: Path) -> Nets:
    import torch

    modules = _nets()
    for name, (net, inputs, outputs) in _TORCH.items():
        folder = repository / name
        (folder / "1").mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(modules[net].eval()), str(folder / "1/model.pt"))
        _config(
            folder,
            f'backend: "pytorch" max_batch_size: 8\n{_tensors("input", inputs)}\n'
            f"{_tensors('output', outputs)}",
        )
    unbatched = repository / "unbatched"
    (unbatched / "1").mkdir(parents=True)
    (unbatched / "1/weights.pt").write_bytes((repository / "by_index/1/model.pt").read_bytes())
    _config(
        unbatched,
        'platform: "pytorch_libtorch" default_model_filename: "weights.pt"\n'
        + _tensors("input", {"left": ("FP32", "[ -1, 2 ]"), "right": ("FP32", "[ -1, 2 ]")})
        + _tensors("output", {"out": ("FP32", "[ -1, 2 ]")}),
    )
    return Nets(modules)


# --- fil -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forest:
    """A model with what it must answer for ROWS."""

    model_type: str
    file: str
    expected: Array
    classes: bool = False
    proba: bool = False
    reshape: bool = True


def _forests(folder: Path) -> Iterator[tuple[str, Forest]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _sklearn(folder)
        yield from _xgboost(folder)
        yield from _lightgbm(folder)


def _sklearn(folder: Path) -> Iterator[tuple[str, Forest]]:
    import treelite
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    def saved(name: str, model: Any) -> str:
        path = folder / f"{name}.tl"
        treelite.sklearn.import_model(model).serialize(str(path))
        return str(path)

    regressor = RandomForestRegressor(20, random_state=0).fit(_TRAIN, _TARGET)
    file = saved("regressor", regressor)
    answer = regressor.predict(ROWS)[:, None]
    yield "sk_regressor", Forest("treelite_checkpoint", file, answer)
    yield "sk_squeezed", Forest("treelite_checkpoint", file, answer[:, 0], reshape=False)

    binary = RandomForestClassifier(20, random_state=0).fit(_TRAIN, _BINARY)
    file, proba = saved("binary", binary), binary.predict_proba(ROWS)
    kind = "treelite_checkpoint"
    yield "sk_binary_proba", Forest(kind, file, proba, classes=True, proba=True)
    yield "sk_binary_class", Forest(kind, file, (proba[:, 1:] > 0.5) * 1.0, classes=True)

    multi = RandomForestClassifier(20, random_state=0).fit(_TRAIN, _MULTI)
    file, proba = saved("multi", multi), multi.predict_proba(ROWS)
    yield "sk_multi_proba", Forest(kind, file, proba, classes=True, proba=True)
    ids = proba.argmax(axis=1)[:, None].astype(float)
    yield "sk_multi_class", Forest(kind, file, ids, classes=True)


def _xgboost(folder: Path) -> Iterator[tuple[str, Forest]]:
    import xgboost

    options = {"n_estimators": 10, "max_depth": 3, "n_jobs": 1, "random_state": 0}
    regressor = xgboost.XGBRegressor(**options).fit(_TRAIN, _TARGET)
    answer = regressor.predict(ROWS)[:, None]
    for ending, model_type in (("json", "xgboost_json"), ("ubj", "xgboost_ubj")):
        file = str(folder / f"regressor.{ending}")
        regressor.save_model(file)
        yield f"xgb_{ending}", Forest(model_type, file, answer)

    binary = xgboost.XGBClassifier(**options).fit(_TRAIN, _BINARY)
    binary.save_model(str(folder / "binary.json"))
    yield (
        "xgb_binary",
        Forest(
            "xgboost_json",
            str(folder / "binary.json"),
            binary.predict_proba(ROWS),
            classes=True,
            proba=True,
        ),
    )
    multi = xgboost.XGBClassifier(**options).fit(_TRAIN, _MULTI)
    multi.save_model(str(folder / "multi.ubj"))
    yield (
        "xgb_multi",
        Forest(
            "xgboost_ubj",
            str(folder / "multi.ubj"),
            multi.predict(ROWS)[:, None].astype(float),
            classes=True,
        ),
    )


def _lightgbm(folder: Path) -> Iterator[tuple[str, Forest]]:
    import lightgbm

    options = {"n_estimators": 10, "num_leaves": 7, "n_jobs": 1, "verbose": -1, "random_state": 0}
    rows = ROWS.astype(np.float64)
    regressor = lightgbm.LGBMRegressor(**options).fit(_TRAIN, _TARGET)
    regressor.booster_.save_model(str(folder / "regressor.txt"))
    answer = np.asarray(regressor.predict(rows))[:, None]
    yield "lgb_regressor", Forest("lightgbm", str(folder / "regressor.txt"), answer)
    binary = lightgbm.LGBMClassifier(**options).fit(_TRAIN, _BINARY)
    binary.booster_.save_model(str(folder / "binary.txt"))
    proba = np.asarray(binary.predict_proba(rows))
    yield (
        "lgb_binary",
        Forest("lightgbm", str(folder / "binary.txt"), proba, classes=True, proba=True),
    )


def _write_forest(repository: Path, name: str, forest: Forest) -> None:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    target = folder / "1" / "trees"
    target.write_bytes(Path(forest.file).read_bytes())
    width = forest.expected.shape[1] if forest.expected.ndim == 2 else 1
    reshape = "reshape { shape: [ 1 ] }" if width == 1 and forest.reshape else ""
    parameters = {
        "model_type": forest.model_type,
        "output_class": str(forest.classes).lower(),
        "predict_proba": str(forest.proba).lower(),
        "threshold": "0.5",
    }
    written = "\n".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in parameters.items()
    )
    _config(
        folder,
        'backend: "fil" max_batch_size: 64 default_model_filename: "trees"\n'
        f'input {{ name: "input__0" data_type: TYPE_FP32 dims: [ {FEATURES} ] }}\n'
        f'output {{ name: "output__0" data_type: TYPE_FP32 dims: [ {width} ] {reshape} }}\n'
        f"{written}",
    )


def _write_chain(repository: Path) -> None:
    """An ensemble whose second member takes the forest's [N,1]."""
    (repository / "chain/1").mkdir(parents=True)
    (repository / "chain/1/.keep").touch()
    (repository / "doubled/1").mkdir(parents=True)
    (repository / "doubled/1/model.py").write_text(
        "import triton_python_backend_utils as pb\n"
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        xs = [pb.get_input_tensor_by_name(r, 'X').as_numpy() for r in requests]\n"
        "        return [pb.InferenceResponse([pb.Tensor('Y', x * 2)]) for x in xs]\n"
    )
    _config(
        repository / "doubled",
        'backend: "python" max_batch_size: 64\n'
        + _tensors("input", {"X": ("FP32", "[ 1 ]")})
        + _tensors("output", {"Y": ("FP32", "[ 1 ]")}),
    )
    steps = (
        ("sk_regressor", ("input__0", "ROWS"), ("output__0", "RAW")),
        ("doubled", ("X", "RAW"), ("Y", "SCORE")),
    )
    written = "\n".join(
        f'step {{ model_name: "{model}" model_version: -1 '
        f'input_map {{ key: "{into[0]}" value: "{into[1]}" }} '
        f'output_map {{ key: "{out[0]}" value: "{out[1]}" }} }}'
        for model, into, out in steps
    )
    (repository / "chain/config.pbtxt").write_text(
        'platform: "ensemble" max_batch_size: 64\n'
        + _tensors("input", {"ROWS": ("FP32", f"[ {FEATURES} ]")})
        + _tensors("output", {"SCORE": ("FP32", "[ 1 ]")})
        + f"\nensemble_scheduling {{ {written} }}\n"
    )


# --- the server ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    session: Session
    nets: Nets
    forests: dict[str, Forest]

    def call(self, model: str, rows: list[dict[str, Any]], batch: int = 8) -> list[Any]:
        interface = self.session.interface(model)
        return list(self.session.infer(interface, from_values(rows), Load(batch=batch)))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    repository = tmp_path_factory.mktemp("repository")
    nets = _write_torch(repository)
    forests = dict(_forests(tmp_path_factory.mktemp("forests")))
    for name, forest in forests.items():
        _write_forest(repository, name, forest)
    _write_chain(repository)
    with Server.start(repository) as server:
        with Session(server.grpc, Protocol.grpc) as session:
            yield Running(session, nets, forests)
        server.stop(kill=True)  # in order takes seconds, and has a test of its own


def _stacked(results: list[Any], output: str) -> Array:
    assert [result.problems for result in results if not result.ok] == []
    return np.stack([result.outputs[output] for result in results])


LEFT = np.arange(12, dtype=np.float32).reshape(3, 4)
RIGHT = LEFT[::-1] * 0.5


def test_inputs_go_to_the_arguments(running: Running) -> None:
    rows = [{"A__0": a, "B__1": b} for a, b in zip(LEFT, RIGHT, strict=True)]
    assert np.array_equal(_stacked(running.call("by_index", rows), "OUT__0"), LEFT - RIGHT)


def test_tuple_outputs_by_index(running: Running) -> None:
    import torch

    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    results = running.call("tuple", [{"x": row} for row in x])
    with torch.inference_mode():
        linear, positive = running.nets.modules["linear"](torch.from_numpy(x))
    assert np.allclose(_stacked(results, "LINEAR__0"), linear.numpy(), atol=1e-6)
    assert np.array_equal(_stacked(results, "POSITIVE__1"), positive.numpy())


def test_rows_of_different_lengths(running: Running) -> None:
    import torch

    rows = [[1, 2, 3], [4, 5], [6, 7, 8], [9, 0]]
    results = running.call("tokens", [{"ids": ids} for ids in rows], batch=1)
    with torch.inference_mode():
        expected = [running.nets.modules["tokens"](torch.tensor([ids]))[0] for ids in rows]
    assert np.allclose(_stacked(results, "mean"), torch.stack(expected).numpy(), atol=1e-6)


def test_a_bad_request_fails_alone(running: Running) -> None:
    # Requests of equal shapes, in flight together, so that the server batches some of them.
    rows = [{"ids": [i % 10, 1]} for i in range(30)] + [{"ids": [99, 1]}] + [{"ids": [2, 3]}]
    results = running.call("tokens", rows, batch=1)
    assert [result.ok for result in results] == [True] * 30 + [False, True]
    assert "PyTorch execute failure" in results[30].problems[0].message


def test_without_a_batch_axis(running: Running) -> None:
    left = np.ones((3, 2), np.float32)
    results = running.call("unbatched", [{"left": left, "right": left * 3}])
    assert np.array_equal(results[0].outputs["out"], left * -2)


def test_a_config_that_does_not_fit_is_said_at_the_request(running: Running) -> None:
    (result,) = running.call("wrong_dtype", [{"ids": [1]}])
    words = "configuration expects datatype TYPE_FP64 for output 'mean', model provides TYPE_FP32"
    assert words in result.problems[0].message


FORESTS = (
    "sk_regressor",
    "sk_squeezed",
    "sk_binary_proba",
    "sk_binary_class",
    "sk_multi_proba",
    "sk_multi_class",
    "xgb_json",
    "xgb_ubj",
    "xgb_binary",
    "xgb_multi",
    "lgb_regressor",
    "lgb_binary",
)


@pytest.mark.parametrize("name", FORESTS)
def test_forests_answer_as_their_library(running: Running, name: str) -> None:
    results = running.call(name, [{"input__0": row} for row in ROWS], batch=16)
    expected = running.forests[name].expected
    answer = _stacked(results, "output__0")
    assert answer.shape == expected.shape  # [N,1] with reshape, [N] without, as the native one
    assert answer.dtype == np.float32
    assert np.allclose(answer, expected, rtol=1e-6, atol=1e-6)


def test_every_forest_is_tested(running: Running) -> None:
    assert set(running.forests) == set(FORESTS)


def test_a_member_behind_a_forest_gets_its_column(running: Running) -> None:
    results = running.call("chain", [{"ROWS": row} for row in ROWS], batch=16)
    expected = running.forests["sk_regressor"].expected * 2
    assert np.allclose(_stacked(results, "SCORE"), expected, rtol=1e-6, atol=1e-6)
