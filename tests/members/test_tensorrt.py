"""Steps of the kind tensorrt: their signature, their arguments for trtexec, their configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import examine, make_plan
from ensemblegen.content import Linked
from ensemblegen.emit.files import files
from ensemblegen.members.tensorrt import recipe_of
from tests.artifacts import onnx_wire as wire

PLAN = b"ftrt" + bytes(200)
HEAD = """\
ensemblegen: 1
name: p
max_batch_size: 8
device: gpu
inputs:
  x: {dtype: fp32, shape: [4]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tokens = [wire.value(name, wire.tensor(wire.INT64, ["b", "seq"])) for name in ("ids", "mask")]
    logits = wire.value("logits", wire.tensor(wire.FLOAT, ["b", 2]))
    (tmp_path / "tokens.onnx").write_bytes(wire.model(tokens, [logits]))
    x, y = (wire.value(name, wire.tensor(wire.FLOAT, ["b", 4])) for name in "xy")
    (tmp_path / "flat.onnx").write_bytes(wire.model([x], [y]))
    one = wire.value("x", wire.tensor(wire.FLOAT, [1, 4]))
    (tmp_path / "one.onnx").write_bytes(wire.model([one], [y]))
    (tmp_path / "model.plan").write_bytes(PLAN)
    return tmp_path


def written(place: Path, step: str, head: str = HEAD) -> Path:
    path = place / "pipeline.yaml"
    path.write_text(f"{head}steps:\n  a: {step}\noutputs: {{Y: a.y}}\n")
    return path


def arguments(path: Path) -> tuple[str, ...]:
    (member,) = make_plan(path).members
    recipe = recipe_of(member)
    assert recipe is not None
    return recipe.arguments


def told(path: Path) -> list[tuple[str, str]]:
    return [(each.code, each.message) for each in examine(path).problems]


def config(path: Path) -> str:
    made = files(make_plan(path))["p_a/config.pbtxt"]
    assert isinstance(made, bytes)
    return made.decode()


def test_a_plan_takes_what_comes_and_gives_what_its_author_says(place: Path) -> None:
    step = "{tensorrt: model.plan, inputs: {x: x}, outputs: {y: {dtype: fp16, shape: [boxes, 6]}}}"
    path = written(place, step)
    made = files(make_plan(path))
    assert made["p_a/1/model.plan"] == Linked(place / "model.plan")
    assert not [name for name in made if "trtexec" in name or "build_plan" in name]
    text = config(path)
    assert 'backend: "tensorrt"' in text
    assert "dims: [ 4 ]" in text
    assert "dims: [ -1, 6 ]" in text
    assert "KIND_GPU" in text
    assert "profile" not in text


def test_only_the_gpu_variant_is_made(place: Path) -> None:
    step = "{tensorrt: model.plan, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [4]}}}"
    configs = [name for name in files(make_plan(written(place, step))) if "configs/" in name]
    assert configs == ["p_a/configs/gpu.pbtxt"]


def test_words_of_the_config(place: Path) -> None:
    step = "{tensorrt: model.plan, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [4]}}, "
    text = config(written(place, f"{step}profile: [1, 3], cuda_graphs: true}}"))
    assert 'profile: [ "1", "3" ]' in text
    assert "optimization { cuda { graphs: true } }" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"short", "has 5 bytes"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\x08\x07" + bytes(100), "an ONNX model"),
        (b'\x14\0\0\0{"description": "Ul"}' + PLAN, "begins with JSON"),
    ],
)
def test_what_is_known_to_be_no_plan(place: Path, content: bytes, words: str) -> None:
    (place / "model.plan").write_bytes(content)
    step = "{tensorrt: model.plan, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [4]}}}"
    ((code, message),) = told(written(place, step))
    assert code == "E402"
    assert words in message


def test_a_plan_needs_outputs(place: Path) -> None:
    ((code, message),) = told(written(place, "{tensorrt: model.plan, inputs: {x: x}}"))
    assert (code, message) == (
        "E305",
        "step 'a' must declare its outputs: a plan cannot be read here",
    )


def test_the_types_of_a_plans_inputs(place: Path) -> None:
    step = (
        "{tensorrt: model.plan, inputs: {x: {from: x, dtype: fp16, shape: [4]}}, "
        "outputs: {y: {dtype: fp32, shape: [4]}}}"
    )
    assert [code for code, _ in told(written(place, step))] == ["E301"]
    half = step.replace(", shape: [4]}}, ", "}}, ")
    with pytest.raises(Exception, match="needs a shape too"):
        told(written(place, half))


def test_strings_are_not_for_tensorrt(place: Path) -> None:
    step = "{tensorrt: model.plan, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [4]}}}"
    head = HEAD.replace("fp32", "string")
    assert [code for code, _ in told(written(place, step, head))] == ["E405"]


def test_the_batch_alone_needs_no_profile(place: Path) -> None:
    path = written(place, "{tensorrt: {onnx: flat.onnx}, inputs: {x: x}}")
    assert arguments(path) == (
        "--minShapes=x:1x4",
        "--optShapes=x:8x4",
        "--maxShapes=x:8x4",
        "--skipInference",
    )


def test_all_words_of_a_recipe(place: Path) -> None:
    engine = (
        "{onnx: flat.onnx, precision: [fp16, bf16], workspace: 2GiB, "
        "flags: [--builderOptimizationLevel=5], profiles: ["
        "{min: {x: [1, 4]}, max: {x: [2, 4]}}, {min: {x: [3, 4]}, max: {x: [8, 4]}}]}"
    )
    path = written(place, f"{{tensorrt: {engine}, inputs: {{x: x}}}}")
    assert arguments(path) == (
        "--fp16",
        "--bf16",
        "--memPoolSize=workspace:2048M",
        "--profile=0",
        "--minShapes=x:1x4",
        "--optShapes=x:2x4",
        "--maxShapes=x:2x4",
        "--profile=1",
        "--minShapes=x:3x4",
        "--optShapes=x:8x4",
        "--maxShapes=x:8x4",
        "--skipInference",
        "--builderOptimizationLevel=5",
    )
    # Without them Triton would use the first alone.
    assert 'profile: [ "0", "1" ]' in config(path)


def test_a_model_without_batches_has_no_profile(place: Path) -> None:
    y = wire.value("y", wire.tensor(wire.FLOAT, [1, 4]))
    x = wire.value("x", wire.tensor(wire.FLOAT, [1, 4]))
    (place / "one.onnx").write_bytes(wire.model([x], [y]))
    head = HEAD.replace("max_batch_size: 8", "max_batch_size: 0").replace("[4]", "[1, 4]")
    path = written(place, "{tensorrt: {onnx: one.onnx}, inputs: {x: x}}", head)
    assert arguments(path) == ("--skipInference",)


def test_a_fixed_batch_takes_no_batches(place: Path) -> None:
    path = written(place, "{tensorrt: {onnx: one.onnx}, inputs: {x: x}}")
    ((code, message),) = told(path)
    assert code == "E467"
    assert "'x' of one.onnx is [1, 4]: its first size is fixed" in message


@pytest.mark.parametrize(
    ("declared", "code"), [("dtype: fp16, shape: [4]", "E461"), ("dtype: fp32, shape: [5]", "E462")]
)
def test_a_recipe_whose_inputs_are_declared(place: Path, declared: str, code: str) -> None:
    step = f"{{tensorrt: {{onnx: flat.onnx}}, inputs: {{x: {{from: x, {declared}}}}}}}"
    assert [found for found, _ in told(written(place, step))] == [code]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("{precision: fp16}", "needs a plan, or an onnx file"),
        ("{plan: model.plan, onnx: flat.onnx}", "needs a plan, or an onnx file"),
        ("{plan: model.plan, precision: fp16}", "has a plan, which needs no precision"),
        ("{onnx: flat.onnx, workspace: 4}", "such as 512MiB or 4GiB"),
        ("{onnx: flat.onnx, workspace: 0MiB}", "such as 512MiB or 4GiB"),
        ("{onnx: flat.onnx, precision: fp12}", "precision"),
    ],
)
def test_what_may_stand_in_it(place: Path, engine: str, words: str) -> None:
    with pytest.raises(Exception, match=words):
        told(written(place, f"{{tensorrt: {engine}, inputs: {{x: x}}}}"))


def test_scales_are_found(place: Path) -> None:
    step = "{tensorrt: {onnx: flat.onnx, precision: int8}, inputs: {x: x}}"
    assert [code for code, _ in told(written(place, step))] == ["E495"]
    flat = place / "flat.onnx"
    flat.write_bytes(flat.read_bytes() + wire.field(2, "QuantizeLinear"))
    assert not told(written(place, step))


@pytest.mark.parametrize(("tokens", "codes"), [(1, []), (64, []), (65, ["E493"])])
def test_sizes_that_the_pipeline_fixes(place: Path, tokens: int, codes: list[str]) -> None:
    engine = "{onnx: tokens.onnx, profiles: [{min: {ids: [1, 1]}, max: {ids: [8, 64]}}]}"
    path = place / "pipeline.yaml"
    given = f"{{dtype: int64, shape: [{tokens}]}}"
    path.write_text(
        "ensemblegen: 1\nname: p\nmax_batch_size: 8\ndevice: gpu\n"
        f"inputs: {{i: {given}, m: {{dtype: int64, shape: [n]}}}}\n"
        f"steps:\n  a: {{tensorrt: {engine}, inputs: {{ids: i, mask: m}}}}\n"
        "outputs: {Y: a.logits}\n"
    )
    assert sorted({code for code, _ in told(path)}) == codes


def test_a_single_value_has_no_range(place: Path) -> None:
    x = wire.value("x", wire.tensor(wire.FLOAT, ["b"]))
    y = wire.value("y", wire.tensor(wire.FLOAT, ["b"]))
    (place / "flat.onnx").write_bytes(wire.model([x], [y]))
    path = written(
        place, "{tensorrt: {onnx: flat.onnx}, inputs: {x: x}}", HEAD.replace("[4]", "[1]")
    )
    assert not told(path)
    assert config(path).count("dims: [ 1 ]") == config(path).count("reshape {") == 2
    assert "--maxShapes=x:8" in arguments(path)


def test_a_name_that_trtexec_cannot_take(place: Path) -> None:
    x = wire.value("a,b", wire.tensor(wire.FLOAT, ["b", 4]))
    y = wire.value("y", wire.tensor(wire.FLOAT, ["b", 4]))
    (place / "flat.onnx").write_bytes(wire.model([x], [y]))
    step = '{tensorrt: {onnx: flat.onnx}, inputs: {"a,b": x}}'
    assert [code for code, _ in told(written(place, step))] == ["E493"]
