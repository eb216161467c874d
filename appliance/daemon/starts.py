"""What starts backups without anybody asking: planned times and arrivals, as each source's policy says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.box import Box
from appliance.daemon.planner import BACKUP, Planner
from appliance.policy import KnownSource
from appliance.schedule import LATE_AFTER, Schedule

_PRESENT = "sources.present"
"""The state's name for the sources that were there last, so that a restart is no arrival."""


@dataclass(frozen=True)
class PlannedRun:
    """A planned time that has come: `planner` wants to know how the backups of `sources` ended."""

    planner: Planner
    slot: datetime
    sources: tuple[str, ...]
    late: bool = False
    """Whether the box slept through the planned moment."""


class Starts:
    """Asked in every round of the work loop. Raises `StateError`."""

    def __init__(self, box: Box) -> None:
        self._box = box
        schedule = box.settings.schedule
        self._zone = schedule.timezone or box.settings.box.timezone
        self._own = schedule.backup
        self._planners: dict[tuple[str, ...], Planner] = {}
        self._present: frozenset[str] | None = None

    def next_after(self, now: datetime) -> datetime | None:
        """The next planned moment of any source."""
        moments = [planner.next_after(now) for planner in (self._planner(self._own), *self._planners.values())]
        return min((moment for moment in moments if moment is not None), default=None)

    def planned(self, known: Sequence[KnownSource], now: datetime) -> Iterator[PlannedRun]:
        """The runs that are due now; each is recorded as started.

        A removable disk that is not there is no failure of a run; that it is overdue is told elsewhere.
        """
        by_times: dict[tuple[str, ...], list[str]] = {self._own: []}
        for one in known:
            policy = self._box.policies.of(one.found)
            if one.designated and policy.on_schedule and (one.found.present or not one.found.removable):
                by_times.setdefault(policy.schedule or self._own, []).append(one.found.id)
        self._planners = {times: self._planner(times) for times in by_times}
        for times, sources in by_times.items():
            planner = self._planners[times]
            if (slot := planner.look(now)) is not None:
                yield PlannedRun(planner, slot, tuple(sources), now - slot > LATE_AFTER)

    def arrived(self, known: Sequence[KnownSource], plugged_in: Collection[str]) -> tuple[str, ...]:
        """The designated sources that came since the last look and are backed up when they come.

        `plugged_in` are those of which an arrival was told, which may have gone and come between two looks.
        """
        present = frozenset(one.found.id for one in known if one.found.present)
        before = self._present
        if before is None:
            last = self._box.state.value(_PRESENT)
            before = present if last is None else frozenset(last)
        if self._present != present:
            self._box.state.set_value(_PRESENT, sorted(present))
            self._present = present
        came = (present - before) | (present & frozenset(plugged_in))
        return tuple(
            one.found.id
            for one in known
            if one.found.id in came
            and one.designated
            and one.found.collectable
            and self._box.policies.of(one.found).on_arrival
        )

    def _planner(self, times: tuple[str, ...]) -> Planner:
        known = self._planners.get(times)
        if known is not None:
            return known
        name = BACKUP if times == self._own else f"{BACKUP} {', '.join(times)}"
        return Planner(Schedule(times, self._zone), self._box.state, name)
