"""Work at planned times that is about the box as a whole: its upkeep, and its verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from appliance.box import Box
from appliance.daemon.planner import UPKEEP, VERIFICATION, Planner
from appliance.daemon.requests import JobRequest, VerifyJob
from appliance.daemon.work import upkeep_requests
from appliance.schedule import Schedule


class PlannedWork:
    """Asked in every round of the work loop. Raises `StateError`."""

    def __init__(self, box: Box) -> None:
        settings = box.settings
        zone = settings.schedule.timezone or settings.box.timezone
        self._work: tuple[tuple[Planner, Callable[[], Sequence[JobRequest]]], ...] = (
            (Planner(Schedule(settings.retention.at, zone), box.state, UPKEEP), lambda: upkeep_requests(box)),
            (
                Planner(Schedule(settings.verification.schedule, zone), box.state, VERIFICATION),
                lambda: [VerifyJob()] if box.home else [],
            ),
        )

    def due(self, now: datetime) -> Iterator[tuple[Planner, datetime, Sequence[JobRequest]]]:
        """The slots that have come, each with its planner, who wants to know how it ended, and the jobs of it."""
        for planner, requests in self._work:
            slot = planner.look(now)
            if slot is not None:
                yield planner, slot, requests()
