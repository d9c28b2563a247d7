"""tensorflow and dali steps on the real server: equal to TensorFlow and DALI called directly.

TensorFlow's results are equal within 1e-6 (its kernels sum in another order for other batches);
DALI's are bit-identical.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ensemblegen import manifest, verdict
from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Result, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

Array = npt.NDArray[Any]
HERE = Path(__file__).resolve().parent / "tensorflow_and_dali"


@dataclass(frozen=True)
class Running:
    """A server with both pipelines, and what the libraries themselves answer."""

    session: Session
    address: str
    repository: Path
    truth: dict[str, Array]

    @property
    def rows(self) -> list[dict[str, Array]]:
        truth = self.truth
        return [
            {
                "jpeg": truth[f"jpeg{i}"],
                "x": truth["x"][i],
                "text": np.array([truth["text"][i]], object),
            }
            for i in range(len(truth["x"]))
        ]

    def infer(self, rows: list[dict[str, Any]], load: Load, model: str = "both") -> list[Result]:
        interface = self.session.interface(model)
        return list(self.session.infer(interface, from_values(rows), load))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, beside the pipelines that use them."""
    folder = tmp_path_factory.mktemp("tensorflow_and_dali")
    for name in ("pipeline.yaml", "alone.yaml", "definitions.py"):
        shutil.copy(HERE / name, folder)
    subprocess.run([sys.executable, str(HERE / "make.py"), str(folder)], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def running(made: Path) -> Iterator[Running]:
    repository = made / "repository"
    write(files(make_plan(made / "pipeline.yaml")), repository)
    write(files(make_plan(made / "alone.yaml")), made / "alone")
    for model in (made / "alone").iterdir():
        if model.is_dir():
            shutil.copytree(model, repository / model.name)
    by_platform = repository / "by_platform"
    shutil.copytree(repository / "both_frozen", by_platform)
    shutil.rmtree(by_platform / "configs")
    config = (by_platform / "config.pbtxt").read_text()
    config = config.replace("both_frozen", "by_platform").replace('backend: "tensorflow"\n', "")
    (by_platform / "config.pbtxt").write_text(config)
    (repository / "manifest.json").unlink()
    truth = dict(np.load(made / "truth.npz"))
    with Server.start(repository) as server, Session(server.http) as session:
        yield Running(session, server.http, repository, truth)


@pytest.mark.parametrize("load", [Load(1, 1), Load(1, 16), Load(3, 4)], ids=str)
def test_equal_to_the_libraries(load: Load, running: Running) -> None:
    """One at a time, joined by the server, and (pictures of one size) joined by the client."""
    rows = running.rows
    picked = [0] * 12 if load.batch > 1 else list(range(len(rows)))
    results = running.infer([rows[i] for i in picked], load)
    assert [each.problems for each in results if not each.ok] == []
    truth = running.truth
    for i, result in zip(picked, results, strict=True):
        got = result.outputs
        np.testing.assert_array_equal(got["IMAGE"], truth["images"][i])
        np.testing.assert_array_equal(got["SHAPE"], truth["shapes"][i])
        np.testing.assert_allclose(got["SCORES"], truth["scores"][i], atol=1e-6)
        assert got["LENGTH"].tolist() == [truth["length"][i]]
        np.testing.assert_allclose(got["PROBS"], truth["probs"][i], atol=1e-6)
        np.testing.assert_allclose(got["HIDDEN"], truth["hidden"][i], atol=1e-6)


def test_a_bad_picture_fails_alone(running: Running) -> None:
    """Also after it, when the pipeline was built anew."""
    rows = running.rows
    rows[5]["jpeg"] = rows[19]["jpeg"] = np.arange(60, dtype=np.uint8)
    results = running.infer(rows, Load(1, 16))
    assert [i for i, each in enumerate(results) if not each.ok] == [5, 19]
    assert "DALI error" in results[5].problems[0].message
    for i, result in enumerate(results):
        if result.ok:
            np.testing.assert_array_equal(result.outputs["IMAGE"], running.truth["images"][i])


def test_pictures_of_their_own_size(running: Running) -> None:
    """A serialized pipeline whose outputs differ in size from request to request."""
    rows = [{**row, "row": np.array([1.0, 2.0, 6.0], np.float32)} for row in running.rows[:10]]
    rows = [{name: row[name] for name in ("jpeg", "row")} for row in rows]
    results = running.infer(rows, Load(1, 8), "alone")
    for i, result in enumerate(results):
        assert result.ok, result.problems
        assert list(result.outputs["PIXELS"].shape) == running.truth["shapes"][i].tolist()
        np.testing.assert_array_equal(result.outputs["IMAGE"], running.truth["images"][i])
        np.testing.assert_allclose(result.outputs["CENTERED"], [-2.0, -1.0, 3.0], atol=1e-6)


def test_another_number_of_columns(running: Running) -> None:
    rows = [
        {"jpeg": running.rows[0]["jpeg"], "row": np.arange(n, dtype=np.float32)} for n in (1, 7)
    ]
    results = running.infer(rows, Load(1, 2), "alone")
    for result, row in zip(results, rows, strict=True):
        np.testing.assert_allclose(
            result.outputs["CENTERED"], row["row"] - row["row"].mean(), atol=1e-6
        )


def test_dali_answers_whole_or_not_at_all(running: Running) -> None:
    """As the native backend; so the compiler wants every output to be used."""
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

    jpeg = http.InferInput("encoded", [1, len(running.truth["jpeg0"])], "UINT8")
    jpeg.set_data_from_numpy(running.truth["jpeg0"][None])
    with http.InferenceServerClient(running.address) as client:
        wanted = [http.InferRequestedOutput(name) for name in ("shape", "image")]
        answer = client.infer("both_decode", [jpeg], outputs=wanted)
        np.testing.assert_array_equal(answer.as_numpy("shape")[0], running.truth["shapes"][0])
        with pytest.raises(InferenceServerException, match="Number of outputs expected"):
            client.infer("both_decode", [jpeg], outputs=wanted[:1])


def test_a_platform_alone_names_the_backend(running: Running) -> None:
    rows = [{"input": row["x"]} for row in running.rows]
    results = running.infer(rows, Load(1, 8), "by_platform")
    for i, result in enumerate(results):
        np.testing.assert_allclose(
            result.outputs["scope/probs"], running.truth["probs"][i], atol=1e-6
        )


def test_the_checker_finds_no_fault(running: Running) -> None:
    """Beyond that these ensembles join what has nothing to do with each other."""
    found = verdict.reach(running.repository, None).problems
    assert {each.code for each in found} == {"E215"}


def test_compiled_again_nothing_is_touched(made: Path, tmp_path: Path) -> None:
    for name in ("pipeline", "alone"):
        first = write(files(make_plan(made / f"{name}.yaml")), tmp_path / name)
        again = write(files(make_plan(made / f"{name}.yaml")), tmp_path / name)
        assert first.added
        assert (again.added, again.changed, again.removed) == ((), (), ())


def test_the_interface_of_the_ensemble(made: Path, tmp_path: Path) -> None:
    """Outputs of a SavedModel need no word; a value alone has an axis of one."""
    write(files(make_plan(made / "pipeline.yaml")), tmp_path / "repository")
    interface = Interface.of(manifest.read(tmp_path / "repository").pipeline())
    shapes = {each.name: tuple(each.shape) for each in interface.outputs}
    assert shapes["SCORES"] == (3,)
    assert shapes["LENGTH"] == (1,)
