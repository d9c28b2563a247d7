"""Where a name is looked for: beside the pipeline, in the project, among the built-in."""

from __future__ import annotations

from pathlib import Path

from ensemblegen import catalog


def step(folder: Path, name: str) -> Path:
    place = folder / "python_models" / name
    place.mkdir(parents=True)
    (place / "step.py").write_text("def step(x):\n    return x\n")
    return place


def test_the_nearest_wins_and_the_built_in_come_last(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    inner = tmp_path / "ensembles" / "p"
    inner.mkdir(parents=True)
    assert catalog.find_step("readability_preprocess", inner) is not None
    assert catalog.find_step("mine", inner) is None
    project = step(tmp_path, "mine")
    assert catalog.find_step("mine", inner) == project
    beside = step(inner, "mine")
    assert catalog.find_step("mine", inner) == beside
    assert {"mine", "readability_postprocess"} <= set(catalog.step_names(inner))


def test_the_search_ends_at_the_projects_root(tmp_path: Path) -> None:
    step(tmp_path, "outside")
    project = tmp_path / "project"
    project.mkdir()
    (project / ".git").mkdir()
    assert catalog.find_step("outside", project) is None


def test_a_path_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "a.py").write_text("def a(x):\n    return x\n")
    assert catalog.find_step("steps/a.py", tmp_path) == tmp_path / "steps" / "a.py"
    assert catalog.find_step("steps", tmp_path) == tmp_path / "steps"
    assert catalog.find_step("steps/b.py", tmp_path) is None


def test_environments(tmp_path: Path) -> None:
    (tmp_path / "conda").mkdir()
    (tmp_path / "conda" / "mine.yaml").write_text("dependencies: []\n")
    assert catalog.find_environment("mine", tmp_path) == tmp_path / "conda" / "mine.yaml"
    assert catalog.find_environment("readability", tmp_path) is not None
    assert catalog.find_environment("yours", tmp_path) is None
    assert {"mine", "readability"} <= set(catalog.environment_names(tmp_path))
