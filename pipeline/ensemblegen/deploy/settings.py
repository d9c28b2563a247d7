"""What a deployment is to be, completed: the file, over it the flags, and nothing left open.

before  SageMakerSpec with gaps, Flags
after   Settings, or every problem at its place
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ensemblegen import source
from ensemblegen.deploy import aws
from ensemblegen.deploy.spec import Autoscaling, Rollback, SageMakerSpec, parse
from ensemblegen.errors import InputError, Problem, Span, did_you_mean, nearest
from ensemblegen.places import At
from ensemblegen.source import Document

_ENDPOINT = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*")
LONGEST = 50
"""Of an endpoint's name: models and configurations are called by it, a dash and 12 digits, and
SageMaker's names have 63 characters."""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_BUCKET = re.compile(r"(?:s3://)?(?P<name>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.]+/[\w./-]+"
    r"(?::(?P<tag>[\w.-]+)|@sha256:[0-9a-f]{64})"
)
_RELEASE = re.compile(r"^(\d\d\.\d\d)(?!\d)")
_SECONDS = {"bake": (0, 3600), "start_up": (60, 3600), "scale_in": (0, 86400),
            "scale_out": (0, 86400)}  # fmt: skip
"""What SageMaker takes."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says, over the file."""

    endpoint: str | None = None
    role: str | None = None
    bucket: str | None = None
    image: str | None = None
    region: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A deployment without gaps. `start_up` in seconds."""

    endpoint: str
    role: str
    bucket: str
    prefix: str
    """Of keys in the bucket: empty, or with a slash at its end."""
    image: str
    region: str
    instance_type: str
    instance_count: int
    start_up: int
    autoscaling: Autoscaling | None
    rollback: Rollback | None
    environment: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and where it comes from: the file's line, or a flag."""

    word: str
    value: str | None
    span: Span | None

    def problem(self, code: str, message: str, hint: str | None = None) -> Problem:
        return Problem(code, message if self.span else f"--{self.word}: {message}", self.span, hint)


_WAYS: Mapping[str, At] = {"instance_type": ("instance", "type")}
_NEEDED = {
    "endpoint": "what the endpoint is called",
    "role": "the role that SageMaker takes on",
    "bucket": "the S3 bucket that archives go to",
    "image": "the container's image in ECR",
    "instance_type": "the type of its machines (such as ml.g5.xlarge)",
    "region": "the region",
}


def load(path: Path | None) -> tuple[SageMakerSpec, Document | None]:
    """The file, if there is one; InputError where it is not what may stand there."""
    if path is None:
        return SageMakerSpec.model_validate({}), None
    document = source.load(path)
    return parse(document), document


def complete(path: Path | None, flags: Flags, target: str) -> Settings:
    """InputError with everything that is missing or cannot be; `target` is the archive's."""
    spec, document = load(path)
    given = {word: _given(word, spec, document, flags) for word in _NEEDED}
    problems = list(_missing(given, path))
    problems += _wrong(given, target)
    problems += _out_of_range(spec, document)
    if problems:
        raise InputError(problems)
    bucket, prefix = _split(_text(given["bucket"]))
    least = spec.autoscaling.min if spec.autoscaling else 1
    return Settings(
        endpoint=_text(given["endpoint"]),
        role=_text(given["role"]),
        bucket=bucket,
        prefix=prefix,
        image=_text(given["image"]),
        region=_text(given["region"]),
        instance_type=_text(given["instance_type"]),
        instance_count=flags.instance_count or spec.instance.count or least,
        start_up=spec.start_up // 1_000_000,
        autoscaling=spec.autoscaling,
        rollback=spec.rollback,
        environment=spec.environment,
        tags=spec.tags,
    )


@dataclass(frozen=True, slots=True)
class Where:
    """Where an endpoint is looked for; of its archives only if somebody said."""

    region: str
    endpoint: str
    bucket: str | None
    prefix: str | None


def where(path: Path | None, flags: Flags) -> Where:
    """Of an endpoint that is there already; InputError where it cannot be told."""
    spec, document = load(path)
    given = {word: _given(word, spec, document, flags) for word in ("endpoint", "region", "bucket")}
    needed = {word: given[word] for word in ("endpoint", "region")}
    problems = [*_missing(needed, path), *_wrong(given, "")]
    if problems:
        raise InputError(problems)
    name = _text(given["endpoint"])
    bucket, prefix = _split(_text(given["bucket"])) if given["bucket"].value else (None, None)
    return Where(
        _text(given["region"]), name, bucket, f"{prefix}{name}/" if bucket is not None else None
    )


def region(said: str | None) -> str:
    """The region alone: what is said, or boto3's own; InputError where there is none."""
    given = _given("region", SageMakerSpec.model_validate({}), None, Flags(region=said))
    problems = [*_missing({"region": given}, None), *_wrong({"region": given}, "")]
    if problems:
        raise InputError(problems)
    return _text(given)


def _split(bucket: str) -> tuple[str, str]:
    """Name and prefix of NAME or s3://NAME/PREFIX; a prefix has a slash at its end."""
    match = _BUCKET.fullmatch(bucket)
    assert match is not None  # noqa: S101 - what does not match was reported
    prefix = (match["prefix"] or "").strip("/")
    return match["name"], f"{prefix}/" if prefix else ""


def _given(word: str, spec: SageMakerSpec, document: Document | None, flags: Flags) -> _Given:
    said = getattr(flags, word)
    if said is not None:
        return _Given(word.replace("_", "-"), said, None)
    at: At = _WAYS.get(word, (word,))
    value = spec.instance.type if word == "instance_type" else getattr(spec, word)
    if value is None and word == "region":
        return _Given(word, aws.default_region(), None)
    return _Given(word, value, document.span(at) if document else None)


def _text(given: _Given) -> str:
    return given.value or ""


def _missing(given: Mapping[str, _Given], path: Path | None) -> Iterator[Problem]:
    for word, each in given.items():
        if not each.value:
            key = ".".join(str(part) for part in _WAYS.get(word, (word,)))
            where_ = f"`{key}:` in {path}" if path else f"`{key}:` in a file for --config"
            flag = f"--{word.replace('_', '-')}"
            if word == "region":
                where_ += ", or AWS_DEFAULT_REGION"
            yield Problem("E650", f"{_NEEDED[word]} is not said", hint=f"{flag}, or {where_}")


def _wrong(given: Mapping[str, _Given], target: str) -> Iterator[Problem]:
    for word, check in (
        ("endpoint", _endpoint),
        ("role", _role),
        ("bucket", _bucket),
        ("region", _region),
        ("instance_type", _instance_type),
    ):
        if word in given and given[word].value:
            yield from check(given[word])
    if given.get("image") and given["image"].value:
        yield from _image(given["image"], _text(given["region"]), target)


def _endpoint(given: _Given) -> Iterator[Problem]:
    name = _text(given)
    if not _ENDPOINT.fullmatch(name) or len(name) > LONGEST:
        message = f"'{name}' is no name of an endpoint"
        hint = f"letters, digits and dashes between them, at most {LONGEST}"
        yield given.problem("E656", message, hint)


def _role(given: _Given) -> Iterator[Problem]:
    if not _ROLE.fullmatch(_text(given)):
        message = f"'{given.value}' is no ARN of a role"
        hint = "arn:aws:iam::ACCOUNT:role/NAME; `aws iam list-roles` shows them"
        yield given.problem("E654", message, hint)


def _bucket(given: _Given) -> Iterator[Problem]:
    if not _BUCKET.fullmatch(_text(given)):
        hint = "3 to 63 lower-case letters, digits, dots and dashes; s3://NAME/PREFIX is taken, too"
        yield given.problem("E655", f"'{given.value}' is no name of a bucket", hint)


def _region(given: _Given) -> Iterator[Problem]:
    known = aws.regions()
    if given.value not in known:
        hint = did_you_mean(_text(given), known)
        yield given.problem("E652", f"'{given.value}' is no region that has SageMaker", hint)


def _instance_type(given: _Given) -> Iterator[Problem]:
    known = aws.instance_types()
    if given.value not in known:
        likely = nearest(_text(given), known)
        hint = f"did you mean '{likely}'?" if likely else "such as ml.g5.xlarge or ml.c6i.2xlarge"
        yield given.problem("E652", f"'{given.value}' is no instance type of endpoints", hint)


def _image(given: _Given, region: str, target: str) -> Iterator[Problem]:
    match = _IMAGE.fullmatch(_text(given))
    if match is None:
        hint = "ACCOUNT.dkr.ecr.REGION.amazonaws.com/sagemaker-tritonserver:24.10-py3"
        yield given.problem("E653", f"'{given.value}' is no image in a registry of ECR", hint)
        return
    if match["region"] != region and region in aws.regions():
        message = f"the image lies in {match['region']}, the endpoint in {region}"
        yield given.problem("E653", message, "SageMaker pulls images from its own region only")
    release = _RELEASE.match(match["tag"] or "")
    if release and target and release[1] != target:
        message = f"the image is Triton {release[1]}, and the archive was compiled for {target}"
        hint = f'compile with `target: "{release[1]}"`, or take an image of {target}'
        yield given.problem("E653", message, hint)


def _out_of_range(spec: SageMakerSpec, document: Document | None) -> Iterator[Problem]:
    if document is None:
        return
    for part, at in ((spec.autoscaling, ("autoscaling",)), (spec.rollback, ("rollback",)),
                     (spec, ())):  # fmt: skip
        for word, (least, most) in _SECONDS.items():
            value = getattr(part, word, None)
            if value is not None and not least <= value / 1_000_000 <= most:
                message = f"{word} must be from {least}s to {most}s"
                yield Problem("E112", message, document.span((*at, word)))
    scaling = spec.autoscaling
    if scaling and scaling.max < scaling.min:
        message = f"max is {scaling.max}, below min, which is {scaling.min}"
        yield Problem("E112", message, document.span(("autoscaling", "max")))
    count = spec.instance.count
    if scaling and count is not None and not scaling.min <= count <= scaling.max:
        message = f"count is {count}, and autoscaling keeps {scaling.min} to {scaling.max}"
        yield Problem("E112", message, document.span(("instance", "count")))
    if spec.rollback and spec.rollback.errors is None and spec.rollback.latency is None:
        message = "rollback needs a threshold: errors or latency"
        yield Problem("E112", message, document.span(("rollback",)))
