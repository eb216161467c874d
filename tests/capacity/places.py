"""Storages for these tests: one that watches its total, and ones that fail as lines and providers do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from enum import StrEnum

from appliance.storage.interface import Buffer, ObjectInfo, ObjectNotFound, Unreachable
from appliance.text import T


class WatchedStorage:
    """Objects by size only; knows the total at every instant and the highest there ever was."""

    location = "watched:"

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.highest = 0
        self.puts: list[str] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        with self._lock:
            return sum(self.sizes.values())

    def put(self, key: str, data: Buffer) -> None:
        with self._lock:
            self.puts.append(key)
            self.sizes[key] = memoryview(data).nbytes
            self.highest = max(self.highest, sum(self.sizes.values()))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return bytes(self.stat(key).size)[offset : None if length is None else offset + length]

    def stat(self, key: str) -> ObjectInfo:
        with self._lock:
            if key not in self.sizes:
                raise ObjectNotFound(self.location, key)
            return ObjectInfo(key, self.sizes[key])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            return iter([ObjectInfo(key, size) for key, size in self.sizes.items() if key.startswith(prefix)])

    def delete(self, key: str) -> None:
        with self._lock:
            self.sizes.pop(key, None)

    def close(self) -> None: ...


class Fault(StrEnum):
    """What becomes of a request."""

    NONE = "none"
    LOST = "lost"
    """It never arrives."""
    ANSWER_LOST = "answer-lost"
    """It is done, but the client is not told."""
    LATE = "late"
    """The client is told that it failed; it is done later all the same."""


def line_down() -> Unreachable:
    return Unreachable(T("The line is down."), transient=True)


class FaultyStorage(WatchedStorage):
    """A watched storage whose next requests meet the faults in `faults`, in turn; `NONE` when there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: deque[Fault] = deque()
        self._late: list[tuple[str, int]] = []

    def _next(self) -> Fault:
        try:
            return self.faults.popleft()
        except IndexError:
            return Fault.NONE

    def put(self, key: str, data: Buffer) -> None:
        fault = self._next()
        if fault is Fault.LATE:
            self._late.append((key, memoryview(data).nbytes))
        elif fault is not Fault.LOST:
            super().put(key, data)
        if fault is not Fault.NONE:
            raise line_down()

    def stat(self, key: str) -> ObjectInfo:
        if self._next() is not Fault.NONE:
            raise line_down()
        return super().stat(key)

    def delete(self, key: str) -> None:
        fault = self._next()
        if fault in (Fault.NONE, Fault.ANSWER_LOST):
            super().delete(key)
        if fault is not Fault.NONE:
            raise line_down()

    def land(self) -> None:
        """Does the requests that were late."""
        for key, size in self._late:
            super().put(key, bytes(size))
        self._late.clear()
