"""From the command line against a cloud: create, look, update, delete; and what is refused."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest

from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType
from tests.commands import run
from tests.deploy import strict
from tests.deploy.cloud import ACCOUNT, REGION, Cloud
from tests.deploy.conftest import EMPTY, ROLE, SECRET, Work, stands
from tests.loadtest import answering

CREATED = ["PutObject", "PutMetricAlarm", "PutMetricAlarm", "CreateModel", "CreateEndpointConfig",
           "CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy"]  # fmt: skip


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_plan_shows_every_call_and_makes_none(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work.deploy("--plan", "--format", "json") == 0
    calls = told(capsys)["calls"]
    assert [each["operation"] for each in calls] == [
        "put_object", "put_metric_alarm", "put_metric_alarm", "create_model",
        "create_endpoint_config", "create_endpoint", "describe_endpoint",
        "register_scalable_target", "put_scaling_policy",
    ]  # fmt: skip
    model = calls[3]["parameters"]["PrimaryContainer"]
    assert model["Environment"] == {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "readability"}
    key = calls[0]["parameters"]["Key"]
    assert model["ModelDataUrl"] == f"s3://models/{key}"
    assert key.startswith("triton/readability/")
    assert cloud.changes == []


def test_flags_alone(cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is needed; and what only a file can say is not made."""
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sagemaker-tritonserver:24.10-py3"
    words = ("--endpoint", "e", "--role", ROLE, "--bucket", "models", "--image", image)
    archive = str(work.folder / "model.tar.gz")
    more = ("--instance-type", "ml.c5.xlarge", "--instance-count", "2", "--format", "json")
    assert run("deploy", "sagemaker", archive, *words, *more, "--poll", "0.05") == 0
    capsys.readouterr()
    assert cloud.changes == ["PutObject", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    (config,) = stands(cloud)["configs"]
    found = cloud.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    (variant,) = found["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c5.xlarge", 2)


def test_created_then_left_alone(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.takes = 2
    assert work.deploy() == 0
    assert "Creating after" in capsys.readouterr().err
    assert cloud.changes == CREATED
    assert work.deploy() == 0
    assert "nothing was done" in capsys.readouterr().out
    assert cloud.changes == CREATED


def test_another_archive_takes_the_place_of_the_first(cloud: Cloud, work: Work) -> None:
    work.deploy()
    before = stands(cloud)
    cloud.changes.clear()
    work.pack(b"second" * 1000)
    assert work.deploy() == 0
    assert cloud.changes == ["PutObject", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint",
                             "DeleteEndpointConfig", "DeleteModel", "DeleteObject"]  # fmt: skip
    after = stands(cloud)
    for kind in ("configs", "models", "objects"):
        assert len(after[kind]) == len(before[kind]) == 1
        assert after[kind] != before[kind]
    assert after["endpoints"] == {"readability": after["configs"][0]}


def test_machines_of_another_type_are_released_by_autoscaling(cloud: Cloud, work: Work) -> None:
    work.deploy()
    cloud.changes.clear()
    assert work.deploy("--instance-type", "ml.c5.xlarge") == 0
    assert cloud.changes == ["CreateEndpointConfig", "DeregisterScalableTarget", "UpdateEndpoint",
                             "RegisterScalableTarget", "PutScalingPolicy",
                             "DeleteEndpointConfig"]  # fmt: skip


def test_an_update_keeps_what_autoscaling_did(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy()
    work.pack(b"second" * 1000)
    capsys.readouterr()
    work.deploy("--plan", "--format", "json")
    (update,) = [each for each in told(capsys)["calls"] if each["operation"] == "update_endpoint"]
    assert update["parameters"]["RetainAllVariantProperties"] is True
    deployment = update["parameters"]["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"] == {
        "Alarms": [
            {"AlarmName": "ensemblegen-readability-errors"},
            {"AlarmName": "ensemblegen-readability-latency"},
        ]
    }


def test_words_that_are_taken_back(cloud: Cloud, work: Work) -> None:
    """Autoscaling and an alarm that the file names no more are removed; a new tag is put on."""
    work.deploy()
    work.say("autoscaling: {max: 4, invocations_per_minute: 600}\n", "")
    work.say("errors: 5, latency: 500ms", "errors: 5")
    work.say("team: nlp", "team: search")
    cloud.changes.clear()
    assert work.deploy() == 0
    assert cloud.changes == ["AddTags", "DeregisterScalableTarget", "DeleteAlarms"]
    found = stands(cloud)
    assert (found["targets"], found["policies"]) == ([], [])
    assert found["alarms"] == ["ensemblegen-readability-errors"]


def test_status(cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("deploy", "status", *work.settings) == 1
    assert "there is no endpoint readability" in capsys.readouterr().out
    work.deploy()
    capsys.readouterr()
    assert run("deploy", "status", *work.settings, "--format", "json") == 0
    found = told(capsys)
    assert found["status"] == "InService"
    assert found["instances"] == {"type": "ml.g4dn.xlarge", "current": 1, "desired": 1}
    assert found["autoscaling"] == {"min": 1, "max": 4, "invocations_per_minute": 600.0}
    assert set(found["alarms"]) == {
        "ensemblegen-readability-errors",
        "ensemblegen-readability-latency",
    }
    assert found["model"]["mode"] == "SingleModel"
    assert found["leftovers"] == []


def test_delete_leaves_nothing(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name alone: where the archives are, the models know."""
    work.deploy()
    assert run("deploy", "delete", "--endpoint", "readability", "--poll", "0.05") == 0
    assert "nothing is billed" in capsys.readouterr().out
    assert stands(cloud) == EMPTY


def test_delete_says_what_remains_and_goes_on(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy()
    capsys.readouterr()
    cloud.refused["DeleteModel"] = (400, "AccessDeniedException", "no")
    assert work.delete() == 3
    said = capsys.readouterr()
    assert "allow sagemaker:DeleteModel" in said.err
    assert "this remains:\n  model readability-" in said.out
    found = stands(cloud)
    assert found == {**EMPTY, "models": found["models"]}


def test_delete_waits_for_maintenance(cloud: Cloud, work: Work) -> None:
    """SageMaker refuses to delete what it is maintaining itself."""
    work.deploy()
    strict.maintain("readability", ACCOUNT, REGION, looks=3)
    assert work.delete() == 0
    assert stands(cloud) == EMPTY


def test_a_billed_endpoint_that_remains_is_said_so(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy()
    capsys.readouterr()
    cloud.refused["DeleteEndpoint"] = (400, "AccessDeniedException", "no")
    assert work.delete("--timeout", "0.1") == 3
    assert "endpoint readability: InService, and billed" in capsys.readouterr().out


def test_what_cannot_be_looked_at_keeps_no_endpoint(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy()
    capsys.readouterr()
    cloud.refused["DescribeScalableTargets"] = (400, "AccessDeniedException", "no")
    cloud.client("s3").put_object(Bucket="models", Key="triton/readability/notes", Body=b"x")
    assert work.delete() == 3
    assert "autoscaling: not allowed" in capsys.readouterr().out
    cloud.refused.clear()
    found = stands(cloud)
    assert (found["endpoints"], found["models"]) == ({}, [])
    assert list(found["objects"]) == ["triton/readability/notes"], "what is not ours stays"


def test_many_models(cloud: Cloud, work: Work) -> None:
    """One that changes makes new machines for all; the others are copied inside the bucket."""
    (work.folder / "model.tar.gz").unlink()
    names = ("easy.tar.gz", "hard.tar.gz")
    work.pack(b"easy", b"hard", names=names)
    assert work.deploy() == 0
    (model,) = cloud.client("sagemaker").list_models()["Models"]
    described = cloud.client("sagemaker").describe_model(ModelName=model["ModelName"])
    container = described["PrimaryContainer"]
    assert container["Mode"] == "MultiModel"
    folder = container["ModelDataUrl"].removeprefix("s3://models/")
    assert folder.endswith("/")
    assert set(stands(cloud)["objects"]) == {folder + name for name in names}
    cloud.changes.clear()
    work.pack(b"easy", b"harder", names=names)
    assert work.deploy() == 0
    assert sorted(cloud.changes[:2]) == ["CopyObject", "PutObject"]
    found = stands(cloud)["objects"]
    assert len(found) == 2
    assert not any(key.startswith(folder) for key in found)


def test_an_endpoint_of_somebody_else_is_not_touched(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/x")
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.c5.xlarge"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="readability", EndpointConfigName="c")
    cloud.changes.clear()
    assert work.deploy() == 1
    assert work.delete() == 1
    assert capsys.readouterr().err.count("error E656") == 2
    assert cloud.changes == []


def test_a_failure_comes_with_its_reason_and_the_log(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = cloud.client("logs")
    where = {"logGroupName": "/aws/sagemaker/Endpoints/readability",
             "logStreamName": "AllTraffic/i-1"}  # fmt: skip
    logs.create_log_group(logGroupName=where["logGroupName"])
    logs.create_log_stream(**where)
    event = {"timestamp": int(time.time() * 1000), "message": "ERROR: no directory 'readability'"}
    logs.put_log_events(**where, logEvents=[event])
    cloud.fails = "The primary container did not pass the ping health check."
    assert work.deploy() == 3
    said = capsys.readouterr().err
    assert "is Failed: The primary container did not pass" in said
    assert "| ERROR: no directory 'readability'" in said
    assert run("deploy", "status", *work.settings) == 1
    assert "no directory" in capsys.readouterr().out
    # What failed is replaced by the next run, since nothing else can be done with it.
    assert work.deploy() == 0
    assert stands(cloud)["endpoints"].keys() == {"readability"}


def test_one_that_takes_too_long(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.takes = 1000
    assert work.deploy("--timeout", "0.1") == 3
    assert "endpoint 'readability' is Creating after" in capsys.readouterr().err
    assert cloud.changes[-1] == "CreateEndpoint"


def test_an_update_that_is_rolled_back(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy()
    before = stands(cloud)["endpoints"]
    work.pack(b"second" * 1000)
    cloud.fails, cloud.takes = "alarm ensemblegen-readability-errors", 1
    assert work.deploy() == 3
    assert "the update was rolled back" in capsys.readouterr().err
    assert stands(cloud)["endpoints"] == before
    cloud.takes = 0
    assert work.deploy() == 0
    found = stands(cloud)
    assert found["endpoints"] != before
    assert len(found["configs"]) == len(found["models"]) == len(found["objects"]) == 1


def test_invoke(
    cloud: Cloud, work: Work, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is one that was put there; the request's body is the adaptor's."""
    takes = ManifestTensor("excerpt", DType.STRING, (1,))
    gives = ManifestTensor("SCORE", DType.FP32, (1,))
    repository = answering.described(tmp_path / "repository", takes, gives)
    output = {"name": "SCORE", "datatype": "FP32", "shape": [1, 1], "data": [0.5]}
    answer = {"model_name": "readability", "model_version": "1", "outputs": [output]}
    result = {"Body": json.dumps(answer), "ContentType": "application/json"}
    _queue(cloud, [result])
    words = ("deploy", "invoke", str(repository), "--endpoint", "readability")
    assert run(*words, "--input", "excerpt=Hello") == 0
    assert capsys.readouterr().out == "SCORE  0.5\n"
    assert run(*words, "--input", "excerp=Hello") == 1
    assert "did you mean 'excerpt'?" in capsys.readouterr().err


def _queue(cloud: Cloud, results: list[dict[str, str]]) -> None:
    """What moto is to answer invocations with."""
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"))
    told = {"account_id": ACCOUNT, "region": REGION, "results": results}
    path = "/moto-api/static/sagemaker/endpoint-results"
    connection.request("POST", path, json.dumps(told), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()


@pytest.mark.parametrize(
    ("operation", "status", "code", "message", "exit_code", "expected"),
    [
        ("DescribeEndpoint", 400, "ExpiredTokenException", "The security token has expired", 3,
         "the credentials for AWS have expired"),
        ("DescribeEndpoint", 400, "UnrecognizedClientException", "The token is invalid", 3,
         "does not accept the credentials"),
        ("PutObject", 403, "AccessDenied", "Access Denied", 3, "allow s3:PutObject"),
        ("PutObject", 507, "QuotaExceeded", "Bucket quota exceeded", 3, "the bucket is full"),
        ("PutObject", 301, "PermanentRedirect", "elsewhere", 1, "error E655"),
        ("CreateEndpoint", 400, "ResourceLimitExceeded", "'ml.g4dn.xlarge for endpoint usage'", 3,
         "aws service-quotas"),
        ("CreateModel", 400, "ValidationException", "Could not assume role x", 1, "error E654"),
        ("CreateModel", 400, "ThrottlingException", "Rate exceeded", 3, "too many calls"),
        ("CreateModel", 500, "InternalFailure", "oops", 3, "sagemaker create_model: oops"),
    ],
)  # fmt: skip
def test_what_aws_refuses(
    operation: str,
    status: int,
    code: str,
    message: str,
    exit_code: int,
    expected: str,
    cloud: Cloud,
    work: Work,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each says what to do; and once it is mended, the next run goes on."""
    cloud.refused[operation] = (status, code, message)
    assert work.deploy() == exit_code
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    cloud.refused.clear()
    assert work.deploy() == 0
    assert cloud.changes == CREATED


def test_no_such_bucket(cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert work.deploy("--bucket", "elsewhere") == 1
    assert f"hint: aws s3 mb s3://elsewhere --region {REGION}" in capsys.readouterr().err


def test_no_such_role(cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert work.deploy("--role", f"arn:aws:iam::{ACCOUNT}:role/tritno") == 1
    assert "there is no role" in capsys.readouterr().err
    assert cloud.changes == []


def test_a_role_that_nobody_may_ask_for_is_left_to_sagemaker(cloud: Cloud, work: Work) -> None:
    cloud.refused["GetRole"] = (403, "AccessDenied", "no iam:GetRole")
    assert work.deploy() == 0


def test_no_credentials(
    cloud: Cloud,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert work.deploy() == 3
    said = capsys.readouterr().err
    assert "no credentials for AWS" in said
    assert "aws configure" in said


def test_nothing_answers(
    cloud: Cloud,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert work.deploy() == 3
    assert "AWS cannot be reached" in capsys.readouterr().err


def test_credentials_are_shown_nowhere(
    cloud: Cloud, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.deploy("--plan")
    work.deploy()
    run("deploy", "status", *work.settings, "--format", "json")
    cloud.refused["DescribeEndpoint"] = (400, "SignatureDoesNotMatch", "no")
    work.deploy()
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert not any(SECRET in path.read_text() for path in work.folder.iterdir())
