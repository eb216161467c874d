"""A storage that counts what passes through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from appliance.storage.interface import Buffer, ObjectInfo, Storage, StorageError
from appliance.storage.wrapper import StorageWrapper


@dataclass(frozen=True)
class Counts:
    """What passed so far: calls by kind, bytes that were stored and that came back, and calls that failed.

    A failed call counts as a call and as an error; its bytes do not count.
    """

    puts: int = 0
    gets: int = 0
    stats: int = 0
    lists: int = 0
    deletes: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0

    def __sub__(self, earlier: Counts) -> Counts:
        """What passed since `earlier`."""
        return Counts(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})


class MeteredStorage(StorageWrapper):
    """Counts calls, bytes and errors; `counts` is the state at this moment."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self._lock = threading.Lock()
        self._counts = Counts()

    @property
    def counts(self) -> Counts:
        with self._lock:
            return self._counts

    def put(self, key: str, data: Buffer) -> None:
        with self._call(puts=1):
            self.inner.put(key, data)
        self._add(bytes_up=memoryview(data).nbytes)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._call(gets=1):
            data = self.inner.get(key, offset, length)
        self._add(bytes_down=len(data))
        return data

    def stat(self, key: str) -> ObjectInfo:
        with self._call(stats=1):
            return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        objects = self.inner.list(prefix)
        return self._list(objects)

    def delete(self, key: str) -> None:
        with self._call(deletes=1):
            self.inner.delete(key)

    def _list(self, objects: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        with self._call(lists=1):
            yield from objects

    @contextmanager
    def _call(self, **counts: int) -> Iterator[None]:
        self._add(**counts)
        try:
            yield
        except StorageError:
            self._add(errors=1)
            raise

    def _add(self, **counts: int) -> None:
        with self._lock:
            now = self._counts
            self._counts = replace(now, **{name: getattr(now, name) + value for name, value in counts.items()})
