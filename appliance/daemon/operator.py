"""Who gives the operator code, on the page or on the serial line, one at a time and never faster than people type."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from functools import partial

from appliance.daemon.background import in_thread
from appliance.operator_code import Attempts, NoOperatorCode, OperatorCode, TryLater, WrongOperatorCode
from appliance.status.model import Problem, Severity
from appliance.text import T

logger = logging.getLogger(__name__)

SPACING = 1.0
"""Seconds between a wrong code, whoever gave it, or the start of the box, and the next look at one."""

TOLD = 10
"""Wrong codes in a row that are worth telling: more than somebody mistypes."""

QUEUE = 20
"""People who may wait for their turn: whoever tries from many places makes others wait so many turns, and no longer."""


class Operator:
    """Looks at operator codes. Lives in one event loop.

    Each place, a network address, waits longer after each wrong code. All together are looked at in the order they
    come, so that a stranger can make the owner wait for a turn, but not keep him out.
    """

    def __init__(
        self,
        codes: OperatorCode,
        now: Callable[[], datetime],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._codes = codes
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._attempts = Attempts(clock)
        self._turn = asyncio.Lock()
        self._waiting: set[str] = set()
        self._next = clock() + SPACING
        self._refused: tuple[int, str, datetime | None] = (0, "", None)

    @property
    def has_code(self) -> bool:
        """Whether there is a code at all. Raises `StateError`."""
        return self._codes.made_at is not None

    def problems(self, zone: tzinfo) -> Iterator[Problem]:
        """That somebody tries codes, until the right one is given or a day is over."""
        count, who, at = self._refused
        if count < TOLD or at is None or self._now() - at > timedelta(days=1):
            return
        yield Problem(
            "operator.refused",
            Severity.WARNING,
            T(
                "Wrong operator codes were given {count} times, the last on {moment} from {place}.",
                count=count,
                moment=f"{at.astimezone(zone):%Y-%m-%d %H:%M}",
                place=who,
            ),
            at,
            safe=T("Nothing was changed."),
            todo=T("If you know of nobody who tried, find out who is on your network there."),
        )

    async def require(self, code: str, who: str) -> None:
        """Raises an `OperatorCodeError` unless the code is right; `who` is the place it comes from."""
        if not self.has_code:
            raise NoOperatorCode
        wait = self._attempts.wait(who)
        if wait or who in self._waiting or len(self._waiting) >= QUEUE:
            raise TryLater(wait or SPACING)
        self._waiting.add(who)
        try:
            async with self._turn:
                await self._sleep(max(0.0, self._next - self._clock()))
                # Counted before it is looked at: whoever goes away meanwhile has tried.
                self._attempts.failed(who)
                self._next = self._clock() + SPACING
                if not await in_thread(partial(self._codes.matches, code), "look at an operator code"):
                    logger.warning("a wrong operator code was given from %s", who)
                    self._refused = self._refused[0] + 1, who, self._now()
                    raise WrongOperatorCode
                self._attempts.succeeded(who)
                self._next = 0.0
                self._refused = 0, "", None
        finally:
            self._waiting.discard(who)
