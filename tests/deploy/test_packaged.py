"""sagemaker.json and the archives beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.deploy import packaged
from ensemblegen.errors import InputError
from tests.deploy.conftest import Work


def refused(path: Path, code: str = "E651") -> str:
    with pytest.raises(InputError) as error:
        packaged.read(path)
    assert {each.code for each in error.value.problems} == {code}
    return str(error.value)


def test_one_archive_by_its_name_or_its_folder(work: Work) -> None:
    found = packaged.read(work.folder / "model.tar.gz")
    assert found == packaged.read(work.folder)
    assert (found.multi_model, found.target, found.pipelines) == (False, "24.10", ("model",))
    assert [each.name for each in found.archives] == ["model.tar.gz"]


def test_a_file_that_lists_nothing_is_about_one_archive(work: Work) -> None:
    change(work, lambda told: told.pop("archives"))
    assert packaged.read(work.folder).archives[0].bytes == 5000


def test_many_archives(work: Work) -> None:
    work.pack(b"a", b"b", names=("a.tar.gz", "b.tar.gz"))
    found = packaged.read(work.folder)
    assert found.multi_model
    assert [each.bytes for each in found.archives] == [1, 1]
    change(work, lambda told: told.update(multi_model=False))
    assert "not for many models" in refused(work.folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ("[]", "should be a valid dictionary"),
        ("{}", "environment: Field required"),
        ('{"archives": [], "environment": {}}', "archives: Tuple should have at least 1 item"),
        ('{"archive": "../x.tar.gz", "sha256": "", "bytes": 1, "environment": {}}',
         "archives.0.archive: String should match"),
        ("[" * 100_000, "is not JSON"),
    ],
)  # fmt: skip
def test_what_sagemaker_json_may_not_be(text: str, expected: str, work: Work) -> None:
    (work.folder / "sagemaker.json").write_text(text)
    assert expected in refused(work.folder, "E649")


def test_archives_that_are_not_as_described(work: Work) -> None:
    (work.folder / "model.tar.gz").write_bytes(b"other" * 1000)
    assert "is not the archive that sagemaker.json describes" in refused(work.folder)
    (work.folder / "model.tar.gz").write_bytes(b"short")
    assert "has 5 bytes, not 5000" in refused(work.folder)
    (work.folder / "model.tar.gz").unlink()
    assert "No such file" in refused(work.folder)


def test_nothing_there(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "model.tar.gz", "E649")


def change(work: Work, how: Any) -> None:
    file = work.folder / "sagemaker.json"
    told = json.loads(file.read_text())
    how(told)
    file.write_text(json.dumps(told))
