"""A storage that leaves some of the line to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from appliance.storage.interface import Buffer, SendsInPieces, Storage
from appliance.storage.wrapper import StorageWrapper

LONGEST_WAIT = 0.5
"""Seconds after which a wait looks again at a rate that may have changed."""

Rate = Callable[[], int | None]
"""Bytes a second that may pass now; None is no limit."""


class TokenBucket:
    """Holds a flow of bytes to `rate` bytes a second on average, with at most `burst` bytes at once.

    Whoever takes more than is there waits for the debt to be paid off, so an object larger than the burst passes
    too, and takes the time it must. Any number of threads may take from one bucket; together they keep the rate.
    A `rate` that is asked for (`Rate`) is followed while waiting, too; a burst is then a second's worth.
    """

    def __init__(
        self,
        rate: int | Rate,
        burst: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not callable(rate) and rate <= 0:
            raise ValueError("the rate must be positive")
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._rate_before = self._now()
        self._level = float(self._full(self._rate_before or 0))
        self._taken = 0
        self._filled_at = clock()

    def take(self, count: int) -> None:
        """Waits until `count` bytes may pass."""
        with self._lock:
            self._fill()
            self._level -= count
            self._taken += count
            ticket = self._taken
        if not callable(self._rate):
            self._wait(ticket, longest=float("inf"))
            return
        while self._wait(ticket, LONGEST_WAIT):
            pass

    def _wait(self, ticket: int, longest: float) -> bool:
        """Waits for what was taken up to `ticket` to be paid off, once; whether it had to."""
        with self._lock:
            rate = self._fill()
            owed = -(self._level + self._taken - ticket)
        if rate is None or owed <= 0:
            return False
        self._sleep(min(owed / rate, longest))
        return True

    def _fill(self) -> int | None:
        """Adds what has come since the last time, at the rate of then; the rate now."""
        now, before = self._clock(), self._rate_before
        if before is None:
            self._level = 0.0
        else:
            self._level = min(self._full(before), self._level + (now - self._filled_at) * before)
        self._filled_at, self._rate_before = now, self._now()
        return self._rate_before

    def _full(self, rate: int) -> int:
        return rate if self._burst is None else self._burst

    def _now(self) -> int | None:
        return self._rate() if callable(self._rate) else self._rate


class ThrottledStorage(StorageWrapper):
    """Holds uploads and downloads to bytes a second; None is no limit.

    An upload waits before it is sent, and, where `inner` sends in pieces, before each piece. A download waits after it
    came, so that the next one comes later: how much a whole object is, is known only then.
    """

    def __init__(
        self,
        inner: Storage,
        *,
        upload_limit: int | Rate | None = None,
        download_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner)
        self._up = TokenBucket(upload_limit, clock=clock, sleep=sleep) if upload_limit else None
        self._down = TokenBucket(download_limit, clock=clock, sleep=sleep) if download_limit else None

    def put(self, key: str, data: Buffer) -> None:
        if self._up is None:
            self.inner.put(key, data)
        elif isinstance(self.inner, SendsInPieces):
            self.inner.put_in_pieces(key, data, self._up.take)
        else:
            self._up.take(memoryview(data).nbytes)
            self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self.inner.get(key, offset, length)
        if self._down:
            self._down.take(len(data))
        return data
