"""One broken input for each code, and exactly what the author is told about it.

`<case>.yaml`, `<case>.pbtxt` and the folder `<case>.repo` are checked; `<case>.cmd` holds commands
instead, of which the last is the mistake. `<case>.txt` is what goes to standard error;
`pytest tests/test_problems.py --update-golden` rewrites it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from ensemblegen.cli.app import main
from ensemblegen.codes import CODES

PROBLEMS = Path(__file__).resolve().parent / "problems"
NEEDS_MODELS = (".yaml", ".cmd")
INPUTS = {
    path.stem: path.name
    for path in sorted(PROBLEMS.iterdir())
    if path.stem.startswith("E") and path.suffix in (*NEEDS_MODELS, ".pbtxt", ".repo")
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the cases."""
    folder = tmp_path_factory.mktemp("problems") / "here"
    shutil.copytree(PROBLEMS, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def models(bench: Path, artifacts: Path) -> None:
    """The models of pipelines, beside the cases."""
    (bench / "artifacts").symlink_to(artifacts)


@pytest.mark.parametrize("case", INPUTS)
def test_problem(
    case: str,
    bench: Path,
    update_golden: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = INPUTS[case]
    if name.endswith(NEEDS_MODELS) or any(map(Path.is_symlink, (bench / name).rglob("*"))):
        request.getfixturevalue("models")
    monkeypatch.chdir(bench)
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path))
    for variable in ("ENSEMBLEGEN_CONDA", "ENSEMBLEGEN_STUBS"):
        monkeypatch.delenv(variable, raising=False)
    commands = name.endswith(".cmd")
    lines = (bench / name).read_text().splitlines() if commands else [f"check {name}"]
    for line in lines[:-1]:
        with pytest.raises(SystemExit, match="0"):
            main(line.split())
    before = listing(bench)
    with pytest.raises(SystemExit) as left:
        main(lines[-1].split())
    told = capsys.readouterr().err.replace(str(bench), "HERE")
    golden = PROBLEMS / f"{case}.txt"
    if update_golden:
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8")
    assert f"{case.partition('-')[0]}:" in told
    assert left.value.code == (1 if "error E" in told else 0)
    assert listing(bench) == before, "a refused input changed the disk"


def listing(folder: Path) -> list[Path]:
    """Every path below `folder`; Python's own caches come from serving, not from us."""
    ours = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sorted(path for path in ours if "artifacts" not in path.parts)


@pytest.mark.usefixtures("models")
def test_the_good_one_is_good(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bench)
    with pytest.raises(SystemExit) as left:
        main(["check", "good.yaml"])
    assert left.value.code == 0
    assert "no errors" in capsys.readouterr().out


def test_every_code_has_a_case() -> None:
    assert {case.partition("-")[0] for case in INPUTS} == set(CODES)


def test_every_case_has_its_input() -> None:
    texts = {path.stem for path in PROBLEMS.glob("*.txt")} - {"vocab"}
    assert texts == set(INPUTS)


def test_no_case_has_two_inputs() -> None:
    suffixes = (*NEEDS_MODELS, ".pbtxt", ".repo")
    stems = Counter(path.stem for path in PROBLEMS.glob("E*") if path.suffix in suffixes)
    assert [stem for stem, count in stems.items() if count > 1] == []
