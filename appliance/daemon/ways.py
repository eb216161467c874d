"""The ways by which directives come by themselves: an address, the cloud, a disk that is plugged in, and plugins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta

from appliance.box import Box
from appliance.contract.box_state import Action
from appliance.daemon.background import in_thread
from appliance.daemon.keeping import ContractKeeper
from appliance.directives import BUCKET, DISK, HTTPS
from appliance.errors import KurabakoError
from appliance.hookspecs import OnOrder
from appliance.identity import box_id
from appliance.inbox import Poll, documents_in_cloud, documents_on_disk
from appliance.policy import KnownSource
from appliance.settings import DirectivesSettings, UsageSettings
from appliance.sources.interface import Watch

logger = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two looks whether a way is to be looked at."""


class DirectiveWays:
    """Looks at each way when it is time, and hands what is there to `keeper`; `known` are the sources.

    Plugins hand over orders with the operator code besides, for which `on_order` is called.
    """

    def __init__(
        self, box: Box, keeper: ContractKeeper, known: Callable[[], Sequence[KnownSource]], on_order: OnOrder
    ) -> None:
        self._box = box
        self._on_order = on_order
        self._keeper = keeper
        self._known = known
        self._disks: set[str] = set()
        self._cloud_at = box.clock()
        self._poll = poll_of(box, box.settings.directives)

    async def run(self) -> None:
        """Looks until cancelled."""
        has_provider = self._box.settings.contract.provider_key_file is not None
        watch = await in_thread(self._watch, "watch directives")
        try:
            while True:
                if has_provider:
                    await self.look()
                await asyncio.sleep(TICK)
        finally:
            watch.close()

    def _watch(self) -> Watch:
        return self._box.plugins.watch_directives(self._box.context, self._keeper.hear, self._on_order)

    async def look(self) -> None:
        """Looks at the ways whose time it is; at none while the clock is wrong, since nothing could be taken then."""
        try:
            if self._box.agreement.entitlements.look_at_clock() is not None:
                return
            if self._poll is not None and self._box.clock() >= self._poll.next_at:
                await self._ask(self._poll)
            if self._cloud_is_due(self._box.clock()):
                await self._offer(await in_thread(self._in_cloud, "look into the cloud"), BUCKET)
            for source in self._arrived():
                await self._offer(await in_thread(lambda source=source: self._on_disk(source), "look at a disk"), DISK)  # type: ignore[misc]
        except KurabakoError as error:
            logger.warning("directives cannot be looked for: %s", error)

    async def _ask(self, poll: Poll) -> None:
        found = await in_thread(poll.ask, "ask for directives")
        if not await self._offer(found, HTTPS):
            poll.forget()

    async def _offer(self, documents: Iterable[str], way: str) -> bool:
        """Takes what is new of the documents, in their order; whether all of it could be looked at."""
        done = True
        for document in documents:
            if await in_thread(lambda document=document: self._box.agreement.directives.is_known(document), "look"):  # type: ignore[misc]
                continue
            try:
                await self._keeper.take(document, way)
            except KurabakoError as error:
                logger.warning("a directive that came by %s was refused: %s", way, error)
                done = done and await in_thread(
                    lambda document=document: self._box.agreement.directives.is_known(document),  # type: ignore[misc]
                    "look",
                )
        return done

    def _cloud_is_due(self, now: datetime) -> bool:
        if not self._box.settings.directives.from_cloud or not self._box.has_cloud or now < self._cloud_at:
            return False
        self._cloud_at = now + timedelta(minutes=self._box.settings.directives.every)
        return self._box.contract.against(Action.CLOUD_RESTORE) is None

    def _in_cloud(self) -> list[str]:
        with closing(self._box.raw_cloud_storage()) as storage:
            return documents_in_cloud(storage)

    def _arrived(self) -> list[KnownSource]:
        """The disks that were not there at the last look."""
        if not self._box.settings.directives.from_disks:
            return []
        there = {
            one.found.id: one for one in self._known() if one.found.kind == "disk" and one.found.present
            and one.found.collectable
        }  # fmt: skip
        new = [there[name] for name in sorted(there.keys() - self._disks)]
        self._disks = set(there)
        return new

    def _on_disk(self, source: KnownSource) -> list[str]:
        with suppress(KurabakoError), closing(self._box.plugins.open_source(self._box.context, source.found)) as disk:
            return documents_on_disk(disk)
        return []


def poll_of(
    box: Box, settings: DirectivesSettings | UsageSettings, token: Callable[[], str] | None = None
) -> Poll | None:
    """The poll of the address that the settings name, for this box; None where they name none."""
    if settings.url is None:
        return None
    try:
        url = settings.url.replace("{box}", box_id())
    except KurabakoError as error:
        logger.error("%s is not asked: %s", settings.url, error)
        return None
    return Poll(
        url,
        every=timedelta(minutes=settings.every),
        clock=box.clock,
        ca_file=settings.ca_file,
        hosts=lambda: box.contract.hosts,
        token=token,
    )
