"""What tensorflow and dali steps become: fields, files and places; the models have only ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ensemblegen import compile as compiler
from ensemblegen.artifacts import dali_definition
from ensemblegen.content import Linked
from ensemblegen.emit import config
from ensemblegen.emit.files import files
from ensemblegen.placement import Choice
from ensemblegen.plan import Plan
from ensemblegen.traffic import edges
from tests.artifacts import dali_wire, tensorflow_wire

ROWS = {"x": {"dtype": "fp32", "shape": [4]}}
TEXTS = {"text": {"dtype": "string", "shape": [1]}}
BYTES = {"jpeg": {"dtype": "uint8", "shape": ["bytes"]}}
IMAGE: dict[str, Any] = {"image": {}, "size": {"dtype": "int64", "shape": [3]}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "cache"))
    saved = tmp_path / "saved"
    (saved / "variables").mkdir(parents=True)
    (saved / ".git").mkdir()
    (saved / ".git" / "config").touch()
    (saved / "variables" / "variables.index").write_bytes(b"index")
    (saved / "saved_model.pb").write_bytes(tensorflow_wire.SAVED)
    (tmp_path / "frozen.pb").write_bytes(tensorflow_wire.FROZEN)
    (tmp_path / "two.dali").write_bytes(dali_wire.TWO)
    (tmp_path / "mixed.dali").write_bytes(dali_wire.MIXED)
    (tmp_path / "flip.py").write_bytes(
        b"from nvidia.dali import fn, types\n"
        b"def flip(device):\n"
        b"    given = fn.external_source(name='given', dtype=types.UINT8, ndim=3)\n"
        b"    return fn.flip(given.gpu() if device == 'gpu' else given)\n"
        b"def either():\n"
        b"    return fn.flip(fn.external_source(name='given', dtype=types.UINT8, ndim=3))\n"
    )
    return tmp_path


def checked(folder: Path, step: dict[str, Any], inputs: dict[str, Any], **more: Any) -> Any:
    """A pipeline of one step whose outputs are all its outputs."""
    names = step.pop("gives")
    data = {
        "ensemblegen": 1,
        "name": "p",
        "max_batch_size": 8,
        "inputs": inputs,
        "steps": {"a": step},
        "outputs": {f"OUT_{i}": f"a.{name}" for i, name in enumerate(names)},
        **more,
    }
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return compiler.examine(path, Choice(device=more.pop("on", None)))


def planned(folder: Path, step: dict[str, Any], inputs: dict[str, Any], **more: Any) -> Plan:
    found = checked(folder, step, inputs, **more)
    assert not found.wrong, found.problems
    plan: Plan = found.plan()
    return plan


def frozen(**more: Any) -> dict[str, Any]:
    scores = {"from": "scope/probs"}
    step = {"tensorflow": "frozen.pb", "inputs": {"any": "x"}, "outputs": {"scores": scores}}
    return {**step, "gives": ["scores"], **more}


def saved(**more: Any) -> dict[str, Any]:
    step = {"tensorflow": "saved", "inputs": {"x": "x", "text": "text"}}
    return {**step, "gives": ["scores", "length"], **more}


def paths(plan: Plan) -> list[str]:
    return [path for path in files(plan) if path.startswith("p_a/1/")]


def test_saved_model(folder: Path) -> None:
    plan = planned(folder, saved(threads=2, tag="serve"), ROWS | TEXTS)
    made = config.member(plan, plan.members[0], "cpu")
    assert (made.backend, made.platform) == ("tensorflow", "tensorflow_savedmodel")
    assert {key: each.string_value for key, each in made.parameters.items()} == {
        "TF_NUM_INTRA_THREADS": "2"
    }
    text = next(each for each in made.input if each.name == "text")
    assert (list(text.dims), text.HasField("reshape"), list(text.reshape.shape)) == ([1], True, [])
    assert made.instance_group[0].count == 1
    assert paths(plan) == [
        "p_a/1/model.savedmodel/saved_model.pb",
        "p_a/1/model.savedmodel/variables/variables.index",
    ]


def test_another_signature(folder: Path) -> None:
    step = {"tensorflow": "saved", "signature": "double", "inputs": {"rows": "x"}}
    plan = planned(folder, {**step, "gives": ["y"]}, ROWS)
    made = config.member(plan, plan.members[0], "cpu")
    assert made.parameters["TF_SIGNATURE_DEF"].string_value == "double"
    assert [each.name for each in made.input] == ["x"]


def test_one_output_under_another_name(folder: Path) -> None:
    step = {"tensorflow": "saved", "signature": "double", "inputs": {"x": "x"}}
    plan = planned(folder, {**step, "outputs": {"doubled": {}}, "gives": ["doubled"]}, ROWS)
    assert [(each.name, each.triton) for each in plan.members[0].outputs] == [("doubled", "y")]


def test_without_batches(folder: Path) -> None:
    """The first axis is then an axis like others."""
    rows = {"x": {"dtype": "fp32", "shape": ["rows", 4]}}
    plan = planned(folder, frozen(), rows, max_batch_size=0)
    made = config.member(plan, plan.members[0], "cpu")
    assert [list(each.dims) for each in (*made.input, *made.output)] == [[-1, 4], [-1, 3]]


@pytest.mark.parametrize(("gpu_io", "place"), [(True, "gpu"), (False, "host")])
def test_where_tensorflow_has_its_tensors(gpu_io: bool, place: str, folder: Path) -> None:
    plan = planned(folder, frozen(gpu_io=gpu_io), ROWS)
    member = plan.members[0]
    on_gpu = config.member(plan, member, "gpu").optimization.execution_accelerators
    names = [each.name for each in on_gpu.gpu_execution_accelerator]
    assert names == (["gpu_io"] if gpu_io else [])
    assert not config.member(plan, member, "cpu").HasField("optimization")
    for writes in (True, False):
        assert member.kind.memory(member, "gpu", plan.target, writes=writes).place == place
        assert member.kind.memory(member, "cpu", plan.target, writes=writes).place == "host"


def test_a_target_without_the_backend_is_compiled(folder: Path) -> None:
    found = checked(folder, frozen(), ROWS, target="25.03")
    assert [each.code for each in found.problems] == ["E448"]
    assert not found.wrong
    assert "p_a/1/model.graphdef" in files(found.plan())
    assert checked(folder, frozen(), ROWS, target="25.02").problems == ()


def test_serialized_pipeline(folder: Path) -> None:
    step = {"dali": "two.dali", "inputs": {"any": "jpeg"}, "outputs": IMAGE, "gives": IMAGE}
    plan = planned(folder, step, BYTES)
    made = config.member(plan, plan.members[0], "gpu")
    assert (made.backend, made.default_model_filename) == ("dali", "")
    assert made.parameters["num_threads"].string_value == "4"
    assert [(each.name, list(each.dims), each.allow_ragged_batch) for each in made.input] == [
        ("encoded", [-1], True)
    ]
    assert isinstance(files(plan)["p_a/1/model.dali"], Linked)


def test_a_pipeline_of_the_gpu_has_no_variant_for_the_cpu(folder: Path) -> None:
    picture = {"image": {"dtype": "uint8", "shape": ["h", "w", 3]}}
    step = {"dali": "mixed.dali", "inputs": {"encoded": "jpeg"}, "outputs": picture}
    plan = planned(folder, {**step, "gives": ["image"], "device": "gpu"}, BYTES)
    assert set(plan.variants) == {"gpu"}


def flip(function: str, **more: Any) -> dict[str, Any]:
    step = {"dali": f"flip.py:{function}", "inputs": {"given": "picture"}, "gives": ["turned"]}
    turned = {"turned": {"dtype": "uint8", "shape": ["h", "w", 3]}}
    return {**step, "outputs": turned, **more}


PICTURE = {"picture": {"dtype": "uint8", "shape": ["h", "w", 3]}}


@pytest.mark.parametrize(
    ("step", "cpu", "gpu", "made"),
    [
        (flip("flip"), "cpu.dali", "gpu.dali", ["cpu.dali", "gpu.dali"]),
        (
            flip("flip", serialize="load"),
            "cpu.py",
            "gpu.py",
            ["cpu.py", "definition.json", "definition/flip.py", "gpu.py"],
        ),
        (flip("either"), "", "", ["model.dali"]),
        (
            flip("either", serialize="load"),
            "dali.py",
            "dali.py",
            ["dali.py", "definition.json", "definition/flip.py"],
        ),
    ],
    ids=["compiled", "loaded", "compiled for both", "loaded for both"],
)
def test_definition(
    step: dict[str, Any], cpu: str, gpu: str, made: list[str], folder: Path
) -> None:
    plan = planned(folder, dict(step), PICTURE)
    member = plan.members[0]
    assert config.member(plan, member, "cpu").default_model_filename == cpu
    assert config.member(plan, member, "gpu").default_model_filename == gpu
    assert paths(plan) == [f"p_a/1/{name}" for name in made]


def test_where_dali_has_its_tensors(folder: Path) -> None:
    plan = planned(folder, flip("flip"), PICTURE)
    member = plan.members[0]
    assert member.kind.memory(member, "gpu", plan.target, writes=True).place == "gpu"
    assert member.kind.memory(member, "gpu", plan.target, writes=False).place == "host"
    assert member.kind.memory(member, "cpu", plan.target, writes=True).place == "host"
    plan = planned(folder, flip("either"), PICTURE)
    member = plan.members[0]
    assert member.kind.memory(member, "gpu", plan.target, writes=True).place == "host"
    assert edges.trace(plan) is not None


@pytest.mark.parametrize(
    ("target", "version", "warned"),
    [("24.10", "2.4.0", True), ("24.10", "1.42.0", False), ("26.08", "2.4.0", False)],
)
def test_whose_dali_is_older(
    target: str, version: str, warned: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali_definition, "installed", lambda: version)
    codes = [each.code for each in checked(folder, flip("either"), PICTURE, target=target).problems]
    assert codes == (["E473"] if warned else [])
    loaded = checked(folder, flip("either", serialize="load"), PICTURE, target=target)
    assert loaded.problems == ()


def test_without_dali(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_definition, "installed", lambda: None)
    (problem,) = checked(folder, flip("either"), PICTURE).problems
    assert problem.code == "E471"
    assert "not installed" in problem.message
    assert "ensemblegen[dali]" in (problem.hint or "")


def test_a_definition_in_several_files(folder: Path) -> None:
    (folder / "sizes.py").write_text("SIZE = 3\n")
    (folder / "flip.py").write_text("from sizes import SIZE\n\ndef flip():\n    return SIZE\n")
    (problem,) = checked(folder, flip("flip"), PICTURE).problems
    assert (problem.code, "imports 'sizes'" in problem.message) == ("E471", True)
