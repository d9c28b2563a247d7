"""Folders of pipelines: what counts, what is shared, what clashes, and one write for all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ensemblegen import manifest
from ensemblegen.content import Linked
from ensemblegen.emit.files import files
from ensemblegen.emit.write import compare, write
from ensemblegen.errors import InputError
from ensemblegen.manifest import Manifest
from ensemblegen.placement import Choice
from ensemblegen.plan import Project
from ensemblegen.projects import found, project
from tests import test_branches
from tests.commands import run

ECHO = "def echo(x):\n    return {'y': x}\n"
PIPELINE = """\
ensemblegen: 1
name: NAME
inputs:
  x: {dtype: fp32, shape: [4]}
steps:
  a:
    python: ../echo.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
  b:
    libtorch: ../m/two.pt
    inputs: {first: a.y, second: a.y}
    outputs:
      less: {dtype: fp32, shape: [4]}
      more: {dtype: fp32, shape: [4]}
outputs: {LESS: b.less, MORE: b.more}
"""


@pytest.fixture
def folder(tmp_path: Path, artifacts: Path) -> Path:
    (tmp_path / "m").symlink_to(artifacts)
    (tmp_path / "echo.py").write_text(ECHO)
    return tmp_path


def put(folder: Path, name: str, *changes: tuple[str, str], file: str = "pipeline.yaml") -> Path:
    """A pipeline in a folder of its own; `changes` are made to its text."""
    text = PIPELINE.replace("NAME", name)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / (name.partition("_$")[0]) / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def models(path: Path, *variants: str, choice: Choice | None = None) -> dict[str, list[str]]:
    """The models of each pipeline, in the order of its steps."""
    made = project.sound(path, choice or Choice(), variants).project
    return {each.name: [wiring.model for wiring in each.wiring] for each in made.pipelines}


def described(folder: Path) -> Manifest:
    return manifest.from_json(json.loads(text(folder, manifest.NAME)))


def text(folder: Path, path: str, choice: Choice | None = None) -> str:
    """A file of ours in the repository of `folder`."""
    return text_of(project.sound(folder, choice or Choice()).project, path)


def text_of(made: Project, path: str) -> str:
    content = files(made)[path]
    assert isinstance(content, bytes)
    return content.decode()


MATRIX = ("inputs:\n  x", "matrix: {size: [s, m], head: [x, y]}\ninputs:\n  x")
NAME = "t_${size}_${head}"


def test_what_counts_as_a_pipeline(tmp_path: Path) -> None:
    for name, text in {
        "pipeline.yaml": "broken: [",
        "b/score.yml": "# a comment\nensemblegen: 1\n",
        "b/quoted.yaml": '"ensemblegen" : 1\n',
        "b/environment.yaml": "name: e\n",
        "b/within.yaml": "other:\n  ensemblegen: 1\n",
        "b/notes.txt": "ensemblegen: 1\n",
        ".hidden/pipeline.yaml": "ensemblegen: 1\n",
        "venv/pipeline.yaml": "ensemblegen: 1\n",
        "venv/pyvenv.cfg": "",
        "conda/pipeline.yaml": "ensemblegen: 1\n",
        "conda/conda-meta/history": "",
        "build/repository/pipeline.yaml": "ensemblegen: 1\n",
        "build/repository/manifest.json": "{}",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found.find(tmp_path)]
    assert names == ["pipeline.yaml", "b/quoted.yaml", "b/score.yml"]
    assert found.is_one(tmp_path)
    assert found.is_one(tmp_path / "any.yaml")
    assert not found.is_one(tmp_path / "venv")
    assert not found.is_one(tmp_path / "build" / "repository")


def test_a_folder_is_one_repository(folder: Path) -> None:
    put(folder, "one")
    put(folder, "two")
    made = files(project.sound(folder).project)
    read = described(folder)
    assert [each.name for each in read.pipelines] == ["one", "two"]
    assert [each.source for each in read.pipelines] == ["one/pipeline.yaml", "two/pipeline.yaml"]
    assert read.pipeline("two").models == ("two", "two_a", "two_b")
    assert [each.origin for each in read.models if each.step == "a"] == [
        "one/pipeline.yaml:6", "two/pipeline.yaml:6",
    ]  # fmt: skip
    assert {path.partition("/")[0] for path in made} == {
        "manifest.json", "one", "one_a", "one_b", "two", "two_a", "two_b",
    }  # fmt: skip
    assert text(folder, "two_a/config.pbtxt").startswith("# From two/pipeline.yaml:6, by ")


def test_a_single_file_compiles_as_it_always_did(folder: Path) -> None:
    from ensemblegen.compile import make_plan

    path = put(folder, "one")
    assert files(project.sound(path).project) == files(make_plan(path))


def test_the_same_under_one_name_is_one_model(folder: Path) -> None:
    """Though other steps of other pipelines ask for it, one of them with a placement more."""
    shared = ("    python: ../echo.py", "    python: ../echo.py\n    model: echo")
    put(folder, "one", shared)
    renamed = (("  a:\n", "  first:\n"), ("a.y", "first.y"))
    put(
        folder, "two", shared, *renamed, ("inputs:\n  x", "profiles: {far: {b: gpu}}\ninputs:\n  x")
    )
    assert models(folder) == {"one": ["echo", "one_b"], "two": ["echo", "two_b"]}
    made = files(project.sound(folder).project)
    assert [path for path in made if path.startswith("echo/configs/")] == [
        "echo/configs/cpu.pbtxt", "echo/configs/far.pbtxt", "echo/configs/gpu.pbtxt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (("    inputs: {x: x}", "    instances: 3\n    inputs: {x: x}"), "instance_group"),
        (("    inputs: {x: x}", "    max_batch_size: 99\n    inputs: {x: x}"), "(64 and 99)"),
        (("    inputs: {x: x}", "    parameters: {a: 1}\n    inputs: {x: x}"), "parameters of "),
        (("../echo.py", "../other/echo.py"), "the content of 1/echo/echo.py"),
        (("../echo.py", "../twin.py"), "1/echo/echo.py, which one of them lacks"),
        (("    inputs: {x: x}", "    device: gpu\n    inputs: {x: x}"), "instance_group"),
    ],
)  # fmt: skip
def test_another_under_one_name_is_refused_at_both_places(
    folder: Path, change: tuple[str, str], differs: str
) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "echo.py").write_text(ECHO + "\n")
    (folder / "twin.py").write_text(ECHO.replace("echo", "twin"))
    shared = ("    inputs: {x: x}", "    model: echo\n    inputs: {x: x}")
    put(folder, "one", shared)
    put(folder, "two", change, ("    outputs: {y", "    model: echo\n    outputs: {y"))
    problems = project.examine(folder).problems
    assert [each.code for each in problems] == ["E249", "E249"]
    assert {Path(each.span.path).parent.name for each in problems if each.span} == {"one", "two"}
    assert any(differs in each.message for each in problems), problems


def test_files_with_one_content_are_no_difference(folder: Path) -> None:
    shutil.copyfile(folder / "m" / "two.pt", folder / "twin.pt")
    shared = ("    inputs: {first", "    model: net\n    inputs: {first")
    put(folder, "one", shared)
    put(folder, "two", shared, ("../m/two.pt", "../twin.pt"))
    assert models(folder) == {"one": ["one_a", "net"], "two": ["two_a", "net"]}


def test_a_pipeline_that_is_a_step_is_one_of_the_folder_too(folder: Path) -> None:
    put(folder, "inner")
    (folder / "outer.yaml").write_text(
        "ensemblegen: 1\nname: outer\ninputs: {x: {dtype: fp32, shape: [4]}}\nsteps:\n"
        "  i: {ensemble: inner/pipeline.yaml, inputs: {x: x}}\noutputs: {Y: i.LESS}\n"
    )
    read = described(folder)
    assert [each.name for each in read.pipelines] == ["outer", "inner"]
    assert read.pipeline("outer").models == ("outer", "inner_a", "inner_b", "inner")
    assert [each.name for each in read.models] == ["inner_a", "inner_b"]


def test_models_of_members_and_pipelines_share_one_shelf(folder: Path) -> None:
    put(folder, "one")
    put(folder, "two", ("    inputs: {x: x}", "    model: one\n    inputs: {x: x}"))
    assert [each.code for each in project.examine(folder).problems] == ["E249", "E249"]


def test_what_variants_have_in_common_is_one_model(folder: Path) -> None:
    """`a` in all of them; `b`, whose batches differ with the size, in those of one size."""
    for size in "sm":
        shutil.copyfile(folder / "m" / "two.pt", folder / f"{size}.pt")
    put(folder, NAME, MATRIX, ("../m/two.pt", "../${size}.pt"))
    assert models(folder) == {
        "t_s_x": ["t_a", "t_s_b"],
        "t_s_y": ["t_a", "t_s_b"],
        "t_m_x": ["t_a", "t_m_b"],
        "t_m_y": ["t_a", "t_m_b"],
    }


def test_what_every_variant_has_for_itself_keeps_its_name(folder: Path) -> None:
    both = (
        "    python: ../echo.py",
        '    python: ../echo.py\n    parameters: {k: "${size}${head}"}',
    )
    put(folder, NAME, MATRIX, both)
    assert models(folder)["t_m_x"] == ["t_m_x_a", "t_b"]


def test_what_no_axes_tell_apart_is_not_shared(folder: Path) -> None:
    """Equal in two variants that agree in nothing: no name would say which."""
    listed = ("inputs:\n  x", "matrix: [{size: s, head: x, k: 1}, {size: m, head: y, k: 2}, "
              "{size: s, head: y, k: 3}, {size: m, head: x, k: 4}]\ninputs:\n  x")  # fmt: skip
    link = folder / "m"
    for k in "1234":
        (folder / f"{k}.pt").symlink_to(link / "two.pt")
    put(folder, NAME, listed, ("../m/two.pt", "../${k}.pt"))
    assert [each[1] for each in models(folder).values()] == [
        "t_s_x_b", "t_m_y_b", "t_s_y_b", "t_m_x_b",
    ]  # fmt: skip


def test_a_model_that_the_author_named_is_left(folder: Path) -> None:
    put(folder, NAME, MATRIX, ("    python:", '    model: "own_${size}_${head}"\n    python:'))
    assert models(folder)["t_s_x"] == ["own_s_x", "t_b"]


def test_a_step_that_runs_a_shared_model_again_runs_it(folder: Path) -> None:
    again = ("outputs: {LESS", "  c: {reuse: b, inputs: {first: b.less, second: b.more}}\noutputs: "
             "{AGAIN: c.less, LESS")  # fmt: skip
    put(folder, NAME, MATRIX, again)
    assert models(folder)["t_s_y"] == ["t_a", "t_b", "t_b"]


def test_joined_steps_are_shared_too(folder: Path) -> None:
    more = ("  b:\n", "  c:\n    python: ../echo.py\n    inputs: {x: a.y}\n"
            "    outputs: {y: {dtype: fp32, shape: [4]}}\n  b:\n")  # fmt: skip
    put(folder, NAME, MATRIX, more, ("first: a.y, second: a.y", "first: c.y, second: c.y"))
    made = models(folder, choice=Choice(fuse=True))
    assert made["t_m_y"] == ["t_a_to_c", "t_b"]
    steps = json.loads(text(folder, "t_a_to_c/1/step.json", Choice(fuse=True)))["steps"]
    assert {each["pipeline"] for each in steps} == {"t"}


def test_models_that_call_shared_ones_call_them_by_their_names(tmp_path: Path) -> None:
    """`small` alone is each variant's own, and so is what calls it; the author named `mapper`."""
    (tmp_path / "steps.py").write_text(test_branches.STEPS)
    text = test_branches.PIPELINE.replace("name: p\n", "name: p_${k}\nmatrix: {k: [a, b]}\n", 1)
    own = '    python: steps.py:small\n    parameters: {k: "${k}"}\n'
    (tmp_path / "t.yaml").write_text(text.replace("    python: steps.py:small\n", own))
    made = project.sound(tmp_path / "t.yaml").project
    called = {
        each.name: {member.model: member.kind.calls(member) for member in each.members}
        for each in made.pipelines
    }
    assert called["p_b"] == {
        "p_before": (), "p_b_big_when": ("p_big", "p_b_small"), "p_big": (), "p_b_small": (),
        "mapper": ("p_each",), "p_each": (),
    }  # fmt: skip
    assert {name for each in called.values() for name in each} == {
        "p_before", "p_a_big_when", "p_b_big_when", "p_big", "p_a_small", "p_b_small", "mapper",
        "p_each",
    }  # fmt: skip
    written = json.loads(text_of(made, "p_b_big_when/1/step.json"))
    assert [each["model"] for each in written["calls"]] == ["p_big", "p_b_small"]


def test_some_variants_are_compiled(folder: Path) -> None:
    path = put(folder, NAME, MATRIX)
    assert set(models(path, "s", "head=y")) == {"t_s_y"}
    assert models(path, "s") == {"t_s_x": ["t_s_a", "t_s_b"], "t_s_y": ["t_s_a", "t_s_b"]}


def test_a_profile_is_for_the_pipelines_that_have_it(folder: Path) -> None:
    put(folder, "one", ("inputs:\n  x", "profiles: {far: {b: gpu}}\ninputs:\n  x"))
    put(folder, "two")
    made = project.sound(folder, Choice(profile="far")).project
    assert [each.devices["b"] for each in made.pipelines] == ["gpu", "cpu"]
    wrong = project.examine(folder, Choice(profile="near"))
    assert [each.code for each in wrong.problems] == ["E501", "E501"]


def test_every_problem_of_every_file_is_told(folder: Path) -> None:
    put(folder, "one", ("name: one", "nmae: one"))
    put(folder, "two", ("../m/two.pt", "../m/three.pt"))
    put(folder, NAME, MATRIX, ("../m/two.pt", "../${size}.pt"))
    (folder / "four").mkdir()
    (folder / "four" / "pipeline.yaml").write_text("a: [")
    told = {
        Path(p.span.path).parent.name: p.code for p in project.examine(folder).problems if p.span
    }
    assert told == {"one": "E110", "two": "E401", "t": "E401", "four": "E102"}


def test_all_is_written_at_once_and_stays_as_it_is(folder: Path) -> None:
    put(folder, "one")
    put(folder, NAME, MATRIX)
    target = folder / "build" / "repository"
    assert write(files(project.sound(folder).project), target)
    artifact = (folder / "m" / "two.pt").resolve().stat()
    held = (target / "one_b" / "1" / "model.pt").stat()
    assert os.path.samestat(artifact, held) or held.st_blocks == artifact.st_blocks
    assert not compare(files(project.sound(folder).project), target)
    (folder / "one" / "pipeline.yaml").unlink()
    changes = write(files(project.sound(folder).project), target)
    assert {path.partition("/")[0] for path in changes.removed} == {"one", "one_a", "one_b"}
    assert changes.changed == ("manifest.json",)


def test_the_command_says_what_it_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, "one")
    put(folder, NAME, MATRIX)
    assert run("compile", str(folder), "--format", "json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["repository"] == str(folder / "build" / "repository")
    assert [(each["pipeline"], each["source"]) for each in told["pipelines"]] == [
        ("one", "one/pipeline.yaml"), ("t_s_x", "t/pipeline.yaml"), ("t_s_y", "t/pipeline.yaml"),
        ("t_m_x", "t/pipeline.yaml"), ("t_m_y", "t/pipeline.yaml"),
    ]  # fmt: skip
    assert told["pipelines"][2]["variant"] == {"size": "s", "head": "y"}
    assert run("compile", str(folder)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("compiled 5 pipelines for cpu into ")
    assert shown[2:] == [
        "  models  4, 2 of them of several pipelines",
        "  edges   25, none between host and GPU",
        "  one/pipeline.yaml: one",
        "  t/pipeline.yaml: t_s_x, t_s_y, t_m_x, t_m_y",
    ]
    assert run("check", str(folder)) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].endswith("one/pipeline.yaml: 2 steps")
    assert rows[1].endswith("t/pipeline.yaml: 4 pipelines of 2 steps")
    assert run("compile", str(folder), "--check") == 0
    assert run("compile", str(folder), "--variant", "s") == 2


def test_the_graph_of_one_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, "one")
    put(folder, NAME, MATRIX)
    assert run("graph", str(folder), "--pipeline", "t_s_y") == 0
    assert capsys.readouterr().out.startswith("t_s_y for cpu")
    assert run("compile", str(folder)) == 0
    capsys.readouterr()
    repository = folder / "build" / "repository"
    assert run("graph", str(repository), "--pipeline", "t_s_y") == 0
    assert capsys.readouterr().out.startswith("t_s_y for ")
    assert run("graph", str(repository), "--pipeline", "t") == 1
    assert "E604" in capsys.readouterr().err


def test_copies_of_variants_are_told_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, NAME, MATRIX, ("    libtorch:", "    device: gpu\n    libtorch:"))
    assert run("compile", str(folder), "--forbid-copies") == 1
    told = capsys.readouterr().err
    assert told.count("error E515") == 2, "one for each input"
    assert "(in all 4 variants)" in told
    assert not (folder / "build").exists()


def test_artifacts_are_not_read_for_a_template_s_keys(folder: Path) -> None:
    """Sharing is asked of paths: hashing hundreds of models would take minutes."""
    put(folder, NAME, MATRIX)
    made = project.sound(folder).project
    linked = [content for content in files(made).values() if isinstance(content, Linked)]
    assert len(linked) == 1


def test_environments_of_a_folder_are_those_of_its_pipelines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "e").mkdir()
    (folder / "e" / "conda").mkdir()
    (folder / "e" / "conda" / "own.yaml").write_text("dependencies: [python=3.10.*]\n")
    put(folder, "one")
    put(folder, "e", ("    python:", "    environment: own\n    python:"))
    assert run("env", "list", str(folder), "--format", "json") == 0
    (needed,) = json.loads(capsys.readouterr().out)["environments"]
    assert (needed["environment"], needed["steps"]) == ("own", ["a"])


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no pipeline below"):
        project.examine(tmp_path)
