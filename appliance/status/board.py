"""The board: where the newest Status hangs, for any thread to put up and any number of readers to see."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from appliance.status.model import Status


@dataclass(frozen=True)
class Posted:
    """A Status on the board and its number: each is higher than the one before."""

    sequence: int
    status: Status


class Board:
    """Holds the newest Status. All methods may be called from any thread.

    Readers get the newest Status, never a queue of old ones: one that is slow misses what was between, and
    neither blocks `publish` nor takes memory.
    """

    def __init__(self, status: Status) -> None:
        self._changed = threading.Condition()
        self._posted = Posted(1, status)
        self._wakers: list[Callable[[], None]] = []

    def current(self) -> Status:
        """The newest Status."""
        return self.latest().status

    def latest(self) -> Posted:
        """The newest Status with its number."""
        with self._changed:
            return self._posted

    def publish(self, status: Status) -> int:
        """Puts up `status` and returns its number; one that equals the newest changes nothing."""
        with self._changed:
            if status != self._posted.status:
                self._posted = Posted(self._posted.sequence + 1, status)
                self._changed.notify_all()
                for wake in self._wakers:
                    wake()
            return self._posted.sequence

    def wait(self, after: int, timeout: float) -> Posted | None:
        """For threads: the newest Status as soon as its number is above `after`, None when none came in time."""
        with self._changed:
            if self._changed.wait_for(lambda: self._posted.sequence > after, timeout):
                return self._posted
            return None

    def subscribe(self, after: int = 0) -> Subscription:
        """For coroutines: an asynchronous iterator over what is put up; the first item comes at once when `after` is 0.

        Used as `async with board.subscribe() as news: async for posted in news: …` inside a running loop.
        """
        return Subscription(self, after)

    def _add(self, waker: Callable[[], None]) -> None:
        with self._changed:
            self._wakers.append(waker)

    def _remove(self, waker: Callable[[], None]) -> None:
        with self._changed:
            self._wakers.remove(waker)


class Subscription:
    """One reader in an event loop. `next` waits for news; what came meanwhile is one item, the newest."""

    def __init__(self, board: Board, after: int) -> None:
        self._board = board
        self._seen = after
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        self._board._add(self._wake)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board._remove(self._wake)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Posted:
        return await self.next()

    async def next(self) -> Posted:
        """The newest Status once it is one this reader has not seen."""
        while True:
            self._news.clear()
            posted = self._board.latest()
            if posted.sequence > self._seen:
                self._seen = posted.sequence
                return posted
            await self._news.wait()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended, and this reader with it
            self._loop.call_soon_threadsafe(self._news.set)
