"""The backend directory is made once, whole, in a path that Triton can use."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ensemblegen.engine import embedded, machine
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import MachineError


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A wheel of files without content, and a cache of its own."""
    home = tmp_path / "site/pytriton/tritonserver"
    for name in (
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{machine.python_version()}/triton_python_backend_stub",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Engine(Choice.embedded, home / "bin/tritonserver", "0.7.0", home)


def _repository(*backends: str) -> Repository:
    models = [Model(f"m{i}", name, False, None, ()) for i, name in enumerate(backends)]
    return Repository(Path("/models"), tuple(models))


def test_backend_directory(engine: Engine, tmp_path: Path) -> None:
    folder = embedded.backend_directory(engine)
    assert folder.is_relative_to(tmp_path / "cache")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "python/libtriton_python.so",
        "python/triton_python_backend_utils.py",
        "python/triton_python_backend_stub",
        "python/stand_in.py",
        "pytorch/model.py",
        "dali/model.py",
        "tensorflow/model.py",
        "onnxruntime/model.py",
        "openvino/model.py",
        "fil/model.py",
        "fil/on_device.py",
    }
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert embedded.backend_directory(engine) == folder
    assert list(folder.parent.iterdir()) == [folder]  # no scratch stays


def test_another_wheel_is_another_directory(engine: Engine) -> None:
    before = embedded.backend_directory(engine)
    assert engine.home is not None
    (engine.home / "backends/python/triton_python_backend_utils.py").write_text("newer")
    assert embedded.backend_directory(engine) != before


def test_many_at_once(engine: Engine) -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(embedded.backend_directory(engine)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_cache_with_a_space_is_not_used(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    assert embedded.cache().is_relative_to(tmp_path / "tmp")


@pytest.mark.parametrize("name", ["a b", "a(b", "a&b", "a'b", "a$b", "a;b", "ü", "a\nb"])
def test_a_path_that_the_stub_does_not_survive(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    unsafe = tmp_path / name
    unsafe.mkdir()
    assert not embedded.safe_for_stub(unsafe)
    monkeypatch.setenv("XDG_CACHE_HOME", str(unsafe))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(unsafe))
    assert embedded.cache().parent == Path("/tmp")  # noqa: S108
    made = embedded.temporary_folder()
    made.rmdir()
    assert made.parent == Path("/tmp")  # noqa: S108  # noqa: S108
    monkeypatch.setattr(embedded, "_LAST_RESORT", str(unsafe))
    with pytest.raises(MachineError, match="temporary files"):
        embedded.temporary_folder()
    with pytest.raises(MachineError, match="to keep the backends in"):
        embedded.cache()


def test_a_path_that_is_safe_for_the_stub() -> None:
    assert embedded.safe_for_stub(Path("/srv/A-Z_0.9/+a=b@c,d:e"))


def test_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/mine")
    environment = embedded.environment(engine)
    libraries = environment["LD_LIBRARY_PATH"].split(":")
    assert libraries[0] == str(engine.libraries)
    assert libraries[-1] == "/mine"
    assert environment["PATH"].split(":")[0] == str(machine.interpreter().parent)
    assert environment["PYTHONNOUSERSITE"] == "1"


@pytest.mark.parametrize(
    ("versions", "message", "hint"),
    [
        ({"numpy": "2.1.0"}, "numpy 2.1.0 is installed", "pip install 'numpy<2'"),
        ({"numpy": None}, "numpy is not installed", "ensemblegen\\[local\\]"),
    ],
)
def test_numpy_is_refused(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    versions: dict[str, str | None],
    message: str,
    hint: str,
) -> None:
    monkeypatch.setattr(machine, "version_of", versions.get)
    with pytest.raises(MachineError, match=message) as caught:
        embedded.require(engine, _repository("python"))
    assert caught.value.hint is not None
    assert hint.replace("\\", "") in caught.value.hint


def test_a_python_without_stub(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "python_version", lambda: "3.14")
    with pytest.raises(MachineError, match=r"no usable stub for Python 3\.14"):
        embedded.require(engine, _repository("python"))


def test_a_python_without_shared_library(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version_of", lambda _: "1.26.4")
    monkeypatch.setattr(machine, "libpython", lambda: None)
    with pytest.raises(MachineError, match="no shared libpython") as caught:
        embedded.require(engine, _repository("python"))
    assert "--enable-shared" in (caught.value.hint or "")


def test_a_backend_that_is_not_here(engine: Engine) -> None:
    with pytest.raises(MachineError, match="does not have the backend 'tensorrt'") as caught:
        embedded.require(engine, _repository("python", "tensorrt"))
    assert "--engine docker" in (caught.value.hint or "")


def test_a_stand_in_without_its_library(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "importable", lambda module: module != "treelite")
    with pytest.raises(MachineError, match="stand-in for the fil backend needs treelite"):
        embedded.require(engine, _repository("pytorch", "fil"))
