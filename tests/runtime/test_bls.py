"""Models that call others, as compiled, against a fake server with the models that they call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from tests.runtime.conftest import Answer, forget, load_module

HEAD = """\
ensemblegen: 1
name: p
max_batch_size: 8
inputs:
  x: {dtype: fp32, shape: [n]}
  lang: {dtype: string, shape: [1]}
  level: {dtype: fp32, shape: [1], default: 0.1}
  items: {dtype: fp32, shape: [items, 2]}
  names: {dtype: string, shape: [items, 1]}
  count: {dtype: int32, shape: [1]}
steps:
"""
STEP = """\
  %s:
    python: steps.py:%s
    inputs: %s
    outputs: %s
"""
OUT = "{y: {dtype: fp32, shape: [n]}, word: {dtype: string, shape: [1]}}"
CODE = "def big(x, level): ...\ndef small(x): ...\ndef each(item, name, x): ...\n"


class Callers:
    """Compiles a pipeline and loads the model that calls others."""

    def __init__(self, triton: Any, folder: Path) -> None:
        self.triton = triton
        self.folder = folder
        self.python: Any = None

    def load(self, steps: str, outputs: str, model: str, batch: int = 8) -> None:
        head = HEAD.replace("max_batch_size: 8", f"max_batch_size: {batch}")
        text = head + steps + f"outputs: {outputs}\n"
        unused = [name for name in ("lang", "level", "items", "names", "count", "x")
                  if name not in steps]  # fmt: skip
        lines = [line for line in text.splitlines() if line[2:].split(":")[0] not in unused]
        (self.folder / "steps.py").write_text(CODE)
        (self.folder / "pipeline.yaml").write_text("\n".join(lines))
        repository = self.folder / "repository"
        write(files(make_plan(self.folder / "pipeline.yaml")), repository)
        forget("ensemblegen_runtime")
        sys.path[:] = [each for each in sys.path if "ensemblegen_runtime" not in each]
        version = repository / model / "1"
        self.python = load_module("1.model", version / "model.py").TritonPythonModel()
        self.python.initialize({
            "model_repository": str(version.parent),
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        })  # fmt: skip

    def serve(self, model: str, answer: Callable[..., dict[str, Any]]) -> None:
        """A model as a function of its inputs; what it raises is its error."""

        async def run(request: Any) -> Any:
            given = {each.name(): each.as_numpy() for each in request.inputs()}
            await asyncio.sleep(0)
            try:
                made = answer(**given)
            except ValueError as error:
                wrong = self.triton.TritonError(str(error), self.triton.TritonError.INVALID_ARG)
                return self.triton.InferenceResponse(error=wrong)
            wanted = request.requested_output_names()
            tensors = [self.triton.Tensor(name, made[name]) for name in wanted if name in made]
            return self.triton.InferenceResponse(tensors)

        self.triton.Served.models[model] = run

    def ask(self, *requests: dict[str, Any], **options: Any) -> list[Answer]:
        batch = [
            self.triton.InferenceRequest(
                [self.triton.Tensor(name, numpy.asarray(value)) for name, value in each.items()],
                [],
                **options,
            )
            for each in requests
        ]
        return [self._answer(each) for each in asyncio.run(self.python.execute(batch))]

    @property
    def calls(self) -> list[tuple[str, int]]:
        """Which models were called since the last look, with how many rows."""
        found = [
            (each.model_name, len(each.inputs()[0].as_numpy())) for each in self.triton.Served.asked
        ]
        self.triton.Served.asked.clear()
        return sorted(found)

    def _answer(self, response: Any) -> Answer:
        if response.has_error():
            error = response.error()
            return Answer(error=error.message(), code=error.code())
        return Answer({tensor.name(): tensor for tensor in response.output_tensors()})


@pytest.fixture
def callers(triton: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callers]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Callers(triton, tmp_path)
    yield made
    forget("ensemblegen_runtime")


def branch(callers: Callers, condition: str, otherwise: str, **bls: Any) -> None:
    head = STEP % ("big", "big", "{x: x, level: level}", OUT)
    head += f"    when: {condition}\n    else: {otherwise}\n"
    if bls:
        head += f"    bls: {bls}\n".replace("'", "")
    tail = STEP % ("small", "small", "{x: x}", OUT) if otherwise == "small" else ""
    callers.load(head + tail, "{Y: big.y, WORD: big.word}", "p_big_when")
    callers.serve("p_big", lambda x, level=None: {"y": x * 2, "word": words("big", x)})
    callers.serve("p_small", lambda x: {"y": -x, "word": words("small", x)})


def words(word: str, x: Any) -> Any:
    return numpy.array([[word.encode()]] * len(x), dtype=object)


def rows(*values: float) -> Any:
    return numpy.array([[value, 1] for value in values], numpy.float32)


def langs(*values: bytes) -> Any:
    return numpy.array([[value] for value in values], dtype=object)


def chosen(answer: Answer) -> list[str]:
    assert answer.error is None, answer.error
    return [each.decode() for each in answer["word"][:, 0]]


def test_each_row_goes_where_it_belongs_and_comes_back_in_its_place(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")
    (answer,) = callers.ask({"x": rows(1, -2, 3, -4)})
    assert answer["y"].tolist() == [[2, 2], [2, -1], [6, 2], [4, -1]]
    assert chosen(answer) == ["big", "small", "big", "small"]
    assert callers.calls == [("p_big", 2), ("p_small", 2)]


def test_nothing_is_called_for_no_row(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")
    one, other = callers.ask({"x": rows(1, 2)}, {"x": rows(-1)})
    assert chosen(one) == ["big", "big"]
    assert chosen(other) == ["small"]
    assert callers.calls == [("p_big", 2), ("p_small", 1)]


def test_constants_and_other_tensors_stand_in(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "{y: {from: x}, word: none}")
    (answer,) = callers.ask({"x": rows(1, -2)})
    assert answer["y"].tolist() == [[2, 2], [-2, 1]]
    assert chosen(answer) == ["big", "none"]
    (answer,) = callers.ask({"x": rows(-2)})
    assert chosen(answer) == ["none"]
    assert callers.calls == [("p_big", 1)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("x[0] > 0", "bsb"),
        ("not x[0] > 0", "sbs"),
        ("0 < x[0] <= 1", "bss"),
        ("x[-1] == 1 and x[0] != 3", "bbs"),
        ("x[0] == 3 or x[0] == -2", "sbb"),
        ("max(x) >= 2", "ssb"),
        ("min(x) < 1", "sbs"),
        ("len(x) == 2", "bbb"),
        ('lang == "en"', "bss"),
        ('lang in ("en", "tensor")', "bsb"),
        ('lang not in ["en", "tensor"]', "sbs"),
        ("level == 0.1", "bbb"),
        ("level < 0.1", "sss"),
        ("x[0] > level", "bsb"),
        ("x[0] < 1e300", "bbb"),
        ("not false", "bbb"),
        ('lang == "" or false', "sss"),
    ],
)
def test_conditions(condition: str, expected: str, callers: Callers) -> None:
    branch(callers, condition if '"' not in condition else f"'{condition}'", "small")
    values = {"x": rows(1, -2, 3), "lang": langs(b"en", b"", b"tensor")}
    asked = {name: values[name] for name in ("x", "lang") if name == "x" or name in condition}
    if condition.startswith('lang == ""'):
        asked["lang"] = langs(b"a", b"b", b"c")
    (answer,) = callers.ask(asked)
    assert "".join(each[0] for each in chosen(answer)) == expected


def test_nan_meets_no_comparison(callers: Callers) -> None:
    branch(callers, "x[0] > 0 or x[0] <= 0", "small")
    (answer,) = callers.ask({"x": rows(float("nan"), 0)})
    assert chosen(answer) == ["small", "big"]


def test_an_element_that_is_not_there_is_the_clients_mistake(callers: Callers) -> None:
    branch(callers, "x[2] > 0", "small")
    wrong, right = callers.ask({"x": rows(1)}, {"x": numpy.ones((1, 3), numpy.float32)})
    assert wrong.error == "[p.big pipeline.yaml:8] the condition reads [2] of 'x', which has 2"
    assert wrong.code == callers.triton.TritonError.INVALID_ARG
    assert chosen(right) == ["big"]


def test_branches_must_agree_in_shape(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")
    callers.serve("p_small", lambda x: {"y": -x[:, :1], "word": words("small", x)})
    mixed, alike = callers.ask({"x": rows(1, -1)}, {"x": rows(-1)})
    assert "output 'y' is float32[1] and float32[2] for different rows" in str(mixed.error)
    assert alike["y"].tolist() == [[1]]


def test_what_a_model_gives_must_be_as_declared(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")
    callers.serve("p_big", lambda x, level=None: {"y": x > 0, "word": words("big", x)})
    callers.serve("p_small", lambda x: {"word": words("small", x)})
    wrong, missing = callers.ask({"x": rows(1)}, {"x": rows(-1)})
    assert wrong.error == ("[p.big pipeline.yaml:8] output 'y' came as bool, but fp32 is declared")
    assert missing.error == "[p.small pipeline.yaml:14] p_small gave no output 'y'"


def test_errors_are_their_owners_alone(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")

    def big(x: Any, level: Any = None) -> dict[str, Any]:
        if (x > 90).any():
            raise ValueError("[p.big pipeline.yaml:8] too large")
        if (x > 80).any():
            raise ValueError("out of memory")
        return {"y": x, "word": words("big", x)}

    callers.serve("p_big", big)
    del callers.triton.Served.models["p_small"]
    ours, plain, gone, fine = callers.ask(
        {"x": rows(1, 99)}, {"x": rows(85)}, {"x": rows(-1, 1)}, {"x": rows(1)}
    )
    assert ours.error == "[p.big pipeline.yaml:8] too large"
    assert plain.error == "[p.big pipeline.yaml:8] out of memory"
    assert plain.code == callers.triton.TritonError.INVALID_ARG
    assert "[p.small pipeline.yaml:14]" in str(gone.error)
    assert "'p_small' is not ready" in str(gone.error)
    assert chosen(fine) == ["big"]


def test_what_a_request_brings_is_handed_on(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "small")
    callers.ask({"x": rows(1)}, request_id="7", timeout=5, trace="t", parameters={"a": 1})
    (call,) = callers.triton.Served.asked
    assert call.options["request_id"] == "7"
    assert call.options["timeout"] == 5
    assert call.options["trace"] == "t"
    assert call.options["parameters"] == {"a": 1}
    assert call.options["model_version"] == -1
    assert call.options["preferred_memory"].memory == "CPU"


def test_torch_tensors(callers: Callers) -> None:
    branch(callers, "x[0] > 0", "{y: {from: x}, word: none}", arrays="torch")
    (answer,) = callers.ask({"x": rows(1, -2)})
    assert answer["y"].tolist() == [[2, 2], [-2, 1]]
    assert "preferred_memory" not in callers.triton.Served.asked[0].options


EACH = "{sum: {dtype: fp32, shape: [2]}, text: {dtype: string, shape: [1]}}"


def fan(callers: Callers, over: str, **more: Any) -> None:
    step = STEP % ("each", "each", "{item: items, name: names, x: x}", EACH)
    step += f"    map: {over}\n"
    step += "".join(f"    {key}: {value}\n" for key, value in more.items())
    callers.load(step, "{SUM: each.sum, TEXT: each.text}", "p_each_map")
    callers.serve(
        "p_each",
        lambda item, name, x: {"sum": item + x[..., :1], "text": name},
    )


def made(count: int, size: int) -> dict[str, Any]:
    items = numpy.arange(count * size * 2, dtype=numpy.float32).reshape(count, size, 2)
    names = numpy.array([b"%d" % i for i in range(count * size)], dtype=object)
    return {
        "items": items,
        "names": names.reshape(count, size, 1),
        "x": numpy.arange(count, dtype=numpy.float32)[:, None] * 100,
    }


def test_all_items_of_all_rows_together(callers: Callers) -> None:
    fan(callers, "[items, names]")
    given = made(2, 3)
    (answer,) = callers.ask(given)
    assert callers.calls == [("p_each", 6)]
    numpy.testing.assert_array_equal(answer["sum"], given["items"] + given["x"][:, None])
    assert answer["text"].tolist() == given["names"].tolist()


@pytest.mark.parametrize(("size", "calls"), [(4, [2, 4, 4]), (16, [10]), (0, [1] * 10)])
def test_as_many_calls_as_the_models_batch_asks_for(
    size: int, calls: list[int], callers: Callers
) -> None:
    fan(callers, "[items, names]", max_batch_size=size)
    given = made(2, 5)
    (answer,) = callers.ask(given)
    if size:
        assert [rows for _, rows in callers.calls] == calls
    else:
        assert {each.inputs()[0].as_numpy().shape for each in callers.triton.Served.asked} == {(2,)}
        assert len(callers.calls) == 10
    numpy.testing.assert_array_equal(answer["sum"], given["items"] + given["x"][:, None])
    assert answer["text"].tolist() == given["names"].tolist()


def test_padding_is_not_run(callers: Callers) -> None:
    fan(callers, "{over: [items, names], counts: count}")
    given = {**made(3, 4), "count": numpy.array([[2], [0], [4]], numpy.int32)}
    (answer,) = callers.ask(given)
    assert callers.calls == [("p_each", 6)]
    real = numpy.arange(4)[None] < given["count"]
    expected = (given["items"] + given["x"][:, None]) * real[..., None]
    numpy.testing.assert_array_equal(answer["sum"], expected)
    assert answer["text"][:, :, 0].tolist()[0] == [b"0", b"1", b"", b""]
    assert answer["text"][1].tolist() == [[b""]] * 4


@pytest.mark.parametrize(("size", "count"), [(0, 0), (3, 0)])
def test_nothing_is_called_for_no_item(size: int, count: int, callers: Callers) -> None:
    fan(callers, "{over: [items, names], counts: count}")
    given = {**made(2, size), "count": numpy.full((2, 1), count, numpy.int32)}
    (answer,) = callers.ask(given)
    assert callers.calls == []
    assert answer["sum"].tolist() == [[[0, 0]] * size] * 2
    assert answer["sum"].dtype == numpy.float32
    assert answer["text"].shape == (2, size, 1)


def test_counts_and_items_must_fit(callers: Callers) -> None:
    fan(callers, "{over: [items, names], counts: count}")
    given = {**made(1, 2), "count": numpy.array([[3]], numpy.int32)}
    fewer = {**given, "names": given["names"][:, :1]}
    many, differ = callers.ask(given, fewer)
    assert many.error == "[p.each pipeline.yaml:10] 'count' says 3 items, and there are 2"
    assert "differ in their number of items: {'items': 2, 'names': 1}" in str(differ.error)


def test_calls_must_agree_in_shape(callers: Callers) -> None:
    fan(callers, "[items, names]", max_batch_size=4)
    callers.serve("p_each", lambda item, name, x: {"sum": item[:, : len(item)], "text": name})
    (answer,) = callers.ask(made(1, 5))
    assert answer.error == (
        "[p.each pipeline.yaml:9] its calls gave 'sum' in different shapes: [1], [2]"
    )


def test_without_a_batch_axis_the_request_is_the_row(callers: Callers) -> None:
    head = STEP % ("big", "big", "{x: x, level: level}", OUT) + "    when: x[0] > 0\n"
    tail = "    else: {y: {from: x}, word: none}\n"
    callers.load(head + tail, "{Y: big.y, WORD: big.word}", "p_big_when", batch=0)
    callers.serve("p_big", lambda x, level: {"y": x * 2, "word": words("big", level)[0]})
    one, other = callers.ask({"x": rows(1)[0]}, {"x": rows(-1)[0]})
    assert (one["y"].tolist(), one["word"].tolist()) == ([2, 2], [b"big"])
    assert (other["y"].tolist(), other["word"].tolist()) == ([-1, 1], [b"none"])


def test_without_a_batch_axis_items_may_still_go_together(callers: Callers) -> None:
    step = STEP % ("each", "each", "{item: items, name: names, x: x}", EACH)
    more = "    map: [items, names]\n    max_batch_size: 4\n"
    callers.load(step + more, "{SUM: each.sum, TEXT: each.text}", "p_each_map", batch=0)
    callers.serve("p_each", lambda item, name, x: {"sum": item + x, "text": name})
    given = {name: each[0] for name, each in made(2, 5).items()}
    (answer,) = callers.ask(given)
    assert callers.calls == [("p_each", 1), ("p_each", 4)]
    numpy.testing.assert_array_equal(answer["sum"], given["items"])
    assert answer["text"].tolist() == given["names"].tolist()


def test_it_brings_only_what_it_needs(callers: Callers) -> None:
    import zipfile

    branch(callers, "x[0] > 0", "small")
    repository = callers.folder / "repository"

    def inside(model: str) -> set[str]:
        with zipfile.ZipFile(repository / model / "1" / "ensemblegen_runtime.zip") as archive:
            return {Path(each).stem for each in archive.namelist()}

    assert not any(each.startswith("bls_") for each in inside("p_big"))
    calling = inside("p_big_when")
    assert {"bls_model", "bls_branch", "failure", "arrays"} <= calling
    assert not {"fused", "stage", "step", "inputs", "outputs"} & calling
    assert {each.name for each in (repository / "p_big_when" / "1").iterdir()} == {
        "model.py", "step.json", "ensemblegen_runtime.zip",
    }  # fmt: skip
