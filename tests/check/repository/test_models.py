"""What is said of one model, against what the server says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.check import repository as rules
from ensemblegen.errors import Problem
from ensemblegen.repository.discover import read
from ensemblegen.targets import Target
from tests.check.model_cases import CASES, FULL, MODEL, Case


def problems(folder: Path, release: str | None = None) -> list[Problem]:
    target = Target(release) if release else None
    return [each for found in read(folder, target) for each in rules.run(found)]


OTHERS = ("E45", "E46", "E47", "E48", "E49")
"""What is said of parameters of other backends, and of what model.py does."""


def errors(folder: Path, release: str | None = None) -> list[str]:
    found = problems(folder, release)
    codes = [each.code for each in found if each.severity == "error"]
    return [code for code in codes if not code.startswith(OTHERS)]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    Case("good", None).write(tmp_path)
    case.write(tmp_path)
    assert errors(tmp_path) == ([case.code] if case.code else [])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_config_alone_is_not_blamed_for_its_folder(case: Case, tmp_path: Path) -> None:
    (tmp_path / "some.pbtxt").write_text(case.text)
    found = problems(tmp_path / "some.pbtxt")
    codes = {each.code for each in found if not each.code.startswith(OTHERS) or each.code == "E455"}
    assert codes <= {case.code, "E430", "E434", "E436", "E455", "E506"}
    assert not any(each.code.startswith("E6") for each in found)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("has space", "E508"),
        ("semi;colon", "E507"),
        ("dollar$x", "E507"),
        ("round(1)", "E507"),
        ("tilde~x", None),
        ("dots.in.it", None),
        ("plus+at@x", None),
    ],
)
def test_names_that_pass_through_a_shell(name: str, code: str | None, tmp_path: Path) -> None:
    Case(name, None).write(tmp_path)
    assert errors(tmp_path) == ([code] if code else [])
    # Without the shell of the Python backend the name is as good as any.
    (tmp_path / name / "config.pbtxt").write_text(FULL.replace("python", "onnxruntime"))
    assert errors(tmp_path) == []


def test_a_space_does_no_harm_where_there_is_no_shell(tmp_path: Path) -> None:
    Case("has space", None).write(tmp_path)
    assert errors(tmp_path, "24.10") == ["E508"]
    assert errors(tmp_path, "25.08") == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("$$TRITON_MODEL_DIRECTORY/env", None),
        ("$$TRITON_MODEL_DIRECTORY/1/../env", None),
        ("/opt/envs/that/is/elsewhere.tar.gz", None),
        ("", None),
        ("$TRITON_MODEL_DIRECTORY/env", "E510"),
        ("TRITON_MODEL_DIRECTORY/env", "E510"),
        ("file://$$TRITON_MODEL_DIRECTORY/env", "E510"),
        ("$$TRITON_MODEL_DIRECTORYenv", "E510"),
        ("env", "E511"),
        ("./env", "E511"),
        ("../shared/env.tar.gz", "E511"),
        ("$$TRITON_MODEL_DIRECTORY/env.zip", "E512"),
        ("/opt/environment.yml", "E512"),
        ("$$TRITON_MODEL_DIRECTORY/1", "E513"),
        ("/opt/my env", "E508"),
    ],
)
def test_environments(value: str, code: str | None, tmp_path: Path) -> None:
    more = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{value}" }} }}'
    Case("model", None, more=more, files={"env/bin/activate": ""}).write(tmp_path)
    assert errors(tmp_path) == ([code] if code else [])


def test_fixes_of_environments(tmp_path: Path) -> None:
    for value in ("$TRITON_MODEL_DIRECTORY/env", "TRITON_MODEL_DIRECTORY/env", "env", "./env"):
        more = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{value}" }} }}'
        folder = tmp_path / value.replace("/", "_")
        Case("model", None, more=more, files={"env/bin/activate": ""}).write(folder)
        [problem] = problems(folder)
        assert problem.fix is not None
        assert problem.fix.edits[0].text == '"$$TRITON_MODEL_DIRECTORY/env"'


@pytest.mark.parametrize(
    ("folders", "code"),
    [
        (("1", "2_old"), "E616"),
        (("2_old",), "E616"),
        (("1", "-1"), None),
        (("-1",), "E616"),
        (("1", "+2"), "E616"),
        (("1", "3.0"), "E616"),
        (("1", "99999999999999999999"), "E616"),
        (("1", "1_old"), None),
        (("3", "2_old"), None),
        (("1", "assets", "configs", "warmup"), None),
    ],
)
def test_folders_taken_for_versions(
    folders: tuple[str, ...], code: str | None, tmp_path: Path
) -> None:
    Case("model", None, folders=folders).write(tmp_path)
    assert errors(tmp_path) == ([code] if code else [])


def test_placeholders_are_not_judged(tmp_path: Path) -> None:
    text = """
name: "${name}" backend: "${backend}" max_batch_size: ${batch}
input { name: "X" data_type: TYPE_FP32 dims: [ ${size} ] }
output { name: "Y" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ ${size} ] } }
dynamic_batching { preferred_batch_size: [ ${preferred} ] }
instance_group { count: ${count} kind: ${kind} gpus: [ 0 ] }
version_policy { specific { versions: [ ${version} ] } }
"""
    Case("model", None, config=text).write(tmp_path)
    Case("good", None).write(tmp_path)
    assert errors(tmp_path) == []


def test_a_folder_that_git_did_not_keep(tmp_path: Path) -> None:
    """Only the ensemble is to blame, and its folder can be made."""
    Case("model", None).write(tmp_path)
    whole = """
platform: "ensemble"
input { name: "X" data_type: TYPE_FP32 dims: 1 }
output { name: "Y" data_type: TYPE_FP32 dims: 1 }
ensemble_scheduling { step { model_name: "model" model_version: -1
  input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } } }
"""
    Case("whole", None, config=whole, folders=()).write(tmp_path)
    [problem] = problems(tmp_path)
    assert problem.code == "E611"
    assert problem.fix is not None
    [(path, _)] = problem.fix.creates
    assert Path(path) == tmp_path / "whole" / "1" / "README"


def test_configs_only(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        Case(name, None, folders=()).write(tmp_path)
    assert [each.code for each in problems(tmp_path)] == ["E614"]


def test_folders_of_a_corpus_are_not_blamed_for_names(tmp_path: Path) -> None:
    for number in range(3):
        Case(f"{number:04}", None, more=f'name: "model_{number}"', folders=()).write(tmp_path)
    assert [each.code for each in problems(tmp_path)] == ["E614"]


def test_a_model_that_inherits_may_complete_its_config(tmp_path: Path) -> None:
    case = Case("model", None, config='backend: "python"\ninput { name: "X" }')
    case.write(tmp_path)
    assert "E420" in errors(tmp_path)
    source = "from base import Base\n" + MODEL.replace(
        "TritonPythonModel", "TritonPythonModel(Base)"
    )
    (tmp_path / "model" / "1" / "model.py").write_text(source)
    assert "E420" not in errors(tmp_path)
