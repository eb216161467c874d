"""A storage that repeats what failed for a passing reason."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from appliance.storage.interface import Buffer, ObjectInfo, Storage, StorageError, Unlisted, unlisted
from appliance.storage.versions import LockMode, Version, keeps_versions
from appliance.storage.wrapper import StorageWrapper

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class RetryPolicy:
    """When to repeat: exponential backoff with full jitter.

    The pause before repetition n (from 0) is a random time between nothing and `first_pause * 2**n`, at most
    `longest_pause`. A pause the place itself asks for (Retry-After) is the least that is waited. No repetition is
    begun later than `give_up_after` after the call began; then the last error is raised. All in seconds.
    """

    first_pause: float = 0.5
    longest_pause: float = 30.0
    give_up_after: float = 15 * 60.0

    def pause(self, repetition: int, chance: float, asked: float | None) -> float:
        """Seconds to wait before `repetition`; `chance` is a random number in [0, 1)."""
        ceiling = min(self.longest_pause, self.first_pause * 2.0 ** min(repetition, 32))
        return max(chance * ceiling, asked or 0.0)


class _Attempts:
    """The attempts of one call: `failed` waits for the next one, or raises when there is to be none."""

    def __init__(self, storage: RetryingStorage, action: str) -> None:
        self._storage = storage
        self._action = action
        self.restart()

    def restart(self) -> None:
        """Something got through: the patience starts anew."""
        self._repetition = 0
        self._deadline = self._storage.clock() + self._storage.policy.give_up_after

    def failed(self, error: StorageError) -> None:
        if not error.transient:
            raise error
        storage = self._storage
        pause = storage.policy.pause(self._repetition, storage.random(), error.retry_after)
        if storage.clock() + pause > self._deadline:
            raise error
        self._repetition += 1
        _log.warning("%s failed, repeating in %.1f s: %s", self._action, pause, error.what)
        storage.sleep(pause)


class RetryingStorage(StorageWrapper):
    """Repeats calls whose error is `transient`, as `policy` says. Thread-safe if `sleep` and `random` are."""

    def __init__(
        self,
        inner: Storage,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self.policy = policy or RetryPolicy()
        self.sleep = sleep
        self.random = random
        self.clock = clock

    def put(self, key: str, data: Buffer) -> None:
        self._repeat(f"put {key}", lambda: self.inner.put(key, data))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._repeat(f"get {key}", lambda: self.inner.get(key, offset, length))

    def stat(self, key: str) -> ObjectInfo:
        return self._repeat(f"stat {key}", lambda: self.inner.stat(key))

    def delete(self, key: str) -> None:
        self._repeat(f"delete {key}", lambda: self.inner.delete(key))

    def unlisted(self) -> Unlisted:
        return self._repeat("look for what is not listed", lambda: unlisted(self.inner))

    def require_object_lock(self) -> None:
        self._repeat("look for Object Lock", lambda: keeps_versions(self.inner).require_object_lock())

    def versions(self) -> Iterator[Version]:
        """At once, as a listing that breaks off is begun anew."""
        return iter(self._repeat("list versions", lambda: list(keeps_versions(self.inner).versions())))

    def get_version(self, key: str, version: str) -> bytes:
        return self._repeat(f"get a version of {key}", lambda: keeps_versions(self.inner).get_version(key, version))

    def protected_until(self, key: str, version: str) -> datetime | None:
        versions = keeps_versions(self.inner)
        return self._repeat(f"ask how long {key} is protected", lambda: versions.protected_until(key, version))

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        self._repeat(f"protect {key}", lambda: keeps_versions(self.inner).protect(key, version, mode, until))

    def delete_version(self, key: str, version: str) -> None:
        self._repeat(f"delete a version of {key}", lambda: keeps_versions(self.inner).delete_version(key, version))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        objects = self.inner.list(prefix)  # refuses a wrong prefix here, not at the first step
        return self._list(prefix, objects)

    def _list(self, prefix: str, objects: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        """A listing that breaks off is begun anew; what was already yielded is left out."""
        attempts = _Attempts(self, f"list {prefix}")
        yielded: set[str] = set()
        while True:
            try:
                for info in objects:
                    if info.key not in yielded:
                        yielded.add(info.key)
                        attempts.restart()
                        yield info
                return
            except StorageError as error:
                attempts.failed(error)
            objects = self.inner.list(prefix)

    def _repeat(self, action: str, call: Callable[[], _Result]) -> _Result:
        attempts = _Attempts(self, action)
        while True:
            try:
                return call()
            except StorageError as error:
                attempts.failed(error)
