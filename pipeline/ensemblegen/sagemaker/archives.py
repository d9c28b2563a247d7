"""Where the archives of a multi-model endpoint come from: what its S3 prefix is to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from ensemblegen.errors import MachineError


class Archives(Protocol):
    """A prefix with archives; a name may have slashes."""

    def fetch(self, name: str, place: Path) -> bool:
        """Put the archive at `place`; False where there is none of that name."""
        ...

    def names(self) -> list[str]:
        """All of them, sorted."""
        ...


class Folder:
    """Archives in a folder of this machine, and in folders below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def fetch(self, name: str, place: Path) -> bool:
        source = (self._folder / name).resolve()
        if not (source.is_relative_to(self._folder) and source.is_file()):
            return False
        shutil.copyfile(source, place)
        return True

    def names(self) -> list[str]:
        found = self._folder.rglob("*.tar.gz")
        return sorted(each.relative_to(self._folder).as_posix() for each in found)


class Bucket:
    """Archives below a prefix of an S3 bucket, by a client of boto3."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def fetch(self, name: str, place: Path) -> bool:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
        )

        try:
            self._client.download_file(self._bucket, f"{self._prefix}{name}", str(place))
        except (BotoCoreError, ClientError) as error:
            told = getattr(error, "response", {}).get("Error", {})
            if told.get("Code") in ("404", "NoSuchKey"):
                return False
            address = f"s3://{self._bucket}/{self._prefix}{name}"
            raise MachineError(f"cannot fetch {address}: {error}") from error
        return True

    def names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
        keys = [each["Key"] for page in found for each in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in keys if key.endswith(".tar.gz"))
