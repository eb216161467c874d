"""The provider's own figure of usage, asked for by itself, beside what the box counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from appliance.box import Box
from appliance.contract.clock import SETBACK
from appliance.daemon.background import in_thread
from appliance.daemon.capacity import note_provider
from appliance.daemon.ways import poll_of
from appliance.errors import KurabakoError
from appliance.inbox import MalformedUsage, Poll, parse_usage
from appliance.text import T

logger = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two looks whether it is time to ask."""


class UsageWatch:
    """Asks the provider when it is time. A figure that cannot be used changes nothing, and is evidence once."""

    def __init__(self, box: Box, on_change: Callable[[], None]) -> None:
        self._box = box
        self._on_change = on_change
        token = box.settings.usage.token_file
        read_token = None if token is None else lambda: token.read().get_secret_value().strip()
        self._poll = poll_of(box, box.settings.usage, read_token) if box.has_cloud else None
        self._refused = ""

    async def run(self) -> None:
        """Asks until cancelled."""
        while self._poll is not None:
            await self.look(self._poll)
            await asyncio.sleep(TICK)

    async def look(self, poll: Poll) -> None:
        """Asks, where it is time."""
        if self._box.clock() < poll.next_at:
            return
        try:
            await in_thread(lambda: self._ask(poll), "ask for the provider's figure")
            self._on_change()
        except KurabakoError as error:
            logger.warning("the provider's figure is not known: %s", error)

    def _ask(self, poll: Poll) -> None:
        answer = poll.fetch()
        if answer is None:
            return
        try:
            stored, at = parse_usage(answer)
            if at > self._box.clock() + SETBACK:
                raise MalformedUsage(T("{field} = {value}: {why}", field="at", value=at.isoformat(), why=_TO_COME))
        except MalformedUsage as error:
            if str(error.what) != self._refused:
                self._refused = str(error.what)
                document = answer[:4096].decode("utf-8", "backslashreplace")
                self._box.agreement.record("usage.refused", {"why": self._refused, "document": document})
            raise
        known = self._box.agreement.metering.provider
        if known is None or at > known.at:
            note_provider(self._box, stored, at)


_TO_COME = T("write a moment that is not to come")
