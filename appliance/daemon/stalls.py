"""A job that stands still: noticed, ended, told of as what it is, and begun anew after a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import JobRequest, encode_request
from appliance.daemon.supervisor import Job
from appliance.errors import KurabakoError
from appliance.status.model import Outcome
from appliance.text import T

logger = logging.getLogger(__name__)


class JobStalled(KurabakoError):
    """A job made no progress in bytes or files for as long as the settings say."""

    code = "job.stalled"

    def __init__(self, minutes: float) -> None:
        super().__init__(
            T(
                "It stood still for {minutes} minutes, without any progress, and was ended.",
                minutes=f"{minutes:g}",
            ),
            safe=T("What was already stored is complete and is used by the next run."),
            todo=T("The box begins it anew by itself. If it happens again, check the line, the disk and the server."),
        )


class StallWatch:
    """Looks whether jobs get on. Moments are seconds of a monotonic clock."""

    def __init__(self, limit: float, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._seen: dict[str, tuple[object, float]] = {}

    def look(self, running: Iterable[Job]) -> None:
        """Notes how far each job is, and asks those that stand still for too long to end."""
        now = self._monotonic()
        jobs = tuple(running)
        self._seen = {job.id: self._seen[job.id] for job in jobs if job.id in self._seen}
        for job in jobs:
            progress = job.progress
            mark = (progress.phase.message, progress.bytes_done, progress.files_done, job.bytes_sent)
            before, since = self._seen.get(job.id, (None, now))
            if mark != before:
                self._seen[job.id] = (mark, now)
            elif now - since >= self._limit and not job.stop.is_set():
                logger.error("job %s stands still at %s", job.id, progress)
                job.stalled = True
                job.stop.set()

    def judged(self, job: Job, report: JobReport) -> JobReport:
        """`report`, or, for a job that was ended because it stood still, that."""
        if not job.stalled or report.outcome not in (Outcome.CANCELLED, Outcome.FAILED):
            return report
        error = JobStalled(self._limit / 60)
        return JobReport(Outcome.FAILED, error.what, int(error.exit_code), report.bytes_done, report.details, error)


PAUSES = (60.0, 300.0, 900.0, 3600.0)
"""Seconds before a job is begun anew for the first, second … time; the last holds for all further ones."""

PASSING = frozenset({JobStalled.code, "repository.locked", "job.vault-busy"})
"""Codes of errors that pass by themselves, so that the same job may succeed later."""


class Retries:
    """Begins jobs anew whose failure may pass. `later(seconds, request)` is to submit the request then."""

    def __init__(self, later: Callable[[float, JobRequest], None]) -> None:
        self._later = later
        self._times: dict[str, int] = {}

    def ended(self, request: JobRequest, report: JobReport) -> None:
        """A job ended: one whose failure may pass comes again, each time a little later."""
        name = encode_request(request)
        if report.error is None or report.error.code not in PASSING:
            self._times.pop(name, None)
            return
        times = self._times.get(name, 0)
        self._times[name] = times + 1
        pause = PAUSES[min(times, len(PAUSES) - 1)]
        logger.warning("the job is begun anew in %.0f s: %s", pause, name)
        self._later(pause, request)
