"""The import as a whole, on small repositories."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ensemblegen.cli.app import main
from ensemblegen.compile import make_plan
from ensemblegen.emit import beside
from ensemblegen.emit.files import files
from ensemblegen.errors import InputError, MachineError
from ensemblegen.importing.run import Imported, Options, run
from tests.importing.repositories import CPU, MEMBER, ensemble, put

CHAIN = ensemble(("a", "IN", "t"), ("b", "t", "OUT"))


def imported(folder: Path, **options: Any) -> Imported:
    return run(folder / "repo", Options(folder / "out", **options))


def read(folder: Path, name: str = "pipeline.yaml") -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((folder / "out" / name).read_text())
    return data


def listing(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def codes(done: Imported) -> list[str]:
    return [each.code for each in done.problems]


def test_one_ensemble_is_pipeline_yaml(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER + CPU, "b": MEMBER})
    done = imported(tmp_path)
    assert not done.problems
    assert done.equal == {"e", "a", "b"}
    assert listing(tmp_path / "out") == ["pipeline.yaml"]
    data = read(tmp_path)
    assert list(data) == ["ensemblegen", "name", "max_batch_size", "inputs", "steps", "outputs"]
    assert data["steps"]["a"]["folder"] == "../repo/a"
    assert data["steps"]["b"]["inputs"]["X"]["from"] == "a.Y"
    assert data["outputs"] == {"OUT": "b.Y"}


def test_an_ensemble_by_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER, "b": MEMBER, "c": MEMBER})
    done = run(tmp_path / "repo" / "e", Options(tmp_path / "out"))
    assert not done.problems
    assert done.equal == {"e", "a", "b"}


def test_several_have_files_of_their_names(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "f": CHAIN, "a": MEMBER, "b": MEMBER})
    assert codes(imported(tmp_path)) == []
    assert listing(tmp_path / "out") == ["e.yaml", "f.yaml"]
    assert codes(imported(tmp_path, ensemble="e")) == []
    assert read(tmp_path)["name"] == "e"


def test_a_model_in_two_steps(tmp_path: Path) -> None:
    twice = ensemble(("a", "IN", "t"), ("a", "t", "OUT"))
    put(tmp_path / "repo", {"e": twice, "a": MEMBER})
    assert codes(imported(tmp_path)) == []
    assert read(tmp_path)["steps"]["a_2"] == {"reuse": "a", "inputs": {"X": "a.Y"}}


def test_nested_ensembles_even_when_only_one_is_asked_for(tmp_path: Path) -> None:
    outer = ensemble(("inner", "IN", "t"), ("a", "t", "OUT"))
    inner = ensemble(("b", "IN", "OUT")).replace('"IN"', '"X"').replace('"OUT"', '"Y"')
    put(tmp_path / "repo", {"outer": outer, "inner": inner, "a": MEMBER, "b": MEMBER, "c": MEMBER})
    done = imported(tmp_path, ensemble="outer")
    assert not done.problems
    assert done.equal == {"outer", "inner", "a", "b"}
    step = {"ensemble": "inner.yaml", "inputs": {"X": "IN"}, "tensors": {"Y": "t"}}
    assert read(tmp_path, "outer.yaml")["steps"]["inner"] == step


def test_a_model_of_an_inner_ensemble_is_used_outside_too(tmp_path: Path) -> None:
    outer = ensemble(("inner", "IN", "t"), ("a", "t", "OUT"))
    inner = ensemble(("a", "IN", "OUT")).replace('"IN"', '"X"').replace('"OUT"', '"Y"')
    put(tmp_path / "repo", {"outer": outer, "inner": inner, "a": MEMBER})
    done = imported(tmp_path)
    assert not done.problems
    assert done.equal == {"outer", "inner", "a"}


CALLER = """\
import triton_python_backend_utils as pb_utils

NAMES = {"short": "called", "long": "nested"}


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceRequest(model_name=NAMES["short"]).exec()]
"""


def test_called_models_go_along_with_what_they_need(tmp_path: Path) -> None:
    models = {"e": CHAIN, "a": MEMBER, "b": MEMBER, "called": MEMBER, "other": MEMBER}
    models["nested"] = ensemble(("d", "IN", "OUT"))
    put(tmp_path / "repo", {**models, "d": MEMBER}, {"a/1/model.py": CALLER})
    done = imported(tmp_path, ensemble="e")
    assert codes(done) == []
    assert read(tmp_path)["models"] == ["../repo/called", "../repo/d", "../repo/nested"]
    made = files(make_plan(tmp_path / "out" / "pipeline.yaml"))
    assert {"called/config.pbtxt", "d/1/model.py", "nested/config.pbtxt"} <= made.keys()


def test_models_without_an_ensemble(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER, "b": MEMBER, "c": MEMBER, "d": MEMBER})
    done = imported(tmp_path)
    assert codes(done) == ["E636"]
    assert "'c', 'd'" in done.problems[0].message
    assert codes(imported(tmp_path, every=True, force=True)) == []
    assert read(tmp_path)["models"] == ["../repo/c", "../repo/d"]


def test_copies_are_complete_and_have_one_config(tmp_path: Path) -> None:
    repo = put(
        tmp_path / "repo",
        {"e": CHAIN, "a": MEMBER, "b": MEMBER, "c": MEMBER},
        {"e/labels.txt": "x", "a/configs/big.pbtxt": MEMBER},
    )
    assert codes(imported(tmp_path, copy=True, every=True)) == []
    (repo / "a" / "1" / "model.py").unlink()
    out = tmp_path / "out"
    assert {each.relative_to(out).as_posix() for each in out.rglob("*") if each.is_file()} == {
        "pipeline.yaml",
        "models/e/1/.keep",
        "models/e/labels.txt",
        "models/a/1/model.py",
        "models/a/configs/big.pbtxt",
        "models/b/1/model.py",
        "models/c/1/model.py",
        "models/c/config.pbtxt",
    }
    assert read(tmp_path)["folder"] == "models/e"
    assert "e/labels.txt" in files(make_plan(out / "pipeline.yaml"))


def test_empty_versions_stay(tmp_path: Path) -> None:
    """Some backends need no file, and no ensemble does; but a version folder all of them need."""
    identity = MEMBER.replace("python", "identity")
    repo = put(tmp_path / "repo", {"e": CHAIN, "a": identity, "b": MEMBER})
    (repo / "e" / "1" / ".keep").rename(repo / "e" / "labels.txt")
    (repo / "a" / "1" / "model.py").unlink()
    (repo / "e" / "3").mkdir()
    assert codes(imported(tmp_path)) == []
    made = files(make_plan(tmp_path / "out" / "pipeline.yaml"))
    versions = {tuple(path.split("/")[:2]) for path in made if path.count("/") > 1}
    assert {("a", "1"), ("e", "1"), ("e", "3")} <= versions


def test_nothing_is_replaced_without_leave(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER, "b": MEMBER})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pipeline.yaml").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        imported(tmp_path)
    assert (tmp_path / "out" / "pipeline.yaml").read_text() == "mine"
    imported(tmp_path, force=True, copy=True)
    imported(tmp_path, force=True, copy=True)
    assert listing(tmp_path / "out") == ["models", "pipeline.yaml"]


def test_a_copy_into_itself_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER, "b": MEMBER})
    with pytest.raises(InputError, match="lies in the folder of 'a'"):
        run(tmp_path / "repo", Options(tmp_path / "repo" / "a", copy=True))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER, "b": MEMBER}, {"../out": "a file"})
    with pytest.raises(MachineError):
        imported(tmp_path)


def test_what_cannot_be_imported_leaves_the_rest(tmp_path: Path) -> None:
    open_ = MEMBER.replace("8", "${SIZE}")
    wrong = ensemble(("open", "IN", "OUT"))
    around = ensemble(("wrong", "IN", "OUT"))
    models = {"e": CHAIN, "a": MEMBER, "b": MEMBER, "open": open_, "wrong": wrong, "around": around}
    put(tmp_path / "repo", models)
    done = imported(tmp_path)
    assert codes(done) == ["E632", "E631"]
    assert [each.name for each in done.pipelines] == ["e"]


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (ensemble(("a", "IN", "OUT"), ("a", "IN", "OUT")), "E633"),
        (ensemble(("a", "IN", "t"), ("a", "nowhere", "OUT")), "E633"),
        (ensemble(("a", "IN", "IN"), ("a", "IN", "OUT")), "E633"),
        (ensemble(("e", "IN", "OUT")), "E633"),
        (ensemble(("a", "IN", "u"), ("a", "IN", "OUT")), "E633"),
        (ensemble(("missing", "IN", "OUT")), "E632"),
        (ensemble(("a", "IN", " t"), ("a", " t", "OUT")), "E634"),
        (ensemble(("a", "IN", "OUT"), extra='name: "other"'), "E635"),
        (ensemble(("a", "IN", "OUT")).replace('platform: "ensemble"', ""), "E635"),
    ],
)
def test_what_is_refused(config: str, code: str, tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": config, "a": MEMBER})
    done = imported(tmp_path)
    assert codes(done)[0] == code
    assert not (tmp_path / "out").exists()


def test_a_member_without_a_config(tmp_path: Path) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER}, {"b/1/model.py": ""})
    assert codes(imported(tmp_path)) == ["E632"]


def test_errors_of_the_original_go_along(tmp_path: Path) -> None:
    extra = 'input { name: "UNUSED" data_type: TYPE_FP32 dims: [ 1 ] }'
    wrong = ensemble(("a", "IN", "OUT"), extra=extra)
    put(tmp_path / "repo", {"e": wrong, "a": MEMBER})
    assert codes(imported(tmp_path)) == ["E637"]
    assert "UNUSED" in read(tmp_path)["inputs"]


def test_several_repositories_at_once_are_not_mixed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path / "repo" / name, {"e": CHAIN, "a": MEMBER, "b": MEMBER})
    with pytest.raises(InputError, match="2 repositories"):
        imported(tmp_path)


@pytest.mark.parametrize("name", ["with space", "dots.in.it", "größe", "1st", "in"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    member = "member." + name.replace(" ", "")  # a Python model's must not have any
    put(tmp_path / "repo", {name: ensemble((member, "IN", "OUT")), member: MEMBER})
    assert codes(imported(tmp_path)) == []


def test_what_the_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER + CPU, "b": MEMBER})
    arguments = ["import", str(tmp_path / "repo"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "compiled again, 3 configs equal the originals"
    )
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--force", "--format", "json"])
    assert left.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert said["equal"] == ["a", "b", "e"]
    assert [step["kind"] for step in said["pipelines"][0]["steps"]] == ["backend", "backend"]


IN_ENVIRONMENT = """parameters {
  key: "EXECUTION_ENV_PATH"
  value { string_value: "$$TRITON_MODEL_DIRECTORY/../../envs/mine.tar.gz" }
}
"""


@pytest.mark.parametrize("copy", [False, True])
def test_environments_beside_the_repository_go_along(tmp_path: Path, copy: bool) -> None:
    member = MEMBER + IN_ENVIRONMENT
    archive = {"../envs/mine.tar.gz": "the archive", "../envs/other.tar.gz": "another"}
    put(tmp_path / "from" / "repo", {"e": CHAIN, "a": member, "b": MEMBER}, archive)
    options = Options(tmp_path / "out", copy=copy)
    done = run(tmp_path / "from" / "repo", options)
    assert not done.problems
    if copy:
        shutil.rmtree(tmp_path / "from")
        assert listing(tmp_path / "out") == ["envs", "models", "pipeline.yaml"]
    plan = make_plan(tmp_path / "out" / "pipeline.yaml")
    assert not plan.warnings
    beside.put(beside.of(plan), tmp_path / "build" / "repository")
    assert listing(tmp_path / "build" / "envs") == ["mine.tar.gz"]
    assert (tmp_path / "build" / "envs" / "mine.tar.gz").read_text() == "the archive"


def test_a_copy_beside_the_same_archive(tmp_path: Path) -> None:
    archive = {"../envs/mine.tar.gz": "the archive", "../out/envs/mine.tar.gz": "the archive"}
    put(tmp_path / "repo", {"e": CHAIN, "a": MEMBER + IN_ENVIRONMENT, "b": MEMBER}, archive)
    imported(tmp_path, copy=True)
    (tmp_path / "out" / "envs" / "mine.tar.gz").write_text("one of another repository")
    with pytest.raises(InputError, match=r"envs/mine\.tar\.gz is there already"):
        run(tmp_path / "repo", Options(tmp_path / "out", copy=True))


def test_an_unpacked_environment_stays_where_it_is(tmp_path: Path) -> None:
    member = MEMBER + IN_ENVIRONMENT.replace(".tar.gz", "")
    put(tmp_path / "repo", {"e": CHAIN, "a": member, "b": MEMBER})
    (tmp_path / "envs" / "mine" / "bin").mkdir(parents=True)
    (tmp_path / "envs" / "mine" / "bin" / "activate").touch()
    imported(tmp_path)
    (warning,) = make_plan(tmp_path / "out" / "pipeline.yaml").warnings
    assert warning.code == "E639"
    assert "is a folder, and left out" in warning.message
    assert warning.hint is not None
    assert "envs/mine beside the compiled repository" in warning.hint


def test_two_environments_of_one_name(tmp_path: Path) -> None:
    for name, text in (("one", "the archive"), ("two", "another")):
        put(
            tmp_path / name / "repo",
            {"e": CHAIN, "a": MEMBER + IN_ENVIRONMENT, "b": MEMBER},
            {"../envs/mine.tar.gz": text},
        )
    step = """
  {name}:
    backend: python
    folder: {name}/repo/a
    inputs: {{X: {{from: {source}, dtype: fp32, shape: [4]}}}}
    outputs: {{Y: {{dtype: fp32, shape: [4]}}}}
    config: {{parameters: {{EXECUTION_ENV_PATH: {{string_value: {value}}}}}}}
"""
    value = "$$TRITON_MODEL_DIRECTORY/../../envs/mine.tar.gz"
    first = step.format(name="one", source="x", value=value)
    second = step.format(name="two", source="one.Y", value=value)
    head = "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [4]}}\nsteps:"
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"{head}{first}{second}outputs: {{Y: two.Y}}\n")
    plan = make_plan(path)
    with pytest.raises(InputError, match=r"two environments .* envs/mine\.tar\.gz"):
        beside.of(plan)
    (tmp_path / "two" / "envs" / "mine.tar.gz").write_text("the archive")
    assert list(beside.of(plan)) == ["envs/mine.tar.gz"]
