"""`check` as scripts, editors and people meet it: formats, choices, fixes, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ensemblegen.check import repository as rules
from ensemblegen.cli.app import main
from ensemblegen.codes import CODES
from ensemblegen.errors import Edit, Fix, Problem, Span
from ensemblegen.repository.model import Model, Repository

CONFIG = """\
backend: "python"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command's exit code, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["check", *words])
        assert isinstance(left.value.code, int)
        told = capsys.readouterr()
        return left.value.code, told.out, told.err

    return call


def rule(model: Model, repository: Repository) -> Iterable[Problem]:
    """`bad` is an error with a fix, `odd` a warning, `note` worth knowing."""
    assert model.config is not None
    path = model.config.path
    codes = {"bad": "E302", "odd": "E215", "note": "E229"}
    for number, line in enumerate(model.config.text.splitlines(), 1):
        for word, code in codes.items():
            if f"# {word}" in line:
                column = line.index(word) + 1
                span = Span(path, number, column, column + len(word))
                fix = Fix("mend it", (Edit(span, "good"),)) if word == "bad" else None
                yield Problem(code, f"{word} in '{model.name}'", span, "a hint", fix)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rules, "RULES", (rule,))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def model(folder: Path, *lines: str) -> Path:
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1" / "model.py").write_text("class TritonPythonModel:\n    pass\n")
    (folder / "config.pbtxt").write_text(CONFIG + "".join(f"{line}\n" for line in lines))
    return folder


def test_a_good_one(folder: Path, run: Run) -> None:
    model(folder / "models" / "m")
    assert run("models") == (0, "models: 1 model: no errors\n", "")


def test_human(folder: Path, run: Run) -> None:
    model(folder / "models" / "m", "# note", "# odd", "# bad")
    code, out, err = run("models")
    assert code == 1
    assert out == (
        "models: 1 model: 1 error, 1 warning, 1 note, 1 can be fixed with --fix\n"
        "`ensemblegen explain E302` says more of that error\n"
    )
    assert err == (
        "models/m/config.pbtxt:6:3: warning E215: odd in 'm'\n"
        "  6 | # odd\n    |   ^^^\n  hint: a hint\n"
        "models/m/config.pbtxt:7:3: error E302: bad in 'm'\n"
        "  7 | # bad\n    |   ^^^\n  hint: a hint\n"
        "models/m/config.pbtxt:5:3: info E229: note in 'm'\n"
        "  5 | # note\n    |   ^^^^\n  hint: a hint\n"
    )


def test_several_paths(folder: Path, run: Run) -> None:
    model(folder / "a" / "m", "# bad")
    model(folder / "b" / "m")
    code, out, _ = run("a", "b", "a")
    assert code == 1
    assert out.startswith("a: 1 model\nb: 1 model\na: 1 model\n3 checked: 1 error, ")


def test_json(folder: Path, run: Run) -> None:
    model(folder / "models" / "m", "# bad", "# odd")
    code, out, err = run("models", "--format", "json")
    value = json.loads(out)
    assert (code, err, value["ok"]) == (1, "", False)
    assert value["counts"] == {"error": 1, "warning": 1, "info": 0, "fixable": 1}
    assert value["checked"] == [
        {
            "path": "models",
            "kind": "repository",
            "steps": None,
            "variants": 0,
            "models": 1,
            "ensembles": 0,
        }
    ]
    assert value["problems"][0] == {
        "code": "E302",
        "severity": "error",
        "title": "shapes differ along an edge",
        "message": "bad in 'm'",
        "path": "models/m/config.pbtxt",
        "line": 5,
        "column": 3,
        "end_column": 6,
        "hint": "a hint",
        "fixable": True,
    }
    assert value["changes"] == value["refused"] == []


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ((), 1, {"E302", "E215", "E229"}),
        (("--select", "E3"), 1, {"E302"}),
        (("--select", "e302,E229"), 1, {"E302", "E229"}),
        (("--select", "E302", "--select", "E215"), 1, {"E302", "E215"}),
        (("--ignore", "E302"), 0, {"E215", "E229"}),
        (("--ignore", "E302", "--strict"), 1, {"E215", "E229"}),
        (("--select", "E229", "--strict"), 0, {"E229"}),
        (("--severity", "warning"), 1, {"E302", "E215"}),
        (("--severity", "error"), 1, {"E302"}),
    ],
)
def test_choices(
    words: tuple[str, ...], code: int, shown: set[str], folder: Path, run: Run
) -> None:
    model(folder / "models" / "m", "# bad", "# odd", "# note")
    left, out, _ = run("models", "--format", "json", *words)
    assert left == code
    value = json.loads(out)
    assert value["ok"] == (code == 0)
    assert {each["code"] for each in value["problems"]} == shown


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("models", "--target", "9"),
        ("models", "--target", "19.01"),
        ("models", "--select", "X1"),
        ("models", "--ignore", "E302,"),
        ("models", "--fix", "--diff"),
        ("models", "--format", "xml"),
        ("models", "--severity", "fatal"),
    ],
)
def test_usage_is_2(words: tuple[str, ...], folder: Path, run: Run) -> None:
    assert run(*words)[0] == 2


def test_diff_changes_nothing(folder: Path, run: Run) -> None:
    path = model(folder / "models" / "m", "# bad") / "config.pbtxt"
    before = path.read_text()
    code, out, err = run("models", "--diff")
    assert code == 1
    assert "-# bad\n+# good\n" in out
    assert "E302" in err
    assert path.read_text() == before


def test_fix_shows_applies_and_looks_again(folder: Path, run: Run) -> None:
    path = model(folder / "models" / "m", "# bad", "# odd", "# bad") / "config.pbtxt"
    code, out, err = run("models", "--fix")
    assert code == 0
    assert "--- models/m/config.pbtxt\n+++ models/m/config.pbtxt\n" in out
    assert "models: 1 model: no errors, 1 warning, 2 fixed\n" in out
    assert "E302" not in err
    assert "E215" in err
    assert path.read_text() == CONFIG + "# good\n# odd\n# good\n"
    assert run("models", "--fix")[1].startswith("models: 1 model: no errors, 1 warning, 0 fixed\n")


def test_fix_in_json(folder: Path, run: Run) -> None:
    model(folder / "models" / "m", "# bad")
    value = json.loads(run("models", "--fix", "--format", "json")[1])
    assert value["ok"]
    (change,) = value["changes"]
    assert (change["path"], change["created"], change["applied"]) == (
        "models/m/config.pbtxt",
        False,
        True,
    )
    assert "+# good" in change["diff"]


def test_only_what_is_chosen_is_fixed(folder: Path, run: Run) -> None:
    path = model(folder / "models" / "m", "# bad") / "config.pbtxt"
    assert run("models", "--fix", "--ignore", "E302")[0] == 0
    assert "# bad" in path.read_text()


def test_what_lies_elsewhere_is_said_and_left(folder: Path, run: Run) -> None:
    outside = model(folder / "outside", "# bad")
    inside = model(folder / "models" / "m")
    (inside / "config.pbtxt").unlink()
    (inside / "config.pbtxt").symlink_to(outside / "config.pbtxt")
    code, out, _ = run("models", "--fix")
    assert code == 1
    assert "models/m/config.pbtxt is not changed: a link leads to" in out
    assert "# bad" in (outside / "config.pbtxt").read_text()


def test_a_fix_that_mends_nothing_is_tried_once(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(folder / "models" / "m") / "config.pbtxt"

    def useless(model: Model, repository: Repository) -> Iterable[Problem]:
        span = Span(str(model.config.path) if model.config else "", 1, 1, 1)
        yield Problem("E302", "still", span, fix=Fix("add", (Edit(span, "# more\n"),)))

    monkeypatch.setattr(rules, "RULES", (useless,))
    assert run("models", "--fix")[0] == 1
    assert path.read_text() == "# more\n" + CONFIG


TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
REGION = {
    "type": "object",
    "required": ["startLine"],
    "properties": {
        name: {"type": "integer", "minimum": 1}
        for name in ("startLine", "startColumn", "endColumn")
    },
    "additionalProperties": False,
}
ARTIFACT = {
    "type": "object",
    "required": ["uri"],
    "properties": {"uri": {"type": "string", "pattern": r"^[\x21-\x7e]+$"}},
    "additionalProperties": False,
}


def listed(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


def made_of(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": False,
    }


LEVEL = {"enum": ["none", "note", "warning", "error"]}
PLACE = made_of({"physicalLocation": made_of({"artifactLocation": ARTIFACT}, region=REGION)})
REPLACEMENT = made_of({"deletedRegion": REGION}, insertedContent=TEXT)
FIX = made_of(
    {
        "artifactChanges": listed(
            made_of({"artifactLocation": ARTIFACT, "replacements": listed(REPLACEMENT, 1)}), 1
        )
    },
    description=TEXT,
)
RULE = made_of(
    {"id": {"type": "string"}},
    shortDescription=TEXT,
    help=TEXT,
    defaultConfiguration=made_of({}, level=LEVEL),
)
RESULT = made_of(
    {"message": TEXT},
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    locations=listed(PLACE),
    fixes=listed(FIX),
)
RUN = made_of(
    {
        "tool": made_of(
            {"driver": made_of({"name": {"type": "string"}}, version={}, rules=listed(RULE))}
        )
    },
    results=listed(RESULT),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations=listed(made_of({"executionSuccessful": {"type": "boolean"}})),
)
SARIF = made_of({"version": {"const": "2.1.0"}, "runs": listed(RUN)}, **{"$schema": {}})
"""What the SARIF 2.1.0 schema says of the objects that we write."""


def test_sarif(folder: Path, run: Run) -> None:
    model(folder / "models" / "m ü", "# bad", "# odd", "# note")
    code, out, err = run("models", "nowhere.yaml", "--format", "sarif")
    assert (code, err) == (1, "")
    value = json.loads(out)
    jsonschema.validate(value, SARIF)
    (only,) = value["runs"]
    rules_ = only["tool"]["driver"]["rules"]
    assert [each["ruleId"] for each in only["results"]] == ["E302", "E215", "E229", "E101"]
    for result in only["results"]:
        assert rules_[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [each["level"] for each in only["results"]] == ["error", "warning", "note", "error"]
    first, *_, last = only["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "models/m%20%C3%BC/config.pbtxt"
    assert place["region"] == {"startLine": 5, "startColumn": 3, "endColumn": 6}
    assert first["fixes"][0]["artifactChanges"][0]["replacements"] == [
        {"deletedRegion": place["region"], "insertedContent": {"text": "good"}}
    ]
    assert "locations" not in last


@pytest.mark.parametrize("below", [True, False])
def test_sarif_of_absolute_paths(below: bool, folder: Path, run: Run) -> None:
    there = model(folder / "models" / "m", "# bad") if below else Path("/nowhere")
    out = run(str(folder / "models") if below else "/nowhere", "--format", "sarif")[1]
    (result,) = json.loads(out)["runs"][0]["results"]
    if below:
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place["uri"] == str(there.relative_to(folder) / "config.pbtxt")


def test_github(folder: Path, run: Run) -> None:
    model(folder / "models" / "a,b: 5%", "# bad", "# note")
    code, out, err = run(str(folder / "models"), "--format", "github")
    assert (code, err) == (1, "")
    assert out == (
        "::error file=models/a%2Cb%3A 5%25/config.pbtxt,line=5,endLine=5,col=3,endColumn=6,"
        "title=E302%3A shapes differ along an edge::bad in 'a,b: 5%25'%0Ahint: a hint\n"
        "::notice file=models/a%2Cb%3A 5%25/config.pbtxt,line=6,endLine=6,col=3,endColumn=7,"
        f"title=E229%3A {CODES['E229'].title}::note in 'a,b: 5%25'"
        "%0Ahint: a hint\n"
    )


@pytest.mark.parametrize("form", ["human", "json", "sarif", "github"])
def test_nothing_moves_the_cursor(form: str, folder: Path, run: Run) -> None:
    evil = "m\x1b[31m\n::error::\x9b\u202e\r"
    model(folder / "models" / evil, "# \x1b]0;title\x07\x9b# bad \u202e\x7f")
    for words in (("--format", form), ("--format", form, "--diff")):
        _, out, err = run("models", *words)
        told = out + err
        assert "E302" in told
        for letter in "\x1b\x07\x9b\u202e\x7f\r":
            assert letter not in told
        assert not any(line.lstrip().startswith("::error::") for line in told.splitlines())


def test_the_caret_stands_below_what_is_meant(folder: Path, run: Run) -> None:
    model(folder / "models" / "m", "# \x1b\t\x1b # bad")
    err = run("models")[2].splitlines()
    assert err[1] == "  5 | # \\u001b\t\\u001b # bad"
    assert err[2] == "    |         \t         ^^^"


def test_line_100_is_no_emoji(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    model(folder / "models" / "m", *[""] * 95, "# bad")
    assert ":100:" in run("models")[2]


def test_a_config_starts_fast(folder: Path, root: Path) -> None:
    """Nothing that is not needed is imported."""
    model(folder / "m")
    heavy = {"torch", "numpy", "grpc", "yaml", "rich", "ensemblegen.compile"}
    code = (
        "import sys\n"
        "from ensemblegen.cli.app import main\n"
        "try:\n    main(['check', 'm/config.pbtxt'])\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root / "pipeline"), "PATH": "/usr/bin:/bin"},
    )
    assert "1 model: " in done.stdout
    assert "loaded: []" in done.stdout
