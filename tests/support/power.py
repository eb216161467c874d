"""A storage whose power can be cut after any single operation.

It writes down every put and delete as it is done. Afterwards each prefix of that list is a state in which the power
may have failed: `Recording.states` makes a storage of each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.repository import LockOwner
from appliance.storage import MemoryStorage
from appliance.storage.interface import Buffer, Storage
from appliance.storage.wrapper import StorageWrapper


@dataclass(frozen=True)
class Operation:
    """A put of `data`, or a delete where that is None."""

    key: str
    data: bytes | None = field(repr=False)

    def __str__(self) -> str:
        return f"{'delete' if self.data is None else 'put'} {self.key.partition('/')[0]}"


class RecordingStorage(StorageWrapper):
    """Passes everything on and writes down what changes `inner`, in the order in which it does."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.before = objects_of(inner)
        self.operations: list[Operation] = []
        self._lock = threading.Lock()

    def put(self, key: str, data: Buffer) -> None:
        with self._lock:
            self.inner.put(key, data)
            self.operations.append(Operation(key, bytes(data)))

    def delete(self, key: str) -> None:
        with self._lock:
            self.inner.delete(key)
            self.operations.append(Operation(key, None))

    def states(self) -> Iterator[tuple[str, MemoryStorage]]:
        """What was there before, and after each operation, each with a name; every storage is a new one."""
        objects = dict(self.before)
        yield "before", storage_of(objects)
        for number, operation in enumerate(self.operations, start=1):
            if operation.data is None:
                objects.pop(operation.key, None)
            else:
                objects[operation.key] = operation.data
            yield f"{number}/{len(self.operations)}, after {operation}", storage_of(objects)


def objects_of(storage: Storage) -> dict[str, bytes]:
    return {info.key: storage.get(info.key) for info in storage.list()}


def storage_of(objects: dict[str, bytes]) -> MemoryStorage:
    storage = MemoryStorage()
    for key, data in objects.items():
        storage.put(key, data)
    return storage


def write_folder(storage: Storage, folder: Path) -> None:
    """The storage's objects as files, where stock restic can read them."""
    for key, data in objects_of(storage).items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def after_reboot() -> LockOwner:
    """Who locks after the power came back: this host, on which no process of before is alive."""
    return LockOwner(identify=lambda pid: None)
