"""A storage that keeps its objects in memory: for tests, and for measuring what is around it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from appliance.storage.interface import Buffer, DamagedAnswer, ObjectInfo, ObjectNotFound, check_key
from appliance.text import T


class MemoryStorage:
    """Objects in a dictionary; nothing outlives the process."""

    def __init__(self, location: str = "memory:") -> None:
        self._location = location
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        return self._location

    def put(self, key: str, data: Buffer) -> None:
        check_key(key)
        copy = bytes(data)
        with self._lock:
            self._objects[key] = copy

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self._find(key)
        end = len(data) if length is None else offset + length
        if offset > len(data) or end > len(data):
            raise DamagedAnswer(
                T(
                    "The file {key} in {location} is shorter than it should be: {size} bytes, but bytes up to {end} "
                    "are needed.",
                    key=key,
                    location=self.location,
                    size=len(data),
                    end=max(offset, end),
                )
            )
        return data[offset:end]

    def stat(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self._find(key)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if prefix:
            check_key(prefix)
        below = f"{prefix}/" if prefix else ""
        with self._lock:
            found = [ObjectInfo(key, len(data)) for key, data in self._objects.items() if key.startswith(below)]
        return iter(found)

    def delete(self, key: str) -> None:
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def close(self) -> None:
        """Nothing to end; the objects stay, so a test may look at them."""

    def _find(self, key: str) -> bytes:
        check_key(key)
        with self._lock:
            data = self._objects.get(key)
        if data is None:
            raise ObjectNotFound(self.location, key)
        return data
