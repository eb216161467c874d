"""Watching the network: servers that announce themselves, and what the named ones list.

Nobody is scanned for: what is not announced and not named is not there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Protocol

from appliance.sources.interface import FoundSource, OnSourceEvent, SourceEvent
from appliance_smb.announced import Announced, merged
from appliance_smb.record import Known, Record

log = logging.getLogger(__name__)

ROUND = 300.0
"""Seconds between two looks at what the named servers list."""

SETTLE = 1.0
"""Seconds after an announcement before it is told: one machine makes several."""


_SOONEST = 10.0
"""Seconds after which the named servers are asked again at the earliest."""


class Listener(Protocol):
    """What hears announcements until it is closed."""

    @property
    def found(self) -> tuple[Announced, ...]: ...

    def close(self) -> None: ...


Listen = Callable[[Sequence[IPv4Address], Callable[[], None]], Listener]
"""Starts to listen on the box's addresses; calls back when `found` changed. Raises `OSError`."""


class ServerWatch:
    """Keeps `record` up to date from a thread of its own, and tells `on_event` when other sources are offered."""

    def __init__(
        self,
        record: Record,
        on_event: OnSourceEvent,
        *,
        survey: Callable[[Known], Known],
        offered: Callable[[Known], Sequence[FoundSource]],
        listens: Sequence[Listen],
        addresses: Callable[[], Sequence[IPv4Address]],
        every: float = ROUND,
        settle: float = SETTLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._on_event = on_event
        self._survey = survey
        self._offered = offered
        self._listens = listens
        self._addresses = addresses
        self._every = every
        self._settle = settle
        self._clock = clock
        self._surveyed = self._due = clock()
        self._told = _by_id(offered(record.read()))
        self._own: tuple[IPv4Address, ...] = ()
        self._listeners: list[Listener] = []
        self._news = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the watch within a second; what waits for a server's answer ends with it."""
        self._ended.set()
        self._news.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                try:
                    self._look()
                except Exception:  # a round that failed is no reason to see nothing for ever after
                    log.exception("the servers on the network cannot be looked at")
                    self._due = self._clock() + self._every
                if self._news.wait(max(0.0, self._due - self._clock())):
                    self._news.clear()
                    self._ended.wait(self._settle)
        finally:
            for listener in self._listeners:
                listener.close()

    def _look(self) -> None:
        self._listen()
        known, heard = self._record.read(), self._heard()
        if heard != known.announced:
            # A server that comes may be one that was asked in vain; but nobody has us ask on and on.
            self._due = min(self._due, self._surveyed + _SOONEST)
            known = _with_announced(known, heard)
        if self._clock() >= self._due:
            known = self._survey(known)
            self._surveyed = self._clock()
            self._due = self._surveyed + self._every
        self._record.write(known)
        self._tell(known)

    def _listen(self) -> None:
        """Listens on the addresses that the box has now."""
        own = tuple(self._addresses())
        if own == self._own:
            return
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        self._own = own
        for listen in self._listens:
            try:
                self._listeners.append(listen(own, self._news.set))
            except OSError as error:
                log.warning("announcements cannot be heard: %s", error)

    def _heard(self) -> tuple[Announced, ...]:
        """Who announced itself, but for the box."""
        own = {str(address) for address in self._own}
        return merged(one for listener in self._listeners for one in listener.found if not own & set(one.addresses))

    def _tell(self, known: Known) -> None:
        before, now = self._told, _by_id(self._offered(known))
        self._told = now
        for source_id in now.keys() | before.keys():
            if now.get(source_id) != before.get(source_id):
                source = now.get(source_id) or replace(before[source_id], present=False)
                # Not `add`, after which a backup may begin: anybody can announce a server as often as he likes.
                self._on_event(SourceEvent("change" if source_id in now else "remove", source))


def _with_announced(known: Known, announced: tuple[Announced, ...]) -> Known:
    return Known(announced, known.listed, known.at)


def _by_id(sources: Sequence[FoundSource]) -> dict[str, FoundSource]:
    return {source.id: source for source in sources}
