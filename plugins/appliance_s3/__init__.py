"""S3 and everything that speaks its API, as a storage for backups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.hookspecs import hookimpl
from appliance.storage.interface import Storage, StorageKind
from appliance.text import T


@hookimpl
def storages() -> Iterable[StorageKind]:
    return (StorageKind("s3", T("S3 storage"), _open_storage),)


def _open_storage(url: str, options: dict[str, Any]) -> Storage:
    # Imported late: requests takes a fifth of a second that most commands do not need.
    from appliance_s3.client import S3Client
    from appliance_s3.place import parse_credentials, parse_place
    from appliance_s3.storage import S3Storage

    client = S3Client(parse_place(url, options), parse_credentials(options))
    return S3Storage(client, options.get("object_lock"))
