"""The hold on transfers in the daemon: jobs end when it comes, and go on when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from appliance.box import Box
from appliance.daemon.requests import ReplicateJob
from appliance.daemon.supervisor import Supervisor
from appliance.daemon.work.holding import modes_against
from appliance.status.model import Problem, Severity
from appliance.text import T
from appliance.transfers import Hold, Mode


class Holds:
    """Pause, stop and release, with what follows for the jobs of `supervisor`."""

    def __init__(self, box: Box, supervisor: Supervisor) -> None:
        self._box = box
        self._supervisor = supervisor

    def pause(self, until: datetime | None) -> Hold:
        """Nothing new is sent until then, or until it is released."""
        return self._end_jobs(self._box.transfers.pause(until))

    def stop(self) -> Hold:
        """Nothing is sent from now on; the jobs' own watch closes their connections."""
        return self._end_jobs(self._box.transfers.stop())

    def release(self) -> bool:
        """Transfers go on; whether they were held."""
        held = self._box.transfers.release()
        if held and self._box.has_vault and self._box.has_cloud:
            self._supervisor.submit(ReplicateJob())
        return held

    def look(self) -> None:
        """Releases a pause whose time is over."""
        if self._box.transfers.is_over:
            self.release()

    def _end_jobs(self, hold: Hold) -> Hold:
        for job in (*self._supervisor.running, *self._supervisor.waiting):
            if hold.mode in modes_against(self._box, job.request):
                self._supervisor.cancel(job.id)
        return hold


def hold_problems(box: Box) -> Iterator[Problem]:
    """That transfers are held: a person should know, lest it be forgotten."""
    hold = box.transfers.hold
    if hold is None:
        return
    since = f"{hold.since.astimezone(box.zone):%Y-%m-%d %H:%M}"
    safe = T("What is stored in the vault and in the cloud is complete.")
    todo = T("To let them go on, type: kurabako resume")
    if hold.mode is Mode.STOPPED:
        what = T("All transfers to the cloud were stopped by a person on {since}.", since=since)
        yield Problem("transfers.stopped", Severity.ATTENTION, what, hold.since, safe=safe, todo=todo)
    elif hold.until is not None:
        until = f"{hold.until.astimezone(box.zone):%Y-%m-%d %H:%M}"
        what = T("Transfers to the cloud are paused until {until}.", until=until)
        yield Problem("transfers.paused", Severity.INFO, what, hold.since, safe=safe, todo=todo)
    else:
        what = T("Transfers to the cloud have been paused since {since}.", since=since)
        yield Problem("transfers.paused", Severity.WARNING, what, hold.since, safe=safe, todo=todo)
