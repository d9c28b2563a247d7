"""What an author may declare, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.cli import render
from ensemblegen.environments import declared, demands, profile
from ensemblegen.environments.declared import Declared
from ensemblegen.errors import InputError
from ensemblegen.targets import Target

TEXT = """\
name: other
channels: [conda-forge, ./channel, https://here/channel]
dependencies:
  - python=3.10.*
  - conda-forge::scikit_learn >=1.3,<1.5
  - pip:
      - regex==2024.11.6
      - --index-url https://here/simple
imports: [regex]
"""


def read(folder: Path, text: str = TEXT, name: str = "a") -> Declared:
    path = folder / "conda" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return declared.read(path)


def test_a_file_of_conda(tmp_path: Path) -> None:
    (tmp_path / "conda" / "channel").mkdir(parents=True)
    found = read(tmp_path)
    assert (found.name, found.builder) == ("a", "rattler")  # by its file, as steps name it
    here = (tmp_path / "conda" / "channel").as_uri()
    assert found.channels == ("conda-forge", here, "https://here/channel")
    assert [each.name for each in found.requirements] == ["python", "scikit-learn", "regex"]
    assert found.conda[1].constraint == ">=1.3,<1.5"
    assert [each.text for each in found.pip] == [
        "regex==2024.11.6",
        "--index-url https://here/simple",
    ]
    assert found.pinned_python == "3.10"
    assert found.lock_path == tmp_path / "conda" / "a.lock"
    span = found.span("regex")
    assert span is not None
    assert span.line == 7


@pytest.mark.parametrize(
    ("spec", "minor"),
    [
        ("python=3.10", "3.10"),
        ("python==3.11.7", "3.11"),
        ("python 3.12.*", "3.12"),
        ("python ~=3.9.0", "3.9"),
        ("python >=3.10,<3.12", None),
        ("python", None),
        ("python=2.7", "2.7"),
        ("python-dateutil=3.1", None),
    ],
)
def test_the_python_that_it_fixes(tmp_path: Path, spec: str, minor: str | None) -> None:
    assert read(tmp_path, f"dependencies: ['{spec}']").pinned_python == minor


@pytest.mark.parametrize(
    ("dependencies", "messages"),
    [
        ("[yes]", ["dependencies must be text, not true"]),
        ("[python, 3, 1.5]", [f"dependencies must be text, not {each}" for each in (3, 1.5)]),
        ("[pip: requests]", ["pip must be a list, not 'requests'"]),
        ("", ["dependencies must be a list, not nothing"]),
        ("[]", ["dependencies must not be empty"]),
    ],
)
def test_a_dependency_of_the_wrong_form_is_told_once(
    tmp_path: Path, dependencies: str, messages: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, f"dependencies: {dependencies}\n")
    assert [each.message for each in error.value.problems] == messages


def test_equal_wishes_are_one_environment(tmp_path: Path) -> None:
    same = TEXT.replace("name: other\n", "").replace("  - python=3.10.*\n", "").replace(
        "dependencies:\n", "dependencies: # the same\n"
    )  # fmt: skip
    same = same.replace("imports:", "  - python=3.10.*\nimports:").replace(" >=1.3", "  >=1.3")
    first, second = read(tmp_path), read(tmp_path, same, "b")
    assert first.digest() == second.digest()
    for changed in (
        TEXT.replace("3.10", "3.11"),
        TEXT.replace("[regex]", "[regex, numpy]"),
        TEXT.replace("conda-forge, ./channel", "./channel, conda-forge"),
        TEXT.replace("2024.11.6", "2024.11.7"),
    ):
        assert read(tmp_path, changed, "c").digest() != first.digest()


@pytest.mark.parametrize(
    ("text", "code", "says", "line"),
    [
        ("- numpy\n", "E520", "mapping", 1),
        ("variables: {A: b}\ndependencies: [numpy]\n", "E520", "`variables`", 1),
        ("dependencies: [numpy]\nbuilder: thin\n", "E520", "'numpy' is a conda package", 1),
        ("dependencies:\n  - numpy\n  - scipy ==> 3\n", "E521", "scipy ==> 3", 3),
        ("dependencies: [python, {pip: [-e .]}]\n", "E521", "-e .", 1),
        ("dependencies: [python, {pip: [-r more.txt]}]\n", "E521", "-r more.txt", 1),
        ("dependencies: [python, {pip: [./x.whl]}]\n", "E521", "./x.whl", 1),
    ],
)
def test_what_cannot_be(tmp_path: Path, text: str, code: str, says: str, line: int) -> None:
    pytest.importorskip("rattler")
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    problem = error.value.problems[0]
    assert (problem.code, problem.span and problem.span.line) == (code, line)
    assert says in problem.message


@pytest.mark.parametrize("text", ["dependencies: []", "channels: [x]", "dependencies: [1]", "a: b"])
def test_another_form(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert all(each.span is not None for each in error.value.problems)


@pytest.mark.parametrize("name", ["env", "env.tar.gz", "env.tgz", "env.tar"])
def test_what_is_there_already(tmp_path: Path, name: str) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "activate").touch()
    found = declared.read(tmp_path / name)
    assert (found.name, found.builder, found.span()) == ("env", "prebuilt", None)


def test_a_folder_that_is_no_environment(tmp_path: Path) -> None:
    read(tmp_path)
    for folder, hint in ((tmp_path, "an archive"), (tmp_path / "conda", "a.yaml")):
        found, problems = demands.declared_at(folder, Target("24.10"))
        assert found is None
        assert [each.code for each in problems] == ["E531"]
        assert "no bin/activate" in problems[0].message
        assert hint in (problems[0].hint or "")


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("channels: [a, 'https://me:s3cret@host/c']\ndependencies: [x]\n", "E527", 1),
        ("channels: ['https://host/t/s3cret/c']\ndependencies: [x]\n", "E527", 1),
        ("dependencies: ['https://me:s3cret@host/c::x']\n", "E521", 1),
        (
            "dependencies:\n- pip:\n  - --extra-index-url https://me:s3cret@host/simple\n  - x\n",
            "E521",
            3,
        ),
        ("dependencies: [pip: ['x @ https://s3cret@host/x-1-py3-none-any.whl']]\n", "E521", 1),
    ],
)
def test_secrets_are_refused_and_not_told(
    tmp_path: Path, text: str, code: str, line: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    (problem,) = error.value.problems
    assert (problem.code, problem.span and problem.span.line) == (code, line)
    assert "netrc" in problem.message + (problem.hint or "")
    render.print_error(error.value, render.Format.human)
    render.print_error(error.value, render.Format.json)
    told = capsys.readouterr()
    assert "host" in told.err
    assert "s3cret" not in told.err + told.out + str(error.value)


def test_the_lock_is_the_same_in_a_moved_checkout(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two (2) with a space"):
        (tmp_path / name / "conda" / "channel").mkdir(parents=True)
        found = read(tmp_path / name)
        assert list(found.local) == ["./channel"]
        digests.append(found.digest())
    assert digests[0] == digests[1]
    same = read(tmp_path / "one", TEXT.replace("./channel", "../conda/channel/"), "b")
    assert same.channels == read(tmp_path / "one").channels


@pytest.mark.parametrize("spec", ["numpy=2.*", "numpy >=2", "numpy==2.1.0", "numpy>=2.1,<3"])
def test_numpy_2_is_seen_before_anything_is_solved(tmp_path: Path, spec: str) -> None:
    found = read(tmp_path, f"dependencies: ['{spec}']")
    (problem,) = demands.problems(found, Target("24.10"))
    assert problem.code == "E523"
    assert not list(demands.problems(found, Target("25.01")))


@pytest.mark.parametrize(
    "spec", ["numpy", "numpy=1.26.*", "numpy >=1.22,<2", "numpy<3", "numpy!=2"]
)
def test_numpy_1_is_left_to_the_solver(tmp_path: Path, spec: str) -> None:
    found = read(tmp_path, f"dependencies: ['{spec}']")
    assert not list(demands.problems(found, Target("24.10")))


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    found = read(tmp_path, "dependencies: ['python=3.7.*']")
    (problem,) = demands.problems(found, Target("24.10"))
    assert problem.code == "E522"


def test_what_the_server_demands_besides(tmp_path: Path) -> None:
    found = read(tmp_path, "dependencies: [scipy]")
    old, new = profile.of(found, Target("24.10")), profile.of(found, Target("25.01"))
    assert old.conda_specs(found) == ("scipy", "python 3.10.*", "numpy")
    assert "numpy <2" in old.constraints
    assert "numpy <2" not in new.constraints
    assert old.python == old.target.python
    assert "__cuda" not in old.virtual
    other = read(tmp_path, "dependencies: ['python=3.11.*', numpy, cuda-version=12.6]")
    gpu = profile.of(other, Target("24.10"))
    assert gpu.conda_specs(other) == ("python=3.11.*", "numpy", "cuda-version=12.6")
    assert gpu.python != gpu.target.python
    assert "__cuda" in gpu.virtual
