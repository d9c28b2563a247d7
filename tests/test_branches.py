"""What a step with `when` or `map` becomes: models, edges, devices, report and manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.branches import condition
from ensemblegen.branches.condition import ConditionError
from ensemblegen.cli.app import main
from ensemblegen.compile import make_plan
from ensemblegen.drawing import picture
from ensemblegen.emit import config
from ensemblegen.emit.files import files
from ensemblegen.members.bls import calls_of
from ensemblegen.placement import Choice
from ensemblegen.plan import Plan
from ensemblegen.traffic import edges
from ensemblegen.types import DType, Tensor

STEPS = """\
def before(x): ...
def big(x): ...
def small(x): ...
def each(item, x): ...
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 8
inputs: {x: {dtype: fp32, shape: [4]}, boxes: {dtype: fp32, shape: [boxes, 4]}}
steps:
  before:
    python: steps.py:before
    inputs: {x: x}
    outputs: {x: {dtype: fp32, shape: [4]}, score: {dtype: fp32, shape: [1]}}
  big:
    when: before.score > 0.5
    python: steps.py:big
    inputs: {x: before.x}
    outputs: {y: {dtype: fp32, shape: [4]}, unused: {dtype: fp32, shape: [1]}}
    else: small
    warmup: zeros
  small:
    python: steps.py:small
    inputs: {x: before.x}
    outputs: {y: {dtype: fp32, shape: [4]}}
    instances: 3
  each:
    map: boxes
    python: steps.py:each
    inputs: {item: boxes, x: big.y}
    outputs: {z: {dtype: fp32, shape: [2]}}
    max_batch_size: 2
    warmup: zeros
    bls: {instances: 5, model: mapper}
outputs: {Z: each.z}
"""
INNER = """\
ensemblegen: 1
name: inner
max_batch_size: 8
inputs: {t: {dtype: fp32, shape: [4]}}
steps:
  before:
    python: steps.py:small
    inputs: {x: t}
    outputs: {y: {dtype: fp32, shape: [4]}}
outputs: {x: before.y}
"""
BORROWED = """\
  reused:
    when: before.x[0] > 0
    reuse: before
    inputs: {x: before.x}
    else: nested
  nested:
    ensemble: inner.yaml
    inputs: {t: before.x}
outputs: {Y: reused.x}
"""
DEPLOYED = """\
  first:
    when: before.x[0] > 0
    python: steps.py:small
    inputs: {x: before.x}
    outputs: {y: {dtype: fp32, shape: [4]}}
    else: last
  last:
    deployed: old
    repository: there
    inputs: {x: before.x}
outputs: {Y: first.y}
"""
OLD = """\
name: "old"
backend: "python"
max_batch_size: 3
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    return tmp_path


def plan_of(folder: Path, old: str = "", new: str = "", choice: Choice | None = None) -> Plan:
    assert old in PIPELINE
    (folder / "pipeline.yaml").write_text(PIPELINE.replace(old, new) if old else PIPELINE)
    return make_plan(folder / "pipeline.yaml", choice or Choice())


def test_one_small_model_around_that_part_and_an_ensemble_around_all(folder: Path) -> None:
    plan = plan_of(folder)
    assert [each.model for each in plan.wiring] == ["p_before", "p_big_when", "mapper"]
    models = {each.model: each for each in plan.members}
    assert list(models) == ["p_before", "p_big_when", "p_big", "p_small", "mapper", "p_each"]
    when, mapped = models["p_big_when"], models["mapper"]
    assert [each.name for each in when.inputs] == ["before.x", "before.score"]
    assert [each.name for each in when.outputs] == ["y"]
    assert [each.model for each in calls_of(when)] == ["p_big", "p_small"]
    assert [str(each.tensor) for each in mapped.inputs] == ["fp32[boxes, 4]", "fp32[4]"]
    assert [str(each.tensor) for each in mapped.outputs] == ["fp32[boxes, 2]"]
    assert [str(each.tensor) for each in models["p_each"].inputs] == ["fp32[4]", "fp32[4]"]
    assert str(plan.outputs[0].tensor) == "fp32[boxes, 2]"


def test_configs(folder: Path) -> None:
    plan = plan_of(folder)
    models = {each.model: config.member(plan, each, "cpu") for each in plan.members}
    mapped = models["mapper"]
    assert mapped.instance_group[0].count == 5
    assert mapped.max_batch_size == 8
    assert mapped.HasField("dynamic_batching")
    assert [each.allow_ragged_batch for each in mapped.input] == [True, False]
    assert models["p_each"].max_batch_size == 2
    assert models["p_small"].instance_group[0].count == 3


def test_models_are_warmed_up_and_not_those_that_call_them(folder: Path) -> None:
    plan = plan_of(folder)
    found = {
        each.model: [list(one.inputs["item" if each.step == "each" else "x"].dims)
                     for one in config.member(plan, each, "cpu").model_warmup]
        for each in plan.members
    }  # fmt: skip
    assert {model: dims for model, dims in found.items() if dims} == {
        "p_big": [[4]],
        "p_each": [[4]],
    }


def test_nothing_of_it_is_fused(folder: Path) -> None:
    plan = plan_of(folder, choice=Choice(fuse=True))
    assert [each.model for each in plan.members] == [
        "p_before", "p_big_when", "p_big", "p_small", "mapper", "p_each",
    ]  # fmt: skip


def test_edges_lead_through_the_calling_model_and_back(folder: Path) -> None:
    traffic = edges.trace(plan_of(folder))
    found = [(each.source.name, each.target.name, each.returns) for each in traffic.edges]
    assert found == [
        ("x", "before.x", False),
        ("before.x", "big.when.before.x", False),
        ("before.score", "big.when.before.score", False),
        ("big.y", "big.when.y", True),
        ("small.y", "big.when.y", True),
        ("big.when.before.x", "big.x", False),
        ("big.when.before.x", "small.x", False),
        ("boxes", "each.map.boxes", False),
        ("big.when.y", "each.map.big.y", False),
        ("each.z", "each.map.z", True),
        ("each.map.boxes", "each.item", False),
        ("each.map.big.y", "each.x", False),
        ("each.map.z", "Z", False),
    ]
    sizes = {each.target.name: str(each.item) for each in traffic.edges}
    assert sizes["each.item"] == "16 x boxes"
    assert sizes["each.map.z"] == "8 x boxes"


def test_a_picture_has_no_line_that_leads_back(folder: Path) -> None:
    drawn = picture.of(edges.trace(plan_of(folder)))
    assert all(line.source < line.target for line in drawn.lines)
    details = {box.name: box.detail for box in drawn.boxes}
    assert details["big.when"] == "python, cpu, calls big, small"


@pytest.mark.parametrize(
    ("arrays", "device", "where"), [("", "cpu", "shared memory"), ("torch", "gpu", "gpu 0")]
)
def test_with_torch_nothing_leaves_the_gpu(
    arrays: str, device: str, where: str, folder: Path
) -> None:
    (folder / "steps.py").write_text(STEPS)
    text = PIPELINE.replace("    outputs", "    arrays: torch\n    outputs")
    text = text.replace("    else: small\n", f"    else: small\n    bls: {{arrays: {arrays}}}\n")
    text = text.replace("    bls: {arrays: }\n", "")
    (folder / "pipeline.yaml").write_text(text)
    plan = make_plan(folder / "pipeline.yaml", Choice(device="gpu"))
    assert plan.devices["big.when"] == device
    traffic = edges.trace(plan)
    ends = {each.target.name: each for each in traffic.edges}
    assert ends["big.when.before.x"].target.where == where
    assert ends["big.x"].crosses_device is (device == "cpu")
    assert ends["each.map.big.y"].target.where == "shared memory"


def test_copies_are_refused_where_the_step_stands(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PIPELINE.replace("    outputs", "    arrays: torch\n    outputs")
    (folder / "pipeline.yaml").write_text(text)
    with pytest.raises(SystemExit, match="1"):
        main(["graph", str(folder / "pipeline.yaml"), "--device", "gpu", "--forbid-copies"])
    told = capsys.readouterr().err
    assert "pipeline.yaml:11:3: error E515" in told
    assert "at 'big.when', add `bls: {arrays: torch}`" in told


def test_the_manifest_and_the_report_name_what_is_called(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["compile", str(folder / "pipeline.yaml"), "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert told["bls"] == [
        {
            "model": "p_big_when",
            "calls": ["p_big", "p_small"],
            "why": "'big' runs where before.score > 0.5; 'small' on the others",
        },
        {"model": "mapper", "calls": ["p_each"], "why": "'each' runs on each item of boxes"},
    ]
    written = json.loads((folder / "build/repository/manifest.json").read_text())
    calls = {each["name"]: each["calls"] for each in written["models"] if "calls" in each}
    assert calls == {"p_big_when": ["p_big", "p_small"], "mapper": ["p_each"]}


def test_any_kind_of_step_can_be_called(folder: Path) -> None:
    (folder / "inner.yaml").write_text(INNER)
    begin = PIPELINE.partition("  big:")[0]
    text = begin.replace(", boxes: {dtype: fp32, shape: [boxes, 4]}", "") + BORROWED
    (folder / "pipeline.yaml").write_text(text)
    plan = make_plan(folder / "pipeline.yaml")
    assert [each.model for each in plan.members] == ["p_before", "p_reused_when"]
    (call, other) = calls_of(plan.members[1])
    assert (call.model, other.model) == ("p_before", "inner")
    assert "inner_before/config.pbtxt" in files(plan)
    names = [each.name for each in edges.trace(plan).steps]
    assert names == ["before", "reused.when", "reused", "nested/before"]


def test_a_model_that_is_there_already_can_be_called(folder: Path) -> None:
    there = folder / "there" / "old"
    (there / "1").mkdir(parents=True)
    (there / "1" / "model.py").write_text("")
    (there / "config.pbtxt").write_text(OLD)
    begin = PIPELINE.partition("  big:")[0]
    text = begin.replace(", boxes: {dtype: fp32, shape: [boxes, 4]}", "") + DEPLOYED
    (folder / "pipeline.yaml").write_text(text)
    plan = make_plan(folder / "pipeline.yaml")
    (call, other) = calls_of(plan.members[1])
    assert (call.model, call.max_batch_size) == ("p_first", 8)
    assert (other.model, other.max_batch_size, other.inputs) == ("old", 3, {"x": "before.x"})
    assert [each.model for each in plan.deployed] == ["old"]
    assert "old" in {each.member.model for each in edges.trace(plan).steps}


def test_without_batches_the_request_is_the_item(folder: Path) -> None:
    plan = plan_of(folder, "max_batch_size: 8", "max_batch_size: 0")
    sizes = {each.model: each.max_batch_size for each in plan.members}
    assert sizes == {
        "p_before": 0, "p_big_when": 0, "p_big": 0, "p_small": 0, "mapper": 0, "p_each": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__.__bases__",
        "[y for y in x]",
        "(lambda: 1)()",
        "x if x else y",
        "f'{x}'",
        "x[0:1] > 0",
        "x[y] > 0",
        "max(x, y) > 0",
        "len(x=1) > 0",
        "x is None",
        "(y := x)",
        "x @ y > 0",
        "b'bytes' == x",
        "None == x",
        "1j == x",
        "x in ()",
        "x in (y,)",
        "x > 0 in (1, 2)",
        "-lang > 0",
        "len(len(x)) > 0",
        "a.b.c > 0",
        "(" * 300 + "x" + ")" * 300,
        "not " * 2000 + "x",
        "x\0",
        "",
        "x; y",
    ],
)
def test_nothing_but_conditions_is_read(text: str) -> None:
    with pytest.raises(ConditionError):
        condition.parse(text)


def test_references_in_their_order() -> None:
    found = condition.parse("b.y > a and max(b.y) < c[0] or lang in ('tensor', 'a') or true")
    assert found.references == ("b.y", "a", "c", "lang")


@pytest.mark.parametrize(
    ("text", "tensors", "told"),
    [
        ("x > 0", {"x": "fp32[1, 1]"}, None),
        ("x[0][1] > 0", {"x": "fp32[1, 2]"}, None),
        ("x[0] > 0", {"x": "fp32[n, 2]"}, "which of its numbers?"),
        ("x[-3] > 0", {"x": "fp32[2]"}, "it has no [-3]"),
        ("x[7] > 0", {"x": "fp32[n]"}, None),
        ("x and y > 0", {"x": "bool[1]", "y": "uint8[1]"}, None),
        ("x == true", {"x": "bool[1]"}, None),
        ("x > true", {"x": "bool[1]"}, "has no order"),
        ("not x", {"x": "fp32[1]"}, "`not` is of true and false"),
        ("x in (1, 'a')", {"x": "int64[1]"}, "a number is compared with a string"),
        ("max(x) > 0", {"x": "string[3]"}, "no numbers"),
        ("max(x) == 1", {"x": "bool[3]"}, "no numbers"),
        ("x > 0", {"x": "bf16[1]"}, "bf16"),
        ("x > 0", {}, None),
        ("x", {}, None),
        ("'a'", {}, "it gives a string"),
    ],
)
def test_types(text: str, tensors: dict[str, str], told: str | None) -> None:
    known = {name: _tensor(each) for name, each in tensors.items()}
    if told is None:
        condition.check(condition.parse(text), known)
        return
    with pytest.raises(ConditionError) as error:
        condition.check(condition.parse(text), known)
    assert told in str(error.value)


def _tensor(text: str) -> Tensor:
    dtype, _, shape = text.rstrip("]").partition("[")
    dims: list[Any] = [int(dim) if dim.isdigit() else dim for dim in shape.split(", ")]
    return Tensor(DType(dtype), tuple(dims))
