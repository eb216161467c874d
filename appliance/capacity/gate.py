"""The gate: a storage wrapper that sends nothing which would exceed the capacity.

Retrying goes inside (`GatedStorage(RetryingStorage(GatedTries(s3, ledger)), ledger)`): to the gate, a put and its
repetitions are one request with one claim, but where each try may leave a version of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from appliance.capacity.ledger import Ledger
from appliance.capacity.policy import CapacityExceeded, Purpose, purpose_of
from appliance.storage.interface import Buffer, ObjectInfo, ObjectNotFound, Storage, StorageError
from appliance.storage.wrapper import StorageWrapper


class GatedTries(StorageWrapper):
    """`inner`, the ledger told of each repetition of a put. It belongs below what retries, and the gate above that.

    Where versions are kept, a try whose answer was lost may have been stored, and then stays beside the next one.
    """

    def __init__(self, inner: Storage, ledger: Ledger, purpose: Callable[[str], Purpose] = purpose_of) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._purpose = purpose
        self._failed: set[str] = set()

    def put(self, key: str, data: Buffer) -> None:
        if key in self._failed:
            self._failed.discard(key)
            self._ledger.again(key, memoryview(data).nbytes, self._purpose(key))
        try:
            self.inner.put(key, data)
        except StorageError:
            self._failed.add(key)
            raise


class GatedStorage(StorageWrapper):
    """`inner` under `ledger`: `put` raises `CapacityExceeded` before any byte is sent that would not fit.

    `purpose` says by key what a put is for, and so which limit holds for it. A put is taken to need its size and no
    more while it runs, as one request does; a storage that sends an object in parts may hold parts of a failed try
    besides, which is why a repository's files, at most some 128 MiB each, are sent in one request.
    """

    def __init__(self, inner: Storage, ledger: Ledger, purpose: Callable[[str], Purpose] = purpose_of) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._purpose = purpose

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def for_upkeep(self) -> GatedStorage:
        """The same place under the same ledger for work that makes room: all that it stores may use the reserve."""
        return GatedStorage(self.inner, self._ledger, lambda _: Purpose.UPKEEP)

    def put(self, key: str, data: Buffer) -> None:
        size = memoryview(data).nbytes
        self._reserve(key, size)
        try:
            self.inner.put(key, data)
        except BaseException:
            # Even an error that is final may follow a first try that was stored: only a look can tell.
            self._ledger.doubt(key)
            raise
        self._ledger.settle(key)

    def _reserve(self, key: str, size: int) -> None:
        purpose = self._purpose(key)
        try:
            self._ledger.reserve(key, size, purpose)
        except CapacityExceeded:
            if not self._look_at_doubts():
                raise
            self._ledger.reserve(key, size, purpose)

    def _look_at_doubts(self) -> bool:
        """Looks at every object whose doubt is old; whether there was any. A look that fails leaves its doubt."""
        doubts = self._ledger.old_doubts()
        for key in doubts:
            with contextlib.suppress(StorageError):
                self.stat(key)
        return bool(doubts)

    def stat(self, key: str) -> ObjectInfo:
        doubt = self._ledger.in_doubt(key)
        try:
            info = self.inner.stat(key)
        except ObjectNotFound:
            if doubt:
                self._ledger.looked(key, None, doubt)
            raise
        if doubt:
            self._ledger.looked(key, info.size, doubt)
        return info

    def delete(self, key: str) -> None:
        deletion = self._ledger.deleting(key)
        try:
            self.inner.delete(key)
        except BaseException:
            self._ledger.delete_failed(key, deletion)
            raise
        self._ledger.deleted(key, deletion)
