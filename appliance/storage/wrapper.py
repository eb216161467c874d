"""The base of the wrappers: a storage that passes everything on to another one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from appliance.storage.interface import Buffer, ObjectInfo, Storage, Unlisted, unlisted
from appliance.storage.versions import LockMode, Version, keeps_versions


class StorageWrapper:
    """Passes every call on to `inner`; a wrapper overrides the calls it has something to say about."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner

    @property
    def location(self) -> str:
        return self.inner.location

    def put(self, key: str, data: Buffer) -> None:
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.inner.get(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def unlisted(self) -> Unlisted:
        return unlisted(self.inner)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def require_object_lock(self) -> None:
        keeps_versions(self.inner).require_object_lock()

    def versions(self) -> Iterator[Version]:
        return keeps_versions(self.inner).versions()

    def get_version(self, key: str, version: str) -> bytes:
        return keeps_versions(self.inner).get_version(key, version)

    def protected_until(self, key: str, version: str) -> datetime | None:
        return keeps_versions(self.inner).protected_until(key, version)

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        keeps_versions(self.inner).protect(key, version, mode, until)

    def delete_version(self, key: str, version: str) -> None:
        keeps_versions(self.inner).delete_version(key, version)

    def close(self) -> None:
        self.inner.close()
