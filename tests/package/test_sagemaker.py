"""What `package sagemaker` writes: the container's layout, the same bytes, the right variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ensemblegen import manifest
from ensemblegen.content import Linked
from ensemblegen.engine.repository import Model
from ensemblegen.environments import placed
from ensemblegen.errors import InputError
from ensemblegen.manifest import ManifestEnvironment
from ensemblegen.package import endpoint, naming
from ensemblegen.package import sagemaker as package
from ensemblegen.package.pipelines import Pipeline
from ensemblegen.pbtxt import read as pbtxt
from tests.commands import run
from tests.conftest import ROOT
from tests.server import variants

HAND_WRITTEN = ROOT / "tests" / "hand_written"
PROBLEMS = ROOT / "tests" / "problems"
CALLING = """\
platform: "ensemble"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "z" data_type: TYPE_FP32 dims: [ 1 ] }
ensemble_scheduling {
  step {
    model_name: "router" model_version: -1
    input_map { key: "x" value: "x" } output_map { key: "y" value: "y" }
  }
  step {
    model_name: "helper" model_version: -1
    input_map { key: "x" value: "x" } output_map { key: "y" value: "z" }
  }
}
"""
BESIDE = "$$TRITON_MODEL_DIRECTORY/../../envs/tiny.tar.gz"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline that `init` makes, compiled."""
    folder = tmp_path_factory.mktemp("compiled")
    assert run("init", str(folder / "loudspeaker")) == 0
    made = folder / "repository"
    assert run("compile", str(folder / "loudspeaker" / "pipeline.yaml"), "-o", str(made)) == 0
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpacked(archive: Path, folder: Path) -> Path:
    """By `tar`, as SageMaker does."""
    folder.mkdir()
    subprocess.run(["/bin/tar", "-xzf", str(archive), "-C", str(folder)], check=True)
    return folder


def packed(repository: Path, archive: Path, **options: Any) -> package.Package:
    (prepared,) = package.prepare(repository, multi_model=False, **options)
    return package.write(prepared, archive)


def test_tar_unpacks_the_container_s_layout(repository: Path, tmp_path: Path) -> None:
    assert run("package", "sagemaker", str(repository), "-o", str(tmp_path / "m.tar.gz")) == 0
    found = tree(unpacked(tmp_path / "m.tar.gz", tmp_path / "model"))
    there = tree(repository)
    kept = {path: data for path, data in there.items() if "/configs/" not in path}
    assert found.keys() == kept.keys()
    del found["manifest.json"], kept["manifest.json"]
    assert found == kept
    tops = {path.name for path in (tmp_path / "model").iterdir() if path.is_dir()}
    assert tops == {"loudspeaker", "loudspeaker_shout", "loudspeaker_measure"}


def test_what_is_unpacked_is_a_compiled_repository(repository: Path, tmp_path: Path) -> None:
    packed(repository, tmp_path / "m.tar.gz")
    folder = unpacked(tmp_path / "m.tar.gz", tmp_path / "model")
    made = manifest.read(folder)
    files = {path: data for path, data in tree(folder).items() if path != manifest.NAME}
    assert made.files.keys() == files.keys()
    for path, listed in made.files.items():
        assert (listed.sha256, listed.size) == (Linked(folder / path).sha256, len(files[path]))


def test_the_same_repository_gives_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    cache = tmp_path / "copy" / "loudspeaker_shout" / "1" / "__pycache__"
    cache.mkdir()
    (cache / "model.cpython-311.pyc").write_bytes(b"what a server left")
    first = packed(repository, tmp_path / "one" / "m.tar.gz")
    second = packed(tmp_path / "copy", tmp_path / "two" / "m.tar.gz")
    assert first.archives[0][1].sha256 == second.archives[0][1].sha256


def test_sagemaker_json(repository: Path, tmp_path: Path) -> None:
    packed(repository, tmp_path / "m.tar.gz")
    told = json.loads((tmp_path / "sagemaker.json").read_text())
    assert told["archive"] == "m.tar.gz"
    assert told["sha256"] == Linked(tmp_path / "m.tar.gz").sha256
    assert told["bytes"] == (tmp_path / "m.tar.gz").stat().st_size
    assert (told["multi_model"], told["target"]) == (False, "24.10")
    assert told["pipelines"] == ["loudspeaker"]
    assert told["shared_memory_bytes"] == 2 << 20
    assert told["environment"] == {
        "SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--disable-auto-complete-config",
        "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "loudspeaker",
        "SAGEMAKER_TRITON_LOG_VERBOSE": "false",
        "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE": "1048576",
        "SAGEMAKER_TRITON_SHM_GROWTH_BYTE_SIZE": "1048576",
    }


def test_an_archive_for_each_pipeline(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "archives"
    both = [str(repository), str(HAND_WRITTEN / "two_ensembles")]
    said = ("--multi-model", str(folder), "--format", "json")
    assert run("package", "sagemaker", *both, *said) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["archive"] == "."
    names = ["catalog_match", "catalog_search", "loudspeaker"]
    assert sorted(told["pipelines"]) == names
    assert sorted(each["archive"] for each in told["archives"]) == [f"{n}.tar.gz" for n in names]
    assert all(
        each["sha256"] == Linked(folder / each["archive"]).sha256 for each in told["archives"]
    )
    assert told["bytes"] == sum(each["bytes"] for each in told["archives"])
    assert "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME" not in told["environment"]
    # A model of the second completes its config itself, so the server must let it.
    assert "disable-auto-complete" not in told["environment"].get(
        "SAGEMAKER_TRITON_ADDITIONAL_ARGS", ""
    )


def test_ensembles_inside_an_ensemble_are_hidden_from_the_adaptor(tmp_path: Path) -> None:
    (prepared,) = package.prepare(HAND_WRITTEN / "nested", multi_model=True)
    marked = [
        path for path, item in prepared.files.items() if isinstance(item, bytes) and _found(item)
    ]
    assert marked == ["audio.balance/config.pbtxt"]
    (inner,) = (each for path, each in prepared.files.items() if _is_config(path, "audio.level"))
    assert isinstance(inner, bytes)
    assert b"platform: 'ensemble'" in inner


def _is_config(path: str, model: str) -> bool:
    return re.fullmatch(rf"{re.escape(model)}-[0-9a-f]{{10}}/config.pbtxt", path) is not None


def _found(config: bytes) -> bool:
    return b'platform: "ensemble"' in config


def test_models_inside_have_names_of_their_own_on_an_endpoint_of_many(
    repository: Path, tmp_path: Path
) -> None:
    """Triton loads ensembles anew when another archive brings a model of the same name."""
    other = tmp_path / "other"
    shutil.copytree(repository, other)
    source = next(other.rglob("step.json")).parent / "model.py"
    source.write_text(source.read_text() + "\n# changed\n")
    found = [package.prepare(each, multi_model=True)[0].files for each in (repository, other)]
    models = [{path.partition("/")[0] for path in files if "/" in path} for files in found]
    assert models[0] & models[1] == {"loudspeaker"}
    assert len(models[0]) == len(models[1]) > 1
    for names, files in zip(models, found, strict=True):
        config = files["loudspeaker/config.pbtxt"]
        assert isinstance(config, bytes)
        steps = pbtxt.parse(config.decode(), "").message.ensemble_scheduling.step
        assert {step.model_name for step in steps} == names - {"loudspeaker"}
        for name in names:
            told = files[f"{name}/config.pbtxt"]
            assert isinstance(told, bytes)
            assert pbtxt.parse(told.decode(), "").message.name in (name, "")
        described = json.loads(bytes(files["manifest.json"]))  # type: ignore[arg-type]
        assert {each["name"] for each in described["models"]} == names - {"loudspeaker"}
        assert set(described["pipelines"][0]["steps"]) == names - {"loudspeaker"}


def test_models_that_are_called_by_name_keep_it(tmp_path: Path) -> None:
    made = tmp_path / "made"
    shutil.copytree(PROBLEMS / "to_pack/E645", made)
    (made / "answer/config.pbtxt").write_text(CALLING)
    (prepared,) = package.prepare(made, multi_model=True)
    assert {path.partition("/")[0] for path in prepared.files} == {"answer", "helper", "router"}


def test_names_that_cannot_be_replaced() -> None:
    names = {"a": "a-1"}
    assert naming.config('name: "a" # "a"\n', names) == 'name: "a-1" # "a"\n'
    assert naming.config("name: 'a'", names) == 'name: "a-1"'
    assert naming.config('name: "b"', names) == 'name: "b"'
    with pytest.raises(InputError, match="cannot be replaced"):
        naming.config('name: ""\n  "a"\n', names)


def test_two_pipelines_of_one_name_are_refused(repository: Path, tmp_path: Path) -> None:
    twice = package.prepare(repository, multi_model=True) * 2
    with pytest.raises(InputError, match="two pipelines are called 'loudspeaker'"):
        package.write_many(twice, tmp_path / "archives")
    assert not (tmp_path / "archives").exists()


def test_what_only_one_pipeline_needs_stays_out_of_the_other(tmp_path: Path) -> None:
    packed(HAND_WRITTEN / "two_ensembles", tmp_path / "m.tar.gz", model="catalog_search")
    folder = unpacked(tmp_path / "m.tar.gz", tmp_path / "model")
    found = {path.name for path in folder.iterdir()}
    assert "catalog_search" in found
    assert not found & {"catalog_match", "catalog_same", "catalog_vectors"}


@pytest.mark.parametrize("where", ["beside", "each", "absolute", "folder"])
def test_an_environment_goes_in_once(where: str, tmp_path: Path) -> None:
    """Beside the repository, as a copy in each model, at a path of this machine, or unpacked."""
    made = tmp_path / "repository"
    if where == "beside":
        variants.repository(made, 1, environment=BESIDE)
        variants.environment(tmp_path / "envs" / "tiny.tar.gz", "a")
    elif where == "each":
        variants.repository(made, 1, environment="$$TRITON_MODEL_DIRECTORY/tiny.tar.gz")
        for name in ("add_first", "add_second"):
            variants.environment(made / name / "tiny.tar.gz", "a")
    else:
        place = tmp_path / ("far/tiny.tar.gz" if where == "absolute" else "far/tiny")
        variants.repository(made, 1, environment=str(place))
        if where == "absolute":
            variants.environment(place, "a")
        else:
            (place / "bin").mkdir(parents=True)
            (place / "bin" / "activate").write_text("export ENV_MARK=a\n")
            (place / "lib").symlink_to("bin")
    packed(made, tmp_path / "m.tar.gz")
    folder = unpacked(tmp_path / "m.tar.gz", tmp_path / "model")
    name = "tiny" if where == "folder" else "tiny.tar.gz"
    assert [path.parent.name for path in folder.rglob(name)] == ["add_first"]
    first, second = (
        (folder / each / "config.pbtxt").read_text() for each in ("add_first", "add_second")
    )
    assert f'"$$TRITON_MODEL_DIRECTORY/{name}"' in first
    assert f'"$$TRITON_MODEL_DIRECTORY/../add_first/{name}"' in second
    if where == "folder":
        assert (folder / "add_first" / "tiny" / "lib").readlink() == Path("bin")


def test_environments_of_one_name_do_not_meet(tmp_path: Path) -> None:
    made = variants.repository(tmp_path / "repository", 1, environment=BESIDE)
    variants.environment(tmp_path / "envs" / "tiny.tar.gz", "a")
    variants.environment(tmp_path / "other" / "tiny.tar.gz", "b")
    config = made / "add_second" / "config.pbtxt"
    config.write_text(config.read_text().replace("/envs/", "/other/"))
    packed(made, tmp_path / "m.tar.gz")
    folder = unpacked(tmp_path / "m.tar.gz", tmp_path / "model")
    for name, source in (("add_first", "envs"), ("add_second", "other")):
        there = (folder / name / "tiny.tar.gz").read_bytes()
        assert there == (tmp_path / source / "tiny.tar.gz").read_bytes()


def test_the_packed_manifest_leads_to_the_environment(repository: Path, tmp_path: Path) -> None:
    """So that `serve` and `env verify` find it there."""
    made = tmp_path / "repository"
    shutil.copytree(repository, made)
    archive = tmp_path / "envs" / "abc.tar.gz"
    variants.environment(archive, "a")
    known = ManifestEnvironment(
        "abc", "tiny", "3.11", Linked(archive).sha256, archive.stat().st_size, "m", "0",
        path="envs/abc.tar.gz",
    )  # fmt: skip
    data = json.loads((made / manifest.NAME).read_text())
    data["environments"] = [
        {name: getattr(known, name) for name in ManifestEnvironment.__slots__ if name != "inside"}
    ]
    for model in data["models"]:
        model["execution"] = "abc"
        config = made / model["name"] / "config.pbtxt"
        value = "$$TRITON_MODEL_DIRECTORY/../../envs/abc.tar.gz"
        entry = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{value}" }} }}\n'
        config.write_text(config.read_text() + entry)
    (made / manifest.NAME).write_text(json.dumps(data))
    packed(made, tmp_path / "m.tar.gz")
    folder = unpacked(tmp_path / "m.tar.gz", tmp_path / "model")
    (environment,) = manifest.read(folder).environments
    assert (environment.path, environment.inside) == (None, "loudspeaker_measure/abc.tar.gz")
    assert list(placed.unusable(folder, manifest.read(folder))) == []
    (folder / "loudspeaker_measure" / "abc.tar.gz").unlink()
    assert [each.code for each in placed.unusable(folder, manifest.read(folder))] == ["E533"]


def pipeline(*members: Model, called: tuple[Model, ...] = ()) -> Pipeline:
    root = Model("p", "", gpu=False, environment=None, profiles=())
    return Pipeline("p", (root, *members), called)


def member(name: str, backend: str = "python", **fields: Any) -> Model:
    return Model(name, backend, fields.pop("gpu", False), None, (), **fields)


def variables(found: Pipeline, *, multi_model: bool = False, sized: bool = True) -> dict[str, str]:
    return endpoint.environment([found], multi_model=multi_model, sized=sized)


def test_shared_memory_follows_the_edges() -> None:
    large = variables(
        pipeline(member("a", batch_bytes=40 << 20), member("b", batch_bytes=30 << 20))
    )
    assert large["SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE"] == str(51 << 20)
    assert large["SAGEMAKER_TRITON_SHM_GROWTH_BYTE_SIZE"] == str(6 << 20)
    small = variables(pipeline(member("a", batch_bytes=100)))
    assert small["SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE"] == str(1 << 20)
    unknown = variables(pipeline(member("a")), sized=False)
    assert "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE" not in unknown
    native = variables(pipeline(member("a", "onnxruntime", batch_bytes=40 << 20)))
    assert "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE" not in native


def test_flags_for_what_the_script_has_no_variable_for() -> None:
    on_gpu = member("a", "pytorch", gpu=True, gpus=(0, 1), batch_bytes=300 << 20, instances=2)
    members = [on_gpu, *(member(f"m{n}", instances=3, cached=True) for n in range(5))]
    helper = member("helper", steps=("inner",))
    inner = member("inner", limited=True)
    known = variables(pipeline(*members, called=(helper, inner)))
    assert known["SAGEMAKER_TRITON_ADDITIONAL_ARGS"].split() == [
        "--cache-config=local,size=67108864",
        "--rate-limit=execution_count",
        f"--cuda-memory-pool-byte-size=0:{1200 << 20}",
        f"--cuda-memory-pool-byte-size=1:{1200 << 20}",
        "--disable-auto-complete-config",
        "--model-load-thread-count=9",
        "--load-model=helper",
    ]
    assert known["SAGEMAKER_TRITON_THREAD_COUNT"] == "19"


def test_much_shared_memory_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository that does not say what it needs gets the script's 16 MiB an instance."""
    made = variants.repository(tmp_path / "repository", 1)
    config = made / "add_first" / "config.pbtxt"
    for count, warned in ((3, False), (4, True)):
        config.write_text(
            config.read_text()
            .replace("count: 1", f"count: {count}")
            .replace("count: 3", f"count: {count}")
        )
        assert run("package", "sagemaker", str(made), "-o", str(tmp_path / "m.tar.gz")) == 0
        assert ("64 MiB by default" in capsys.readouterr().out) is warned


def test_a_variable_has_1024_characters_at_most() -> None:
    called = tuple(member(f"{n:03d}" + "x" * 90) for n in range(12))
    with pytest.raises(InputError, match="SAGEMAKER_TRITON_ADDITIONAL_ARGS would have"):
        variables(pipeline(member("a"), called=called))
    assert variables(pipeline(member("a"), called=called[:5]))


def test_nothing_is_left_where_the_disk_refuses(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_text("the old one")
    blocked = tmp_path / "m.tar.gz" / "x.tar.gz"
    assert run("package", "sagemaker", str(repository), "-o", str(blocked)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.tar.gz"]


def test_usage(repository: Path, tmp_path: Path) -> None:
    twice = ["package", "sagemaker", str(repository), str(repository)]
    assert run(*twice) == 2
    assert run(*twice, "--multi-model", str(tmp_path / "x"), "--model", "m") == 2
    assert run("infer", str(repository), "-i", "a=1", "--target-model", "x") == 2
    assert run("infer", "--sagemaker", "localhost:1", "-i", "a=1") == 2
    assert run("infer", str(repository), "-i", "a=1", "--sagemaker", "x") == 2
    assert run("serve", str(repository), "--memory", "1g") == 2
    assert run("serve", str(repository), "--sagemaker", "--memory", "much") == 2
    assert run("serve", str(repository), "--sagemaker", "--device", "cpu") == 2
