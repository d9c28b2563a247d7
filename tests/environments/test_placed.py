"""Archives beside repositories: put there, looked after, and removed when nobody names them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from ensemblegen.content import Linked
from ensemblegen.emit import beside
from ensemblegen.environments import archive, placed
from ensemblegen.environments.progress import silent
from ensemblegen.environments.store import Store
from ensemblegen.errors import InputError

KEY, OTHER, OLD = "ab" * 8, "cd" * 8, "ef" * 8
CONFIG = """parameters {{ key: "EXECUTION_ENV_PATH"
  value {{ string_value: "$$TRITON_MODEL_DIRECTORY/../../envs/{0}.tar.gz" }} }}
"""


def repository(folder: Path, key: str, *, compiled: bool = True) -> Path:
    """One with a model that runs in the environment of `key`."""
    (folder / "m").mkdir(parents=True)
    (folder / "m" / "config.pbtxt").write_text(CONFIG.format(key))
    if compiled:
        entry = {
            "key": key * 4, "name": "a", "python": "3.10", "sha256": "0", "size": 1,
            "marker": "m", "marker_sha256": "0", "path": f"envs/{key}.tar.gz",
        }  # fmt: skip
        manifest = {
            "ensemblegen": "0", "pipeline": "p", "source": "p.yaml", "target": "24.10",
            "device": "cpu", "max_batch_size": 1, "inputs": [], "outputs": [], "models": [],
            "files": {},
            "environments": [entry],
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def packed(path: Path, **files: bytes) -> Path:
    """An environment's archive."""
    folder = path.with_suffix(".d")
    for name, data in {
        "bin/activate": b"# nothing\n",
        "bin/python3": b"x",
        "lib/libpython3.10.so.1.0": b"x",
        **files,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "bin" / "python3").chmod(0o755)
    (folder / "bin" / "python").symlink_to("python3")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, ".")
    shutil.rmtree(folder)
    return path


def listing(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_prune_touches_only_what_compile_puts_there(tmp_path: Path) -> None:
    own = repository(tmp_path / "repository", KEY)
    envs = tmp_path / "envs"
    for folder in ("myvenv/bin", "othermodel/1", f"{OLD}/bin", f".{OLD}.ensemblegen/made", OTHER):
        (envs / folder).mkdir(parents=True)
    (envs / OLD / "bin" / "activate").touch()
    for name in ("notes.txt", "mine.tar.gz", f"{KEY}.tar.gz", f"{OLD}.tar.gz"):
        (envs / name).write_text("x")
    (envs / "link").symlink_to(tmp_path)
    (envs / f"{'12' * 8}").symlink_to(tmp_path)
    gone = placed.prune(own, dry_run=True)
    assert [path.name for path, _ in gone] == [f".{OLD}.ensemblegen", OLD, f"{OLD}.tar.gz"]
    before = listing(envs)
    assert placed.prune(own, dry_run=False) == gone
    assert listing(envs) == sorted(set(before) - {path.name for path, _ in gone})
    assert own.is_dir()


@pytest.mark.parametrize("variant", [False, True])
def test_prune_spares_what_a_neighbour_names(tmp_path: Path, variant: bool) -> None:
    own = repository(tmp_path / "repository", KEY)
    other = repository(tmp_path / "by hand", OTHER, compiled=False)
    if variant:
        (other / "m" / "configs").mkdir()
        (other / "m" / "config.pbtxt").rename(other / "m" / "configs" / "gpu.pbtxt")
    (tmp_path / "envs").mkdir()
    for key in (KEY, OTHER, OLD):
        (tmp_path / "envs" / f"{key}.tar.gz").touch()
    assert [path.name for path, _ in placed.prune(own, dry_run=False)] == [f"{OLD}.tar.gz"]
    shutil.rmtree(other)
    assert [path.name for path, _ in placed.prune(own, dry_run=False)] == [f"{OTHER}.tar.gz"]


def test_a_damaged_copy_is_put_there_again(tmp_path: Path) -> None:
    source = packed(tmp_path / "store" / "a.tar.gz")
    wanted: beside.Beside = {f"envs/{KEY}.tar.gz": (Linked(source), False)}
    target = tmp_path / "build" / "repository"
    copy = target.parent / "envs" / f"{KEY}.tar.gz"
    assert beside.put(wanted, target) == (f"envs/{KEY}.tar.gz",)
    assert beside.put(wanted, target) == ()
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    copy.unlink()
    copy.write_bytes(data)
    assert beside.missing(wanted, target) == (f"envs/{KEY}.tar.gz",)
    assert beside.put(wanted, target) == (f"envs/{KEY}.tar.gz",)
    assert copy.read_bytes() == source.read_bytes()


def test_a_repository_cannot_be_called_envs(tmp_path: Path) -> None:
    source = packed(tmp_path / "store" / "a.tar.gz")
    with pytest.raises(InputError, match="where the environments of a repository beside it go"):
        beside.put({f"envs/{KEY}.tar.gz": (Linked(source), False)}, tmp_path / "o" / "envs")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("nothing", None),
        ("added", None),
        ("missing", "lacks lib/numpy.py"),
        ("other", "has another lib/numpy.py"),
        ("longer", "has another lib/numpy.py"),
        ("link", "lacks bin/python"),
    ],
)
def test_an_unpacked_environment_is_compared_with_its_archive(
    tmp_path: Path, harm: str, said: str | None
) -> None:
    source = packed(tmp_path / "a.tar.gz", **{"lib/numpy.py": b"version = 1"})
    folder = tmp_path / "unpacked"
    archive.unpack(source, folder, silent)
    numpy = folder / "lib" / "numpy.py"
    match harm:
        case "added":
            (folder / "lib" / "numpy.pyc").touch()
        case "missing":
            numpy.unlink()
        case "other":
            numpy.write_bytes(b"version = 2")
        case "longer":
            numpy.write_bytes(b"version = 11")
        case "link":
            (folder / "bin" / "python").unlink()
    assert archive.difference(source, folder) == said
    thorough = beside.missing(
        {"unpacked": (Linked(source), True)}, tmp_path / "repository", thorough=True
    )
    assert bool(thorough) == (said is not None)


def test_verify_reads_what_is_unpacked(tmp_path: Path) -> None:
    """If the store has its archive still."""
    store = Store(tmp_path / "cache")
    source = packed(tmp_path / "a.tar.gz", marker=b"this one", **{"lib/numpy.py": b"version = 1"})
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    known = {
        "name": "a", "python": "3.10", "sha256": digest, "size": source.stat().st_size,
        "unpacked": 1, "marker": "marker", "marker_sha256": "0", "packages": {},
    }  # fmt: skip
    with store.work(KEY * 4) as work:
        shutil.copy(source, work / "made.tar.gz")
        store.publish(work / "made.tar.gz", known, KEY * 4)
    own = repository(tmp_path / "repository", KEY)
    path = own / "manifest.json"
    manifest = json.loads(path.read_text())
    marker = hashlib.sha256(b"this one").hexdigest()
    manifest["environments"][0] |= {
        "path": f"envs/{KEY}", "marker": "marker", "marker_sha256": marker,
    }  # fmt: skip
    path.write_text(json.dumps(manifest))
    (tmp_path / "envs").mkdir()
    archive.unpack(source, tmp_path / "envs" / KEY, silent)
    (tmp_path / "envs" / KEY / "lib" / "numpy.py").unlink()
    ((_, problem),) = placed.verify(own, store)
    assert problem is not None
    assert "lacks lib/numpy.py" in problem.message
