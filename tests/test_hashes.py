"""Hashes of artifacts are remembered for as long as nobody can have written to them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ensemblegen.content import Content, Linked
from ensemblegen.emit.hashes import Hashes
from ensemblegen.emit.write import write
from tests.commands import run
from tests.test_write import with_manifest

SIZE = 1 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes.json"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"a" * SIZE)
    return path


def told(path: Path) -> str | None:
    """What is remembered of a file."""
    content = Hashes().told(Linked(path))
    assert isinstance(content, Linked)
    return content.known


def compiled(path: Path, target: Path) -> None:
    """As the command does it."""
    hashes = Hashes()
    made: dict[str, Content] = {"m/1/model.pt": hashes.told(Linked(path))}
    write(with_manifest(made), target)
    hashes.keep(made.values())


def test_a_second_compile_reads_no_artifact(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(weights) is None
    compiled(weights, tmp_path / "r")
    assert told(weights) == Linked(weights).sha256
    monkeypatch.setattr(Linked, "sha256", property(lambda each: each.known or 1 / 0))
    compiled(weights, tmp_path / "r")


def test_our_own_links_are_no_change(tmp_path: Path, weights: Path) -> None:
    for name in "abc":
        compiled(weights, tmp_path / name)
        assert told(weights) == Linked(weights).sha256


def test_a_write_that_hides_itself_is_noticed(tmp_path: Path, weights: Path) -> None:
    """In place, of the same size, and with the time of modification put back: as rsync does it."""
    compiled(weights, tmp_path / "r")
    before = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"b")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino, before.st_size, before.st_mtime_ns,
    )  # fmt: skip
    assert told(weights) is None


def test_another_file_in_its_place_is_noticed(tmp_path: Path, weights: Path) -> None:
    compiled(weights, tmp_path / "r")
    other = tmp_path / "other.pt"
    other.write_bytes(b"b" * SIZE)
    other.replace(weights)
    assert told(weights) is None


def test_a_write_while_it_is_compiled_is_not_remembered(tmp_path: Path, weights: Path) -> None:
    hashes = Hashes()
    content = hashes.told(Linked(weights))
    assert isinstance(content, Linked)
    assert content.sha256
    time.sleep(0.02)
    weights.write_bytes(b"b" * SIZE)
    hashes.keep([content])
    assert told(weights) is None


def test_small_files_are_not_worth_it(tmp_path: Path, cache: Path) -> None:
    small = tmp_path / "small.pt"
    small.write_bytes(b"a")
    compiled(small, tmp_path / "r")
    assert not cache.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"1:2": 3}', '{"1:2": [1, 2, 3]}', '{"1:2": null}']
)
def test_a_damaged_cache_is_none(cache: Path, tmp_path: Path, weights: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_text(text)
    assert told(weights) is None
    compiled(weights, tmp_path / "r")
    assert told(weights) == Linked(weights).sha256


def test_without_a_usable_cache_nothing_is_remembered(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", "relative")
    compiled(weights, tmp_path / "r")
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(weights))
    compiled(weights, tmp_path / "r")
    assert told(weights) is None


def test_check_believes_no_cache(
    tmp_path: Path, artifacts: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is remembered: `--check` is what CI asks."""
    path = tmp_path / "two.pt"
    path.write_bytes((artifacts / "two.pt").read_bytes() + b"\0" * SIZE)
    (tmp_path / "step.py").write_text("def step(x):\n    return {'y': x}\n")
    (tmp_path / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [1]}}\nsteps:\n"
        "  a: {python: step.py, inputs: {x: x}, assets: [two.pt],\n"
        "      outputs: {y: {dtype: fp32, shape: [1]}}}\noutputs: {Y: a.y}\n"
    )
    pipeline = str(tmp_path / "pipeline.yaml")
    assert run("compile", pipeline) == 0
    (key,) = json.loads(cache.read_text())
    *stamp, _ = json.loads(cache.read_text())[key]
    cache.write_text(json.dumps({key: [*stamp, "0" * 64]}))
    assert run("compile", pipeline, "--check") == 0
    assert run("compile", pipeline, "--dry-run") == 0
    assert "changed" in capsys.readouterr().out.splitlines()[-3]
