"""Killed by SIGKILL right after each of its changes, and run again: nothing twice, nothing left.

The process that is killed is a command of its own; the change it was asking for is done, and it
never hears of it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.cloud import Cloud
from tests.deploy.conftest import EMPTY, Work, stands

CREATING, UPDATING, DELETING = 8, 10, 6
"""Changes of each, when nothing interrupts them."""
SECOND = b"second" * 1000
WHOLE = {"endpoints": 1, "configs": 1, "models": 1, "objects": 1, "unfinished": 0, "targets": 1,
         "policies": 1, "alarms": 2}  # fmt: skip
"""How many of each belong to one endpoint."""


def killed(cloud: Cloud, work: Work, number: int, *words: str) -> None:
    """Run the command until its change `number`."""
    cloud.changes.clear()
    cloud.kill_after = number
    process = work.start(*words)
    cloud.kill = lambda: process.pid
    assert process.wait(timeout=120) == -9
    cloud.kill_after = None
    assert len(cloud.changes) == number


def deploying(work: Work) -> tuple[str, ...]:
    return ("sagemaker", str(work.folder / "model.tar.gz"))


@pytest.mark.parametrize("number", range(1, CREATING + 1))
def test_creating(number: int, cloud: Cloud, work: Work) -> None:
    killed(cloud, work, number, *deploying(work))
    assert work.deploy() == 0
    assert len(cloud.changes) == CREATING, "each change was made once"
    found = stands(cloud)
    assert {kind: len(each) for kind, each in found.items()} == WHOLE
    assert found["endpoints"] == {"readability": found["configs"][0]}


@pytest.mark.parametrize("number", range(UPDATING + 1))
def test_updating(number: int, cloud: Cloud, work: Work) -> None:
    """Another archive on machines of another type: every kind of change that an update has."""
    work.deploy()
    work.pack(SECOND)
    work.say("ml.g4dn.xlarge", "ml.c5.xlarge")
    cloud.changes.clear()
    if number:
        killed(cloud, work, number, *deploying(work))
    assert work.deploy() == 0
    assert len(cloud.changes) == UPDATING, "each change was made once"
    found = stands(cloud)
    assert {kind: len(each) for kind, each in found.items()} == WHOLE
    assert found["endpoints"] == {"readability": found["configs"][0]}
    assert [*found["objects"].values()] == [{"sha256": hashlib.sha256(SECOND).hexdigest()}]
    config = cloud.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=found["configs"][0]
    )
    (variant,) = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.c5.xlarge"
    assert [variant["ModelName"]] == found["models"]


@pytest.mark.parametrize("number", range(1, DELETING + 1))
def test_deleting(number: int, cloud: Cloud, work: Work) -> None:
    work.deploy()
    killed(cloud, work, number, "delete")
    assert work.delete() == 0
    assert len(cloud.changes) == DELETING, "each change was made once"
    assert stands(cloud) == EMPTY


def test_ctrl_c_while_waiting_says_what_goes_on(cloud: Cloud, work: Work) -> None:
    cloud.takes = 1000
    process = work.start(*deploying(work), stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while "CreateEndpoint" not in cloud.changes:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"'readability' goes on without us, and is billed" in said


def test_deleting_what_was_never_finished(cloud: Cloud, work: Work) -> None:
    killed(cloud, work, 5, *deploying(work))
    assert work.delete() == 0
    assert stands(cloud) == EMPTY


@pytest.fixture
def large(work: Work) -> bytes:
    """An archive of three parts."""
    content = os.urandom(20 << 20)
    work.pack(content)
    return content


def test_an_upload_in_parts_goes_on(cloud: Cloud, work: Work, large: bytes) -> None:
    """Two of three parts are there; the third is all that is sent."""
    work.deploy("--plan")
    s3 = cloud.client("s3")
    killed(cloud, work, 1, *deploying(work))
    assert cloud.changes == ["CreateMultipartUpload"]
    (upload,) = stands(cloud)["unfinished"]
    for number in (1, 3):
        part = large[(number - 1) * (8 << 20) : number * (8 << 20)]
        s3.upload_part(Bucket="models", Key=upload["Key"], UploadId=upload["UploadId"],
                       PartNumber=number, Body=part, ChecksumAlgorithm="SHA256")  # fmt: skip
    cloud.changes.clear()
    assert work.deploy() == 0
    assert cloud.changes[:2] == ["UploadPart", "CompleteMultipartUpload"]
    assert "CreateMultipartUpload" not in cloud.changes
    stored = s3.get_object(Bucket="models", Key=upload["Key"])["Body"].read()
    assert stored == large
    assert stands(cloud)["unfinished"] == []


@pytest.mark.usefixtures("large")
def test_an_upload_killed_between_parts(cloud: Cloud, work: Work) -> None:
    process = work.start(*deploying(work))
    cloud.kill, cloud.kill_after = lambda: process.pid, 2
    assert process.wait(timeout=120) == -9
    cloud.kill_after = None
    assert work.deploy() == 0
    assert cloud.changes.count("CreateMultipartUpload") == 1
    found = stands(cloud)
    assert found["unfinished"] == []
    assert len(found["objects"]) == 1


@pytest.mark.usefixtures("large")
def test_the_upload_of_an_archive_that_is_not_wanted_any_more(cloud: Cloud, work: Work) -> None:
    killed(cloud, work, 1, *deploying(work))
    work.pack(SECOND)
    assert work.deploy() == 0
    assert "AbortMultipartUpload" in cloud.changes
    found = stands(cloud)
    assert found["unfinished"] == []
    assert len(found["objects"]) == 1


def test_an_archive_that_is_there_is_not_sent_again(cloud: Cloud, work: Work) -> None:
    """Killed after the upload: its hash is in the bucket, and the file is not read again."""
    killed(cloud, work, 1, *deploying(work))
    assert cloud.changes == ["PutObject"]
    assert work.deploy() == 0
    assert cloud.changes.count("PutObject") == 1


def test_an_object_with_another_hash_is_replaced(cloud: Cloud, work: Work, tmp_path: Path) -> None:
    work.deploy()
    (key,) = stands(cloud)["objects"]
    cloud.client("s3").put_object(Bucket="models", Key=key, Body=b"x", Metadata={"sha256": "0"})
    assert work.deploy() == 0
    body = cloud.client("s3").get_object(Bucket="models", Key=key)["Body"].read()
    assert body == (tmp_path / "model.tar.gz").read_bytes()
