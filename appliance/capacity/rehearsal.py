"""A rehearsal: runs a job against a storage that reads for real and swallows what is written, counting it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from appliance.storage.interface import Buffer, ObjectInfo, Storage
from appliance.storage.wrapper import StorageWrapper


class RehearsalStorage(StorageWrapper):
    """`inner` for reading; puts change nothing and are counted, deletes change nothing.

    What was put is seen by `stat` and `list`, and by `get` unless it is a pack: nobody reads a pack back in the run
    that writes it, and a run's packs do not fit in memory.
    """

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self._sizes: dict[str, int] = {}
        self._small: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def bytes_put(self) -> int:
        """Sum of the sizes of the objects put, each key counted once."""
        with self._lock:
            return sum(self._sizes.values())

    @property
    def objects_put(self) -> int:
        with self._lock:
            return len(self._sizes)

    def put(self, key: str, data: Buffer) -> None:
        kept = None if key.startswith("data/") else bytes(data)
        with self._lock:
            self._sizes[key] = memoryview(data).nbytes
            if kept is not None:
                self._small[key] = kept

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            kept = self._small.get(key)
        if kept is None:
            return self.inner.get(key, offset, length)
        return kept[offset:] if length is None else kept[offset : offset + length]

    def stat(self, key: str) -> ObjectInfo:
        with self._lock:
            size = self._sizes.get(key)
        return self.inner.stat(key) if size is None else ObjectInfo(key, size)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            sizes = dict(self._sizes)
        folder = f"{prefix}/" if prefix else ""
        yield from (ObjectInfo(key, size) for key, size in sizes.items() if key.startswith(folder))
        yield from (info for info in self.inner.list(prefix) if info.key not in sizes)

    def delete(self, key: str) -> None:
        with self._lock:
            self._sizes.pop(key, None)
            self._small.pop(key, None)

    def close(self) -> None:
        """Leaves `inner` open: it belongs to the run that follows."""
