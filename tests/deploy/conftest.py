"""A cloud on this machine, and a packaged archive to put there."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run
from tests.deploy.cloud import ACCOUNT, REGION, Cloud, start

SECRET = "hush-this-is-nobodys-business"  # noqa: S105 - looked for in what is shown
ROLE = f"arn:aws:iam::{ACCOUNT}:role/triton"
SETTINGS = f"""\
endpoint: readability
role: {ROLE}
bucket: s3://models/triton
region: {REGION}
image: {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sagemaker-tritonserver:24.10-py3
instance: {{type: ml.g4dn.xlarge, count: 1}}
autoscaling: {{max: 4, invocations_per_minute: 600}}
rollback: {{errors: 5, latency: 500ms}}
tags: {{team: nlp}}
"""


@pytest.fixture(scope="session")
def moto() -> Iterator[Cloud]:
    cloud, end = start()
    yield cloud
    end()


@pytest.fixture(scope="session", autouse=True)
def one_loader() -> Iterator[None]:
    """The models of AWS's services are read once: each takes longer than a test."""
    loaders = importlib.import_module("botocore.loaders")
    sessions = importlib.import_module("botocore.session")
    loader = loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "create_loader", lambda *_: loader)
        yield


@pytest.fixture
def cloud(moto: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Empty, but for the bucket and the role that an account has before anything is deployed."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": "AKIATESTING",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    moto.reset()
    place = {"LocationConstraint": REGION}
    moto.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration=place)
    moto.client("iam").create_role(RoleName="triton", AssumeRolePolicyDocument="{}")
    moto.changes.clear()
    return moto


@dataclass
class Work:
    """A folder with an archive, what describes it, and how it is to be deployed."""

    folder: Path

    def pack(self, *contents: bytes, names: tuple[str, ...] = ("model.tar.gz",)) -> None:
        """As `ensemblegen package sagemaker` leaves it; what is in an archive matters not here."""
        listed = []
        for name, content in zip(names, contents, strict=True):
            (self.folder / name).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            listed.append({"archive": name, "sha256": sha256, "bytes": len(content)})
        many = len(names) > 1
        told = {
            **({"archive": "."} if many else listed[0]),
            "multi_model": many,
            "target": "24.10",
            "pipelines": [name.partition(".")[0] for name in names],
            "environment": {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "readability"},
            "archives": listed,
        }
        (self.folder / "sagemaker.json").write_text(json.dumps(told))

    def say(self, before: str, after: str) -> None:
        """Change a word of sagemaker.yaml."""
        file = self.folder / "sagemaker.yaml"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    @property
    def settings(self) -> tuple[str, str]:
        return ("--config", str(self.folder / "sagemaker.yaml"))

    def deploy(self, *words: str) -> int:
        package = self.folder / "model.tar.gz"
        target = package if package.is_file() else self.folder
        return run("deploy", "sagemaker", str(target), *self.settings, "--poll", "0.05", *words)

    def delete(self, *words: str) -> int:
        return run("deploy", "delete", *self.settings, "--poll", "0.05", *words)

    def start(self, *words: str, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """`ensemblegen deploy WORDS` in a process of its own."""
        command = [sys.executable, "-m", "ensemblegen", "deploy", *words, *self.settings]
        return subprocess.Popen(
            [*command, "--poll", "0.05"], stdout=subprocess.DEVNULL, stderr=stderr
        )


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path)
    made.pack(b"first" * 1000)
    (tmp_path / "sagemaker.yaml").write_text(SETTINGS)
    return made


def stands(cloud: Cloud) -> dict[str, Any]:
    """Everything that stands in the cloud, by what makes it what it is."""
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    scaling, alarms = cloud.client("application-autoscaling"), cloud.client("cloudwatch")
    space = {"ServiceNamespace": "sagemaker"}
    objects = s3.list_objects_v2(Bucket="models").get("Contents", [])
    endpoints = [each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]]
    return {
        "endpoints": {
            name: sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
            for name in endpoints
        },
        "configs": [
            each["EndpointConfigName"]
            for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ],
        "models": [each["ModelName"] for each in sagemaker.list_models()["Models"]],
        "objects": {
            each["Key"]: s3.head_object(Bucket="models", Key=each["Key"])["Metadata"]
            for each in objects
        },
        "unfinished": s3.list_multipart_uploads(Bucket="models").get("Uploads", []),
        "targets": [
            (each["ResourceId"], each["MinCapacity"], each["MaxCapacity"])
            for each in scaling.describe_scalable_targets(**space)["ScalableTargets"]
        ],
        "policies": [
            each["PolicyName"]
            for each in scaling.describe_scaling_policies(**space)["ScalingPolicies"]
        ],
        "alarms": [each["AlarmName"] for each in alarms.describe_alarms()["MetricAlarms"]],
    }


EMPTY: dict[str, Any] = {
    "endpoints": {}, "configs": [], "models": [], "objects": {}, "unfinished": [], "targets": [],
    "policies": [], "alarms": [],
}  # fmt: skip
