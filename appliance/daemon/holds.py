"""The hold on transfers in the daemon: jobs end when it comes, and go on when it is over."""

from __future__ import annotations

from datetime import datetime

from appliance.box import Box
from appliance.daemon.requests import ReplicateJob
from appliance.daemon.supervisor import Supervisor
from appliance.daemon.work.holding import modes_against
from appliance.transfers import Hold


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
