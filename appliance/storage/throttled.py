"""A storage that leaves some of the line to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from appliance.storage.interface import Buffer, Storage
from appliance.storage.wrapper import StorageWrapper


class TokenBucket:
    """Holds a flow of bytes to `rate` bytes a second on average, with at most `burst` bytes at once.

    Whoever takes more than is there waits for the debt to be paid off, so an object larger than the burst passes
    too, and takes the time it must. Any number of threads may take from one bucket; together they keep the rate.
    """

    def __init__(
        self,
        rate: int,
        burst: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate <= 0:
            raise ValueError("the rate must be positive")
        self._rate = rate
        self._burst = rate if burst is None else burst
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._level = float(self._burst)
        self._filled_at = clock()

    def take(self, count: int) -> None:
        """Waits until `count` bytes may pass."""
        with self._lock:
            now = self._clock()
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
            self._filled_at = now
            self._level -= count
            wait = -self._level / self._rate
        if wait > 0:
            self._sleep(wait)


class ThrottledStorage(StorageWrapper):
    """Holds uploads and downloads to bytes a second; None is no limit.

    An upload waits before it is sent. A download waits after it came, so that the next one comes later: how much
    a whole object is, is known only then.
    """

    def __init__(
        self,
        inner: Storage,
        *,
        upload_limit: int | None = None,
        download_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner)
        self._up = TokenBucket(upload_limit, clock=clock, sleep=sleep) if upload_limit else None
        self._down = TokenBucket(download_limit, clock=clock, sleep=sleep) if download_limit else None

    def put(self, key: str, data: Buffer) -> None:
        if self._up:
            self._up.take(memoryview(data).nbytes)
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self.inner.get(key, offset, length)
        if self._down:
            self._down.take(len(data))
        return data
