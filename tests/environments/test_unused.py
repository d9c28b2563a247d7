"""`env prune --repository`: only what is ours, and only what nobody beside it speaks of."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from ensemblegen.emit import unused
from ensemblegen.errors import InputError, MachineError

OLD, USED = "0123456789abcdef", "fedcba9876543210"
MANIFEST = {
    "ensemblegen": "1", "pipeline": "p", "source": "pipeline.yaml", "target": "24.10",
    "device": "cpu", "max_batch_size": 1, "inputs": [], "outputs": [], "models": [],
}  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A compiled one of no environments; beside it what others left."""
    made = tmp_path / "build" / "repository"
    made.mkdir(parents=True)
    (made / "manifest.json").write_text(json.dumps(MANIFEST))
    envs = made.parent / "envs"
    (envs / OLD).mkdir(parents=True)
    (envs / OLD / "ensemblegen-env.json").write_text("{}")
    (envs / f"{OLD}.tar.gz").write_bytes(b"1234")
    (envs / f"{USED}.tar.gz").write_bytes(b"1234")
    return made


def names(repository: Path) -> set[str]:
    return {each.name for each in (repository.parent / "envs").iterdir()}


def test_what_is_not_ours_stays(repository: Path, tmp_path: Path) -> None:
    envs = repository.parent / "envs"
    (tmp_path / "elsewhere").mkdir()
    strange = {"myvenv", "a" * 16, f"{'b' * 16}.tar.gz", "notes.txt", "c" * 16, "bert.tar.gz"}
    for name in ("myvenv", "a" * 16, f"{'b' * 16}.tar.gz"):
        (envs / name).mkdir()
    (envs / "notes.txt").write_text("mine")
    (envs / "bert.tar.gz").write_text("mine")
    (envs / ("c" * 16)).symlink_to(tmp_path / "elsewhere")
    would = unused.prune(repository, dry_run=True)
    assert [(path.name, size) for path, size in would] == [
        (OLD, 2), (f"{OLD}.tar.gz", 4), (f"{USED}.tar.gz", 4),
    ]  # fmt: skip
    assert names(repository) == strange | {OLD, f"{OLD}.tar.gz", f"{USED}.tar.gz"}
    assert unused.prune(repository, dry_run=False) == would
    assert names(repository) == strange


@pytest.mark.parametrize(
    "where",
    ["hand/m/config.pbtxt", "hand/m/configs/gpu.pbtxt", "group/hand/m/config.pbtxt",
     "other/manifest.json", "repository/m/config.pbtxt"],
)  # fmt: skip
def test_what_anyone_speaks_of_stays(repository: Path, where: str) -> None:
    """A hand-written or imported repository, a variant, even a manifest that is damaged."""
    path = repository.parent / where
    path.parent.mkdir(parents=True)
    path.write_text(f'{{ "$$TRITON_MODEL_DIRECTORY/../../envs/{USED}.tar.gz"')
    unused.prune(repository, dry_run=False)
    assert names(repository) == {f"{USED}.tar.gz"}


def test_another_name_is_not_the_name(repository: Path) -> None:
    """A folder beside its archive, and the key of what is embedded."""
    (repository / "m").mkdir()
    (repository / "m" / "config.pbtxt").write_text(f'"../../envs/{OLD}" "{USED}{USED}"')
    unused.prune(repository, dry_run=False)
    assert names(repository) == {OLD}


def test_a_neighbour_that_is_a_link(repository: Path, tmp_path: Path) -> None:
    config = tmp_path / "elsewhere" / "m" / "config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text(f"{repository.parent}/envs/{USED}.tar.gz")
    (repository.parent / "linked").symlink_to(tmp_path / "elsewhere")
    (repository.parent / "round").symlink_to(repository.parent)
    unused.prune(repository, dry_run=False)
    assert names(repository) == {f"{USED}.tar.gz"}


def test_what_cannot_be_read_or_is_no_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(repository)
    config = repository.parent / "hand" / "config.pbtxt"
    config.parent.mkdir()
    config.write_text("")
    with pytest.raises(InputError):
        unused.prune(config.parent, dry_run=False)

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(MachineError, match="cannot prune") as error:
        unused.prune(repository, dry_run=False)
    assert "hand/config.pbtxt: Permission denied" in error.value.message
    assert names(repository) == before
