"""The archives of a multi-model endpoint where they are in the cloud: below a prefix of S3."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from ensemblegen.deploy import faults
from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.call import Call

_ADDRESS = re.compile(r"s3:/+(?P<bucket>[^/]+)/*(?P<prefix>.*)")
"""A path has one slash where an address has two."""


class Bucket:
    """What `sagemaker.archives.Archives` asks for, from S3. `prefix` is empty or ends in a slash.

    InputError and MachineError as `deploy.faults` has them.
    """

    def __init__(self, aws: Aws, bucket: str, prefix: str) -> None:
        self._aws, self._bucket, self._prefix = aws, bucket, prefix

    def fetch(self, name: str, place: Path) -> bool:
        words = {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}
        client = self._aws.client("s3")
        refused = importlib.import_module("botocore.exceptions").ClientError
        with faults.worded(Call("s3", "get_object", words), self._aws.region):
            try:
                client.download_file(**words, Filename=str(place))
            except refused as error:
                if faults.is_absence(error):
                    return False
                raise
        return True

    def names(self) -> list[str]:
        words = {"Bucket": self._bucket, "Prefix": self._prefix}
        found = self._aws.pages("s3", "list_objects_v2", "Contents", **words)
        keys = (str(each["Key"]) for each in found)
        return sorted(key.removeprefix(self._prefix) for key in keys if key.endswith(".tar.gz"))


def address(path: Path) -> tuple[str, str] | None:
    """Bucket and prefix of `s3://BUCKET/PREFIX`; None of a path on this machine."""
    match = _ADDRESS.fullmatch(str(path))
    if match is None:
        return None
    prefix = match["prefix"]
    return match["bucket"], prefix and f"{prefix.rstrip('/')}/"
