"""A storage that fails on command: the test double of everything that must survive a failing storage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from appliance.storage import StorageWrapper
from appliance.storage.interface import Buffer, ObjectInfo, Storage, StorageError, Unreachable
from appliance.text import T


def passing(retry_after: float | None = None) -> StorageError:
    """An error that may be gone at the next try."""
    return Unreachable(T("The line is down."), transient=True, retry_after=retry_after)


class FaultyStorage(StorageWrapper):
    """Raises the errors given, one per call, before the call reaches `inner`; then passes calls on.

    `list` yields `list_breaks_after` objects before its error.
    """

    def __init__(self, inner: Storage, *errors: StorageError, list_breaks_after: int = 0) -> None:
        super().__init__(inner)
        self.errors = list(errors)
        self.calls: list[str] = []
        self._list_breaks_after = list_breaks_after

    def put(self, key: str, data: Buffer) -> None:
        self._fail("put")
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._fail("get")
        return self.inner.get(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        self._fail("stat")
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self._fail("delete")
        self.inner.delete(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._list(self.inner.list(prefix))

    def _list(self, objects: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        if self.errors:
            yield from islice(objects, self._list_breaks_after)
        self._fail("list")
        yield from objects

    def _fail(self, call: str) -> None:
        self.calls.append(call)
        if self.errors:
            raise self.errors.pop(0)
