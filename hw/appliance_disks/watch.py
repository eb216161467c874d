"""Watching disks come and go.

udev's events and changes of the mount table only say *look again*: what arrived, changed and went away is the
difference between two looks. So nothing is told twice, no event is missed for good, and a disk that announces itself
with ten events is told once, when udev has made up its mind about it.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping

import pyudev

from appliance.sources.interface import OnSourceEvent, SourceEvent
from appliance_disks.identify import Seen

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.3
"""Quiet time after the last event before looking again; a disk with partitions sends its events within this time."""

_LONGEST_WAIT = 2.0
"""Looks at the latest this long after the first event, however many follow."""


class DiskWatch:
    """Reports to `on_event`, from a thread of its own, how what `look` sees differs from what it saw before."""

    def __init__(
        self,
        context: pyudev.Context,
        look: Callable[[], Mapping[str, Seen]],
        on_event: OnSourceEvent,
        *,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._look = look
        self._on_event = on_event
        self._settle = settle
        self._monitor = pyudev.Monitor.from_netlink(context, source="udev")
        self._monitor.filter_by("block")
        self._monitor.start()
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._seen = look()
        self._thread = threading.Thread(target=self._run, name="disk-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the watch within a second."""
        if self._thread.is_alive():
            os.eventfd_write(self._wake, 1)
            self._thread.join(timeout=1)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._monitor.fileno(), select.POLLIN)
        poll.register(self._mounts, select.POLLPRI)  # proc(5): "this file is pollable"
        poll.register(self._wake, select.POLLIN)
        try:
            while self._until_something_changed(poll):
                self._tell()
        finally:
            os.close(self._mounts)
            os.close(self._wake)

    def _until_something_changed(self, poll: select.poll) -> bool:
        """Waits for events and then for quiet; False when the watch is to end."""
        waited = 0.0
        ready = poll.poll()
        while ready:
            if any(descriptor == self._wake for descriptor, _ in ready):
                return False
            self._drain()
            if waited >= _LONGEST_WAIT:
                break
            waited += self._settle
            ready = poll.poll(self._settle * 1000)
        return True

    def _drain(self) -> None:
        try:
            while self._monitor.poll(timeout=0) is not None:
                pass
        except OSError as error:  # more events than the socket holds; we look at everything anyway
            log.info("udev events were dropped: %s", error)

    def _tell(self) -> None:
        try:
            now = self._look()
        except Exception:
            log.exception("looking at the disks failed; waiting for the next event")
            return
        for event in differences(self._seen, now):
            try:
                self._on_event(event)
            except Exception:
                log.exception("telling of %s %s failed", event.action, event.source.id)
        self._seen = now


def differences(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> Iterator[SourceEvent]:
    """What happened between two looks; a disk that was exchanged under the same name went away and arrived."""
    for name, seen in before.items():
        if name not in now or _exchanged(seen, now[name]):
            yield SourceEvent("remove", seen.found)
    for name, seen in now.items():
        if name not in before or _exchanged(before[name], seen):
            yield SourceEvent("add", seen.found)
        elif seen.found != before[name].found:
            yield SourceEvent("change", seen.found)


def _exchanged(before: Seen, now: Seen) -> bool:
    return before.device.sequence != now.device.sequence
