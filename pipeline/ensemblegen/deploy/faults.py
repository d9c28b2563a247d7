"""What AWS refuses, in our words: whose business it is, and what to do about it.

The caller's own values are an InputError (exit 1); credentials, permissions, quotas and the
network are the machine's or the account's: a MachineError (exit 3). Messages never hold
credentials: AWS does not repeat them, and nothing else is shown.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator
from typing import Any

from ensemblegen.deploy.call import Call
from ensemblegen.errors import EnsemblegenError, InputError, MachineError, Problem

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_STRANGER = {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
             "SignatureDoesNotMatch", "AuthFailure", "InvalidToken",
             "InvalidSignatureException"}  # fmt: skip
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "403", "Forbidden",
              "UnauthorizedOperation", "AllAccessDisabled"}  # fmt: skip
_FULL = {"QuotaExceeded", "InsufficientCapacity", "InsufficientStorage", "507", "EntityTooLarge",
         "XMinioStorageFull"}  # fmt: skip
"""Stores that speak S3 have limits that S3 itself does not."""
_QUOTA = {"ResourceLimitExceeded", "LimitExceeded", "LimitExceededException",
          "ServiceQuotaExceededException", "TooManyBuckets"}  # fmt: skip
_NO_BUCKET = {"NoSuchBucket"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301",
              "IllegalLocationConstraintException"}  # fmt: skip
_THROTTLED = {"Throttling", "ThrottlingException", "SlowDown", "TooManyRequestsException"}
_ABSENT = {"404", "NoSuchKey", "NotFound", "NoSuchUpload", "ResourceNotFound", "NoSuchEntity",
           "ResourceNotFoundException", "ObjectNotFoundException"}  # fmt: skip
_ABSENCE = re.compile(r"could not find|does not exist|no scalable target|not found", re.IGNORECASE)
_ASSUME = re.compile(r"assume role|role.*(does not exist|is invalid|cannot be)", re.IGNORECASE)


@contextlib.contextmanager
def worded(call: Call, region: str) -> Iterator[None]:
    """Turn what boto3 raises inside into an error that says what to do."""
    try:
        yield
    except EnsemblegenError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer")):
            raise
        raise _error(error, call, region) from None


def is_absence(error: Any) -> bool:
    """Whether a ClientError says that the thing asked for is not there."""
    code, message = _said(error)
    if code in _NO_BUCKET:
        return False
    return code in _ABSENT or (code == "ValidationException" and bool(_ABSENCE.search(message)))


_LOGIN = "`aws configure` or `aws sso login`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_LOCAL: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
        "no credentials for AWS",
        _LOGIN,
    ),
    (("SSOError", "TokenRetrievalError"), "the login at AWS has ended", "aws sso login"),
    (("ProfileNotFound",), "no such profile", "AWS_PROFILE names a profile of ~/.aws/config"),
    (
        ("EndpointConnectionError", "HTTPClientError", "InvalidEndpointConfigurationError"),
        "AWS cannot be reached",
        "is the network up, and is that the region (or AWS_ENDPOINT_URL) that is meant?",
    ),
)
"""What botocore raises before anything is answered: classes, what is said, and the remedy."""


def _error(error: Exception, call: Call, region: str) -> EnsemblegenError:
    known: Any = importlib.import_module("botocore.exceptions")
    if isinstance(error, known.ClientError):
        code, message = _said(error)
        problem = _problem(error, call, region)
        return InputError([problem]) if problem else _refused(code, message, call)
    if isinstance(error, known.ParamValidationError):
        return InputError([Problem("E650", f"{_name(call)} cannot take this: {error}")])
    for names, text, hint in _LOCAL:
        if isinstance(error, tuple(getattr(known, name) for name in names if hasattr(known, name))):
            return MachineError(f"{text}: {error}", hint)
    return MachineError(f"{_name(call)}: {error}")


def _problem(error: Any, call: Call, region: str) -> Problem | None:
    """What is wrong with a value of the caller's; None where it is none of those."""
    code, message = _said(error)
    bucket = call.parameters.get("Bucket")
    if code in _NO_BUCKET:
        hint = f"aws s3 mb s3://{bucket} --region {region}"
        return Problem("E655", f"there is no bucket '{bucket}'", hint=hint)
    if code in _ELSEWHERE and call.service == "s3":
        hint = "an endpoint reads archives of its own region: take a bucket there"
        return Problem("E655", f"bucket '{bucket}' is not in {region}", hint=hint)
    if code == "ValidationException" and _ASSUME.search(message):
        return Problem("E654", f"{_name(call)}: {message}", hint=TRUST)
    if code == "ModelError":
        text = str(error.response.get("OriginalMessage") or message)
        return Problem("E706", f"the endpoint refused the request: {text}")
    return None


def _refused(code: str, message: str, call: Call) -> MachineError:
    told = f"{_name(call)}: {message}"
    if code in _EXPIRED:
        hint = "log in again: `aws sso login`, or export a new session token"
        return MachineError(f"the credentials for AWS have expired ({told})", hint)
    if code in _STRANGER:
        return MachineError(f"AWS does not accept the credentials ({told})", _LOGIN)
    if code in _FORBIDDEN:
        action = f"{call.service.removesuffix('-runtime')}:{_camel(call.operation)}"
        return MachineError(f"not allowed: {told}", f"allow {action} to who is logged in")
    return MachineError(told, _hint(code, call))


TRUST = "the role must exist, and trust the service sagemaker.amazonaws.com"


def _hint(code: str, call: Call) -> str | None:
    if code in _FULL:
        return "the bucket is full: remove what is not needed, or take another one"
    if code in _QUOTA:
        service = "sagemaker" if call.service == "sagemaker" else call.service
        return (
            "ask for more: `aws service-quotas list-service-quotas --service-code "
            f"{service}`, then request-service-quota-increase; or take another instance type"
        )
    if code in _THROTTLED:
        return "AWS gets too many calls from this account: run it again, it goes on where it was"
    return None


def _said(error: Any) -> tuple[str, str]:
    found = error.response.get("Error", {})
    return str(found.get("Code", "")), str(found.get("Message") or found.get("Code") or error)


def _name(call: Call) -> str:
    return f"{call.service} {call.operation}"


def _camel(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))
