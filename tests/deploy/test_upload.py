"""How an archive is cut into parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.upload import PART, Upload, send
from ensemblegen.errors import MachineError

GB = 1 << 30


@pytest.mark.parametrize(
    ("size", "parts"),
    [(0, 1), (1, 1), (PART, 1), (PART + 1, 2), (20 << 20, 3), (5 << 40, 9987)],
)
def test_parts(size: int, parts: int) -> None:
    """S3 takes 10,000 of them, each of 5 MiB at least but for the last."""
    upload = Upload(Path("a"), "b", "k", "0", size, None)
    assert upload.parts == parts
    assert upload.parts <= 10_000
    assert upload.part * (upload.parts - 1) <= size <= upload.part * upload.parts
    assert upload.part >= 5 << 20


def test_one_that_goes_on_is_not_begun_again() -> None:
    fresh = Upload(Path("a"), "b", "k", "0", GB, None)
    resumed = Upload(Path("a"), "b", "k", "0", GB, "id")
    operations = ["create_multipart_upload", "upload_part", "complete_multipart_upload"]
    assert [call.operation for call, _ in fresh.calls()] == operations
    assert [call.operation for call, _ in resumed.calls()] == operations[1:]
    assert [times for _, times in resumed.calls()] == [128, 1]


def test_an_archive_that_is_gone_meanwhile(tmp_path: Path) -> None:
    upload = Upload(tmp_path / "model.tar.gz", "b", "k", "0", 5, None)
    with pytest.raises(MachineError, match="No such file"):
        send(Aws("eu-west-1"), upload, lambda done, total: None)
