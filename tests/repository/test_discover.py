"""Which models are found, and where, for whatever path is given."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ensemblegen.check import repository as rules
from ensemblegen.errors import InputError
from ensemblegen.repository.discover import read
from ensemblegen.repository.model import Repository
from ensemblegen.targets import Target

CONFIG = """
backend: "python"
input { name: "X" data_type: TYPE_FP32 dims: 1 }
output { name: "Y" data_type: TYPE_FP32 dims: 1 }
"""


def ensemble(*members: str) -> str:
    steps = " ".join(
        f'step {{ model_name: "{name}" model_version: -1'
        ' input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } }'
        for name in members
    )
    return f'platform: "ensemble" ensemble_scheduling {{ {steps} }}'


def model(
    folder: Path, config: str | None = CONFIG, *versions: str, file: str = "model.py"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.pbtxt").write_text(config)
    for version in versions or ("1",):
        (folder / version).mkdir()
        (folder / version / file).write_text("")
    return folder


def names(repository: Repository) -> dict[str, bool]:
    """Every model, and whether it is examined."""
    return {name: not each.context for name, each in repository.models.items()}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """An ensemble of two members, and a model that has nothing to do with it."""
    model(tmp_path / "models" / "whole", ensemble("first", "second"))
    for name in ("first", "second", "other"):
        model(tmp_path / "models" / name)
    return tmp_path / "models"


def test_a_repository(pipeline: Path) -> None:
    target = Target("25.08")
    [found] = read(pipeline, target)
    assert names(found) == {"first": True, "other": True, "second": True, "whole": True}
    assert found.path == pipeline
    assert found.whole
    assert found.alternate is None
    assert found.target is target
    assert found.models["first"].versions == (1,)
    assert found.models["first"].folder == pipeline / "first"


def test_a_model_brings_what_it_needs(pipeline: Path) -> None:
    for path in (pipeline / "whole", pipeline / "whole" / "config.pbtxt"):
        [found] = read(path)
        assert names(found) == {"whole": True, "first": False, "second": False}
        assert found.whole
        assert found.path == pipeline


def test_a_model_that_needs_nothing(pipeline: Path) -> None:
    [found] = read(pipeline / "other" / "config.pbtxt")
    assert names(found) == {"other": True}
    assert found.models["other"].folder == pipeline / "other"
    assert not found.whole


def test_relative_paths(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pipeline / "whole")
    for path in (Path(), Path("config.pbtxt"), Path("1/.."), Path("../whole")):
        [found] = read(path)
        assert names(found) == {"whole": True, "first": False, "second": False}
    monkeypatch.chdir(pipeline)
    [found] = read(Path())
    assert found.models["first"].config is not None
    assert found.models["first"].config.path == "first/config.pbtxt"


def test_members_of_members(tmp_path: Path) -> None:
    model(tmp_path / "outer", ensemble("inner"))
    model(tmp_path / "inner", ensemble("leaf", "outer"))
    model(tmp_path / "leaf")
    [found] = read(tmp_path / "outer")
    assert names(found) == {"outer": True, "inner": False, "leaf": False}


def test_a_missing_member_brings_all_that_may_be_meant(pipeline: Path) -> None:
    (pipeline / "whole" / "config.pbtxt").write_text(ensemble("first", "secnd"))
    [found] = read(pipeline / "whole")
    assert found.whole
    assert names(found) == {"whole": True, "first": False, "second": False, "other": False}


def test_an_ensemble_without_its_members(tmp_path: Path) -> None:
    model(tmp_path / "whole", ensemble("first", "second"))
    model(tmp_path / "other")
    for path in (tmp_path, tmp_path / "whole"):
        [found] = read(path)
        assert not found.whole


def test_configs_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.pbtxt").write_text(f'name: "model_{name}" {ensemble("x")}')
    [found] = read(tmp_path / "one.pbtxt")
    assert names(found) == {"model_one": True}
    assert found.models["model_one"].folder is None
    assert not found.whole
    assert [list(each.models) for each in read(tmp_path)] == [["model_one"], ["model_two"]]


def test_a_config_in_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "config.pbtxt"
    path.write_text(CONFIG)
    [found] = read(path)
    assert found.models["docs"].folder is None


def test_alternates(pipeline: Path) -> None:
    (pipeline / "first" / "configs").mkdir()
    (pipeline / "first" / "configs" / "gpu.pbtxt").write_text(CONFIG + "max_batch_size: 4")
    (pipeline / "second" / "configs").mkdir()
    (pipeline / "second" / "configs" / "cpu.pbtxt").write_text(CONFIG)
    plain, cpu, gpu = read(pipeline)
    assert [each.alternate for each in (plain, cpu, gpu)] == [None, "cpu", "gpu"]
    assert gpu.models["first"].max_batch_size == 4
    assert plain.models["first"].max_batch_size == 0
    assert names(gpu) == {"first": True, "other": False, "second": False, "whole": True}
    [found] = read(pipeline / "first" / "configs" / "gpu.pbtxt")
    assert (found.alternate, names(found)) == ("gpu", {"first": True})
    assert found.models["first"].folder == pipeline / "first"
    assert [each.alternate for each in read(pipeline / "first")] == [None, "gpu"]
    [loose] = read(pipeline / "first" / "configs")
    assert names(loose) == {"first": True}


def test_only_alternates(tmp_path: Path) -> None:
    """Without --model-config-name Triton makes a config up, as far as the file tells."""
    model(tmp_path / "one", None)
    (tmp_path / "one" / "configs").mkdir()
    (tmp_path / "one" / "configs" / "gpu.pbtxt").write_text(CONFIG)
    plain, gpu = read(tmp_path)
    assert plain.models["one"].config is None
    assert gpu.models["one"].config is not None
    [found] = read(tmp_path / "one")
    assert found.alternate == "gpu"


@pytest.mark.parametrize("file", ["model.onnx", "model.plan", "model.savedmodel", "model.xml"])
def test_models_without_config(file: str, tmp_path: Path) -> None:
    model(tmp_path / "plain", None, file=file)
    model(tmp_path / "figures", None, file="plot.png")
    model(tmp_path / "other")
    [found] = read(tmp_path)
    assert names(found) == {"other": True, "plain": True}
    assert found.models["plain"].config is None
    assert names(read(tmp_path / "plain")[0]) == {"plain": True}


def test_a_folder_of_a_members_name(tmp_path: Path) -> None:
    """Its file and config may be fetched later: it is there, and nothing is known of it."""
    model(tmp_path / "whole", ensemble("weights", "first"))
    model(tmp_path / "first")
    (tmp_path / "weights").mkdir()
    [found] = read(tmp_path)
    assert found.models["weights"].config is None
    assert found.models["weights"].completes


def test_several_repositories(tmp_path: Path) -> None:
    for place in ("a/models", "b/deep/er/repository"):
        model(tmp_path / place / "one")
    for ignored in ("node_modules/x", ".git/x", ".hidden/x", "site-packages/y"):
        model(tmp_path / ignored)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "graph.pbtxt").write_text("node { }")
    assert [each.path for each in read(tmp_path)] == [
        tmp_path / "a/models",
        tmp_path / "b/deep/er/repository",
    ]


def test_models_in_models(tmp_path: Path) -> None:
    outer = model(tmp_path / "outer")
    model(outer / "inner" / "deep")
    model(outer / "nested")
    (outer / "1" / "config.pbtxt").write_text("model_type: bert")
    (tmp_path / "config.pbtxt").write_text(CONFIG)
    found = read(tmp_path)
    assert [(each.path, list(each.models)) for each in found] == [
        (tmp_path.parent, [tmp_path.name]),
        (tmp_path, ["outer"]),
        (outer, ["nested"]),
        (outer / "inner", ["deep"]),
    ]


def test_numbered_folders_that_are_models(tmp_path: Path) -> None:
    for name in ("1", "2"):
        model(tmp_path / "corpus" / name)
    [found] = read(tmp_path)
    assert list(found.models) == ["1", "2"]


def test_links(tmp_path: Path) -> None:
    real = model(tmp_path / "store" / "real")
    models = tmp_path / "models"
    models.mkdir()
    (models / "alias").symlink_to(real)
    (models / "loop").symlink_to(tmp_path)
    (models / "gone").symlink_to(tmp_path / "nowhere")
    (models / "self").symlink_to("self")
    copied = models / "copied"
    (copied / "1").mkdir(parents=True)
    (copied / "config.pbtxt").symlink_to(real / "config.pbtxt")
    found = {each.path: list(each.models) for each in read(tmp_path)}
    assert found == {models: ["alias", "copied"], tmp_path / "store": ["real"]}
    assert read(models)[0].models["alias"].name == "alias"


def test_a_linked_repository(tmp_path: Path) -> None:
    model(tmp_path / "shared" / "one")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "models").symlink_to(tmp_path / "shared")
    [found] = read(tmp_path / "here")
    assert found.path == tmp_path / "here" / "models"


def test_versions(tmp_path: Path) -> None:
    folder = model(tmp_path / "one", CONFIG, "1", "3", "10", "02", "v4", "0", "5_old", "\u0663")
    (folder / "7").write_text("a file")
    found = read(tmp_path)[0].models["one"]
    assert found.versions == (0, 1, 3, 10)
    assert found.loaded_versions == (10,)
    assert found.version_files[3] == {"model.py"}
    assert "7" in found.files
    assert "v4" in found.folders


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [
        ("", (3,)),
        ("version_policy { }", (3,)),
        ("version_policy { all { } }", (1, 2, 3)),
        ("version_policy { latest { num_versions: 2 } }", (2, 3)),
        ("version_policy { latest { num_versions: 9 } }", (1, 2, 3)),
        ("version_policy { latest { } }", ()),
        ("version_policy { specific { versions: [ 1, 5 ] } }", (1,)),
    ],
)
def test_loaded_versions(policy: str, loaded: tuple[int, ...], tmp_path: Path) -> None:
    model(tmp_path / "one", CONFIG + policy, "1", "2", "3")
    assert read(tmp_path)[0].models["one"].loaded_versions == loaded


@pytest.mark.parametrize("name", ["has space", "dots.in.it", "-dash", "ünï", "quote'"])
def test_names(name: str, tmp_path: Path) -> None:
    model(tmp_path / name)
    model(tmp_path / "whole", ensemble(name))
    [found] = read(tmp_path)
    assert found.whole
    assert name in found.models
    assert names(read(tmp_path / "whole")[0]) == {"whole": True, name: False}


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff"))
    model(folder)
    for path in (tmp_path, folder):
        [found] = read(path)
        assert list(found.models) == ["m\ufffd"]
        assert all(each.severity != "error" for each in rules.run(found))


@pytest.mark.parametrize("name", ["", ".", "..", "../first", "a/b", "a\\000b"])
def test_members_that_are_no_names(name: str, tmp_path: Path) -> None:
    model(tmp_path / "models" / "whole", ensemble(name))
    model(tmp_path / "first")
    [found] = read(tmp_path / "models" / "whole")
    assert list(found.models) == ["whole"]


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "link.pbtxt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "docs").mkdir()
    for path, code in (
        (tmp_path / "absent", "E101"),
        (tmp_path / "absent.pbtxt", "E101"),
        (tmp_path / "link.pbtxt", "E101"),
        (tmp_path / "docs", "E701"),
    ):
        with pytest.raises(InputError) as caught:
            read(path)
        [problem] = caught.value.problems
        assert problem.code == code
    assert problem.hint is not None


def test_configs_that_cannot_be_read(tmp_path: Path) -> None:
    model(tmp_path / "good")
    model(tmp_path / "linked", None)
    (tmp_path / "linked" / "config.pbtxt").symlink_to("nowhere")
    model(tmp_path / "binary", None)
    (tmp_path / "binary" / "config.pbtxt").write_bytes(b"\xff\x00\xfe")
    model(tmp_path / "empty", "")
    (tmp_path / "folder" / "config.pbtxt").mkdir(parents=True)
    [found] = read(tmp_path)
    assert set(found.models) == {"good", "linked", "binary", "empty"}
    said = {each.span.path for each in rules.run(found) if each.severity == "error" and each.span}
    assert said == {str(tmp_path / name / "config.pbtxt") for name in ("linked", "binary")}


def test_folders_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model(tmp_path / "good")
    locked = model(tmp_path / "locked")
    model(tmp_path / "half")
    closed = {str(locked), str(tmp_path / "half" / "1")}
    scan = os.scandir

    def refuse(path: str | Path) -> os._ScandirIterator[str]:
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    [found] = read(tmp_path)
    assert set(found.models) == {"good", "half"}
    assert [each.code for each in found.problems] == ["E101"]
    assert found.models["half"].version_files == {1: frozenset()}
    with pytest.raises(InputError, match="Permission denied"):
        read(locked)


def test_a_compiled_pipeline(tmp_path: Path) -> None:
    model(tmp_path / "whole", ensemble("first"))
    model(tmp_path / "first")
    (tmp_path / "manifest.json").write_text("{}")
    [found] = read(tmp_path)
    assert set(found.models) == {"first", "whole"}


def test_deep_and_wide(tmp_path: Path) -> None:
    """Neither a chain of folders nor links in circles keep it busy."""
    deep = tmp_path
    for _ in range(200):
        deep /= "d"
    deep.mkdir(parents=True)
    for number in range(30):
        (tmp_path / f"l{number}").symlink_to(tmp_path)
        (tmp_path / "d" / f"l{number}").symlink_to(tmp_path)
    model(tmp_path / "one")
    start = time.monotonic()
    assert [list(each.models) for each in read(tmp_path)] == [["one"]]
    assert time.monotonic() - start < 5
