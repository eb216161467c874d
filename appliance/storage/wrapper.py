"""The base of the wrappers: a storage that passes everything on to another one."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.storage.interface import Buffer, ObjectInfo, Storage, Unlisted, unlisted


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

    def close(self) -> None:
        self.inner.close()
