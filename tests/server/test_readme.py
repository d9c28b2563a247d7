"""README.md is true: its files are written, its commands run, its output is what comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ensemblegen.cli.app import main


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(
    readme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", "loudspeaker")
    for name, body in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", readme, re.DOTALL):
        assert (tmp_path / "loudspeaker" / name).read_text(encoding="utf-8") == body
    capsys.readouterr()
    (session,) = re.findall(r"<!-- run -->\n```console\n(.*?)```", readme, re.DOTALL)
    commands = re.findall(r"^\$ ensemblegen (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    assert len(commands) == 3
    for command, expected in commands:
        run(*shlex.split(command))
        assert capsys.readouterr().out == expected


def run(*words: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(list(words))


def test_the_commands_of_the_table_exist(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ensemblegen.cli.app import COMMANDS, GROUPS

    table = readme.partition("\n## Commands\n")[2]
    listed = re.findall(r"^\| `(\w+)", table, re.MULTILINE)
    assert set(GROUPS) <= set(listed)
    assert [word for word in listed if word not in GROUPS] == list(COMMANDS)


def test_the_kinds_of_the_table_are_all_there_are(readme: str) -> None:
    from ensemblegen.members import KINDS

    table = readme.partition("| word | what it takes |")[2].partition("\n\n")[0]
    listed = [word for row in table.splitlines() for word in re.findall(r"`(\w+)`", row[:30])]
    assert sorted(listed) == sorted(KINDS)


def test_the_links_lead_somewhere(readme: str, root: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", readme)
    assert links
    assert [link for link in links if not (root / link).exists()] == []
