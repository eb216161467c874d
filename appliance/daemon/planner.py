"""The planned runs: which is due now, and what became of each."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from appliance.schedule import Schedule, due_slots
from appliance.state import SlotOutcome, SlotRecord, State
from appliance.status.model import Outcome

logger = logging.getLogger(__name__)

BACKUP = "backup"
UPKEEP = "upkeep"
VERIFICATION = "verification"
"""Names of schedules in the state."""

_IN_FORCE = {BACKUP: "schedule.in-force"}

_WORST_FIRST = (Outcome.FAILED, Outcome.CANCELLED, Outcome.REFUSED, Outcome.PARTIAL, Outcome.DONE)


class Planner:
    """Keeps a schedule's slots in the state under `name`. A slot is recorded before it runs, so it never runs twice."""

    def __init__(self, schedule: Schedule, state: State, name: str = BACKUP) -> None:
        self._schedule = schedule
        self._state = state
        self._name = name
        self._in_force = _IN_FORCE.get(name, f"schedule.in-force.{name}")

    def next_after(self, now: datetime) -> datetime | None:
        """The next planned moment."""
        return self._schedule.next_after(now)

    def look(self, now: datetime) -> datetime | None:
        """The slot to run now, if any; it is recorded as started, and those that were missed as missed."""
        due = due_slots(self._schedule, self._handled(now), now)
        for missed in due.missed:
            logger.warning("the planned run of %s was missed", missed)
            self._record(missed, SlotOutcome.MISSED)
        if due.run is not None:
            logger.info("the planned run of %s starts%s", due.run, ", late" if due.late else "")
            self._record(due.run, SlotOutcome.STARTED)
        return due.run

    def ended(self, slot: datetime, outcomes: Iterable[Outcome]) -> None:
        """The run of `slot` ended: as the worst of its jobs did."""
        found = set(outcomes)
        worst = next((outcome for outcome in _WORST_FIRST if outcome in found), Outcome.DONE)
        self._record(slot, SlotOutcome(worst.value))

    @property
    def name(self) -> str:
        """The schedule's name in the state."""
        return self._name

    def _handled(self, now: datetime) -> datetime:
        """The newest slot that was dealt with, but no moment before this schedule came into force."""
        words = [*self._schedule.times, self._schedule.timezone]
        in_force = self._state.value(self._in_force)
        if in_force is None or in_force["schedule"] != words:
            in_force = {"schedule": words, "since": now.isoformat()}
            self._state.set_value(self._in_force, in_force)
        since = datetime.fromisoformat(in_force["since"])
        newest = next(iter(self._state.slots(self._name, limit=1)), None)
        return max(since, newest.planned_at) if newest else since

    def _record(self, slot: datetime, outcome: SlotOutcome) -> None:
        self._state.record_slot(SlotRecord(self._name, slot, outcome))
