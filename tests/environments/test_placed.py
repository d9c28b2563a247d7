"""What `env verify` and the server's start say of environments beside a repository."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from ensemblegen import json_text, manifest
from ensemblegen.content import Linked
from ensemblegen.emit import beside
from ensemblegen.environments import placed
from ensemblegen.manifest import Manifest, ManifestEnvironment
from tests.environments import planted, projects

KEY = "0123456789abcdef" * 4
MARKER = b"{}"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    files = {**planted.FILES, "ensemblegen-env.json": MARKER}
    path = tmp_path / "key.tar.gz"
    path.write_bytes(gzip.compress(planted.tar(planted.entries(files))))
    return path


def repository(archive: Path, *, unpacked: bool) -> tuple[Path, Path]:
    """A compiled one, and where its environment lies."""
    content = Linked(archive, Linked(archive).sha256)
    path = f"envs/{KEY[:16]}" + ("" if unpacked else ".tar.gz")
    environment = ManifestEnvironment(
        KEY, "a", "3.11", content.sha256, content.size, "ensemblegen-env.json",
        hashlib.sha256(MARKER).hexdigest(), path,
    )  # fmt: skip
    made = archive.parent / "build" / "repository"
    made.mkdir(parents=True)
    whole = Manifest("0", "24.10", (), (), {}, (environment,))
    (made / manifest.NAME).write_text(json_text.text(manifest.to_json(whole)))
    beside.put({path: (content, unpacked)}, made)
    return made, made.parent / path


def said(made: Path) -> tuple[str | None, str | None]:
    """By `env verify`, and before a server starts."""
    ((_, problem),) = placed.verify(made)
    before = list(placed.unusable(made, manifest.read(made)))
    return problem.message if problem else None, before[0].message if before else None


def test_a_folder(archive: Path) -> None:
    made, folder = repository(archive, unpacked=True)
    assert said(made) == (None, None)
    text = folder / "lib" / "python3.11" / "os.py"
    before = text.read_bytes()
    text.write_bytes(before.replace(b"/", b"?"))
    verified, started = said(made)
    assert verified == f"{folder} is not as it was unpacked: lib/python3.11/os.py is another"
    assert started is None  # sizes alone
    os.truncate(text, 7)
    assert "os.py is another" in (said(made)[1] or "")
    text.unlink()
    assert "os.py is not there" in (said(made)[1] or "")


def test_an_archive(archive: Path) -> None:
    made, path = repository(archive, unpacked=False)
    assert said(made) == (None, None)
    data = archive.read_bytes()
    projects.overwrite(path, data[:-1] + b"?")
    assert f"{path} is another archive" in str(said(made))
    ((_, problem),) = placed.verify(made)
    assert problem is not None
    assert problem.hint is not None
    assert "env build" in problem.hint
    path.unlink()
    ((_, problem),) = placed.verify(made)
    assert problem is not None
    assert problem.hint == "compile the pipeline again"
