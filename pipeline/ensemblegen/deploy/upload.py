"""An archive into the bucket: in one call or in parts, going on where an earlier run stopped.

Keys are named by content, so that parts which lie under a key are parts of this very archive.
S3 checks each by a checksum that boto3 sends along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.call import Call
from ensemblegen.deploy.state import SHA256
from ensemblegen.deploy.wanted import Place
from ensemblegen.errors import MachineError

PART = 8 << 20
"""Bytes of a part, and of what goes in one call; more for archives of over 80 GB."""
_PARTS = 10_000
"""S3 takes no more."""
_AT_ONCE = 4

Sent = Callable[[int, int], None]
"""Told bytes that are there by now, and bytes in all."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One archive, and the unfinished upload that it continues, if there is one."""

    path: Path
    bucket: str
    key: str
    sha256: str
    bytes: int
    resumes: str | None

    @property
    def part(self) -> int:
        """Bytes of a part, the last one excepted; the same in every run."""
        least = -(-self.bytes // _PARTS)
        return max(PART, -(-least // (1 << 20)) << 20)

    @property
    def parts(self) -> int:
        return max(1, -(-self.bytes // self.part))

    def calls(self) -> Iterator[tuple[Call, int]]:
        """Each call with how often it is made at most, for those who want to know beforehand."""
        whole = {**self.place, **_CHECKED, **self.marked}
        if self.parts == 1:
            yield Call("s3", "put_object", whole), 1
            return
        told = {**self.place, "UploadId": self.resumes or "..."}
        if self.resumes is None:
            yield Call("s3", "create_multipart_upload", whole), 1
        yield Call("s3", "upload_part", {**told, **_CHECKED, "PartNumber": "..."}), self.parts
        yield Call("s3", "complete_multipart_upload", told), 1

    @property
    def place(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def marked(self) -> dict[str, Any]:
        return {"Metadata": {SHA256: self.sha256}}


_CHECKED = {"ChecksumAlgorithm": "SHA256"}


def upload(bucket: str, place: Place, resumes: str | None) -> Upload:
    archive = place.archive
    return Upload(archive.path, bucket, place.key, archive.sha256, archive.bytes, resumes)


def send(aws: Aws, step: Upload, sent: Sent) -> None:
    """Return when the archive is in the bucket, whole. MachineError where it cannot be read."""
    try:
        _send(aws, step, sent)
    except OSError as error:
        raise MachineError(f"cannot read {step.path}: {error.strerror or error}") from None


def _send(aws: Aws, step: Upload, sent: Sent) -> None:
    if step.parts == 1:
        with step.path.open("rb") as body:
            parameters = {**step.place, **_CHECKED, **step.marked, "Body": body}
            aws.call(Call("s3", "put_object", parameters))
        sent(step.bytes, step.bytes)
        return
    identity = step.resumes or _begin(aws, step)
    there = _there(aws, step, identity)
    parts = _send_parts(aws, step, identity, there, sent)
    parameters = {**step.place, "UploadId": identity, "MultipartUpload": {"Parts": parts}}
    aws.call(Call("s3", "complete_multipart_upload", parameters))


def _begin(aws: Aws, step: Upload) -> str:
    call = Call("s3", "create_multipart_upload", {**step.place, **_CHECKED, **step.marked})
    return str(aws.call(call)["UploadId"])


def _there(aws: Aws, step: Upload, identity: str) -> dict[int, dict[str, Any]]:
    """Parts that were received whole before."""
    if step.resumes is None:
        return {}
    listed = aws.pages("s3", "list_parts", "Parts", **step.place, UploadId=identity)
    return {
        each["PartNumber"]: _part(each["PartNumber"], each)
        for each in listed
        if each["Size"] == _size(step, each["PartNumber"])
    }


def _part(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """A part as the last call wants to have it."""
    checksum = answer.get("ChecksumSHA256")
    told = {"ChecksumSHA256": checksum} if checksum else {}
    return {"PartNumber": number, "ETag": answer["ETag"], **told}


def _size(step: Upload, number: int) -> int:
    return min(step.part, step.bytes - (number - 1) * step.part)


def _send_parts(
    aws: Aws, step: Upload, identity: str, there: dict[int, dict[str, Any]], sent: Sent
) -> list[dict[str, Any]]:
    """All parts in their order, several on the way at once."""
    aws.client("s3")  # clients are made by one thread, and used by all
    done = sum(_size(step, number) for number in there)
    counting = threading.Lock()

    def one(number: int) -> dict[str, Any]:
        nonlocal done
        if number in there:
            return there[number]
        with step.path.open("rb") as file:
            file.seek((number - 1) * step.part)
            body = file.read(_size(step, number))
        more = {"UploadId": identity, "PartNumber": number, **_CHECKED, "Body": body}
        answer = aws.call(Call("s3", "upload_part", {**step.place, **more}))
        with counting:
            done += len(body)
            sent(done, step.bytes)
        return _part(number, answer)

    with ExitStack() as stack:
        pool = ThreadPoolExecutor(_AT_ONCE)
        # After a failure or Ctrl-C, what has not begun is not begun.
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        futures = [pool.submit(one, number) for number in range(1, step.parts + 1)]
        return [future.result() for future in futures]
