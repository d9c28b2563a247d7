"""Trees as they lie about in public: stripped of weights, with odd files, under odd names."""

from __future__ import annotations

import os
from pathlib import Path

from ensemblegen.check import repository as rules
from ensemblegen.repository.discover import read
from tests.repository.test_discover import CONFIG, ensemble, model


def test_what_is_no_plain_file_is_a_problem_of_its_model(tmp_path: Path) -> None:
    model(tmp_path / "good")
    for name in ("pipe", "link", "loop", "folder", "large", "named"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "config.pbtxt")
    (tmp_path / "link" / "config.pbtxt").symlink_to("nowhere")
    (tmp_path / "loop" / "config.pbtxt").symlink_to("config.pbtxt")
    (tmp_path / "folder" / "config.pbtxt").mkdir()
    os.truncate(os.open(tmp_path / "large" / "config.pbtxt", os.O_CREAT | os.O_WRONLY), 1 << 30)
    long = f'label_filename: "{"x" * 5000}"'
    (tmp_path / "named" / "config.pbtxt").write_text(f"{CONFIG}output {{ name: 'Z' {long} }}")
    (tmp_path / "named" / "1").mkdir()
    os.mkfifo(tmp_path / "named" / "1" / "model.py")
    (repository,) = read(tmp_path)
    found = {p.span.path.split("/")[-2]: p.code for p in rules.run(repository) if p.span}
    assert found == {
        "good": "E451",
        "pipe": "E101",
        "link": "E101",
        "loop": "E101",
        "large": "E128",
    }


def test_folders_of_a_collection_need_not_have_the_names_of_the_models(tmp_path: Path) -> None:
    for number in range(4):
        name = "a0" if number == 0 else "other"
        (tmp_path / f"a{number}").mkdir()
        (tmp_path / f"a{number}" / "config.pbtxt").write_text(f'name: "{name}" {CONFIG}')
    (repository,) = read(tmp_path)
    assert "E610" not in {problem.code for problem in rules.run(repository)}
    for number in (1, 2):
        (tmp_path / f"a{number}" / "config.pbtxt").write_text(f'name: "a{number}" {CONFIG}')
    (repository,) = read(tmp_path)
    assert [p.span.path for p in rules.run(repository) if p.code == "E610" and p.span] == [
        str(tmp_path / "a3" / "config.pbtxt")
    ]


def codes(folder: Path) -> list[str]:
    return [problem.code for each in read(folder) for problem in rules.run(each)]


def test_a_model_that_may_consist_of_a_file_only_is_no_mistake(tmp_path: Path) -> None:
    model(tmp_path / "pipe", ensemble("step", "weights"), "1", file="README")
    model(tmp_path / "step")
    (tmp_path / "step" / "1" / "model.py").write_text("class TritonPythonModel:\n    execute = 1\n")
    assert codes(tmp_path).count("E222") == 1
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "config.pbtxt").write_text('platform: "onnxruntime_onnx"')
    assert "E222" not in codes(tmp_path)
    (tmp_path / "net").rename(tmp_path / "weight")
    assert codes(tmp_path).count("E222") == 1, "a name that is nearly the same is a mistake"


def test_configs_under_other_names_are_read_where_there_are_no_models(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    for name in ("config_cpu.pbtxt", "net_config.pbtxt", "labels.pbtxt", "reconfigured.pbtxt"):
        (folder / name).write_text(CONFIG)
    assert [each.path.name for each in read(tmp_path)] == ["config_cpu.pbtxt", "net_config.pbtxt"]
    model(tmp_path / "models" / "step")
    assert [each.path.name for each in read(tmp_path)] == ["models"]


def test_a_checkout_of_one_model_has_any_name(tmp_path: Path) -> None:
    model(tmp_path / "checkout", f'name: "net" {CONFIG}')
    assert "E610" not in codes(tmp_path / "checkout")
    assert "E610" in codes(tmp_path)
    model(tmp_path / "other")
    assert "E610" in codes(tmp_path / "checkout")


def test_links_that_are_kept_as_text(tmp_path: Path) -> None:
    model(tmp_path / "a")
    (tmp_path / "a" / "1" / "model.py").write_text("../../shared/model.py")
    assert codes(tmp_path) == ["E451"]
    (tmp_path / "a" / "config.pbtxt").write_text("../shared/config.pbtxt\n")
    assert codes(tmp_path) == ["E128"]


def test_preferred_sizes_without_a_batch_are_told_once(tmp_path: Path) -> None:
    sizes = "dynamic_batching { preferred_batch_size: [ 2, 4, 8 ] }"
    model(tmp_path / "a", f"{CONFIG}{sizes}")
    assert codes(tmp_path).count("E429") == 1
    (tmp_path / "a" / "config.pbtxt").write_text(f"{CONFIG}{sizes} max_batchsize: 8")
    found = codes(tmp_path)
    assert "E122" in found
    assert "E429" not in found
