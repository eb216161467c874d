"""Slots: planned runs and which of them to start now. A box that was off catches up with one run, not with many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.schedule.schedule import Schedule

LATE_AFTER = timedelta(minutes=5)
"""A run that starts later than this after its planned moment is a late one."""

SOON = timedelta(hours=1)
"""A late run is not started when the next planned one is this near: that one does the same work, in time."""

MISSED_KEPT = 1000
"""How many missed slots are told of at once, the newest: a box that was off for years makes no endless list."""


@dataclass(frozen=True)
class DueSlots:
    """What the planned moments since the last look mean.

    `run` is the slot to start now, None when there is none; `late`, whether it should have started before;
    `missed` the slots before `run` that nobody ran or will run, in order; `next_at` the next planned moment.
    """

    run: datetime | None
    late: bool
    missed: tuple[datetime, ...]
    next_at: datetime | None


def due_slots(schedule: Schedule, handled: datetime, now: datetime) -> DueSlots:
    """Which planned run is due at `now`.

    `handled` is the newest slot that was run or recorded as missed, or, at first, the moment the schedule came
    into force. Of several slots passed since then only the newest is run; when that is late, and the next planned
    one is near, all wait for that one. Each slot is told of once if `handled` becomes `run` whenever there is one.
    """
    passed = _newest(schedule, handled, now)
    next_at = schedule.next_after(now)
    if not passed:
        return DueSlots(None, False, (), next_at)
    newest = passed.pop()
    late = now - newest > LATE_AFTER
    if late and next_at is not None and next_at - now <= SOON:
        return DueSlots(None, False, (), next_at)
    return DueSlots(newest, late, tuple(passed), next_at)


def _newest(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """The newest of the slots in between, in order."""
    found: list[datetime] = []
    for planned in schedule.between(after, until):
        found.append(planned)
        if len(found) > MISSED_KEPT:
            break
    return found[::-1]
