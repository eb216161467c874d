"""What is connected: looked for at the start, whenever a plugin reports an event, and now and then all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from appliance.box import Box
from appliance.daemon.background import in_thread
from appliance.errors import KurabakoError
from appliance.policy import KnownSource
from appliance.sources.interface import SourceEvent, Watch

logger = logging.getLogger(__name__)

SETTLE = 0.3
"""Seconds of quiet before looking: a disk that is plugged in makes a burst of events."""

ROUND = 300.0
"""Seconds after which sources are looked for without an event: a server that comes and goes sends none."""


class SourceWatcher:
    """Knows the sources. Lives in one event loop.

    There `on_change` is called when they may be others, and `on_event` when something was plugged in, mounted or taken
    away.
    """

    def __init__(self, box: Box, on_change: Callable[[], None], on_event: Callable[[], None]) -> None:
        self._box = box
        self._on_change = on_change
        self._on_event = on_event
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watch: Watch | None = None
        self.known: tuple[KnownSource, ...] = ()
        self._plugged_in: set[str] = set()
        self.looked = asyncio.Event()
        """Set once sources have been looked for."""

    async def run(self) -> None:
        """Watches until cancelled."""
        self._watch = await in_thread(
            lambda: self._box.plugins.watch_sources(self._box.context, self._from_thread), "watch sources"
        )
        while True:
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._news.wait()
                    await asyncio.sleep(SETTLE)
            self._news.clear()

    async def look(self) -> None:
        """Looks for the sources now."""
        try:
            known = await in_thread(self._box.known_sources, "find sources")
        except KurabakoError as error:
            logger.error("sources cannot be looked for: %s", error)
        else:
            self.known = tuple(known)
        self.looked.set()
        self._on_change()

    async def close(self) -> None:
        """Ends the plugins' watches."""
        if self._watch is not None:
            watch, self._watch = self._watch, None
            with suppress(TimeoutError, KurabakoError):
                async with asyncio.timeout(2.0):
                    await in_thread(watch.close, "end watching")

    def _from_thread(self, event: SourceEvent) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._heard, event)

    def plugged_in(self) -> frozenset[str]:
        """The ids of the sources whose arrival was told since this was asked last, and that have been looked at."""
        told = frozenset(self._plugged_in & {known.found.id for known in self.known if known.found.present})
        self._plugged_in -= told
        return told

    def _heard(self, event: SourceEvent) -> None:
        logger.info("source %s: %s", event.action, event.source.id)
        if event.action == "add":
            self._plugged_in.add(event.source.id)
        self._news.set()
        self._on_event()
