"""Which job runs when: one at a time on the vault, in the order they were asked for; a restore may run beside."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from appliance.daemon.jobs import JobReport, cancelled, failure
from appliance.daemon.rate import Rate
from appliance.daemon.requests import JobRequest, RestoreJob
from appliance.errors import KurabakoError
from appliance.status.model import JobStatus, Progress
from appliance.text import T

logger = logging.getLogger(__name__)


class JobNotStarted(KurabakoError):
    """A job's process could not be started."""

    code = "job.not-started"


@dataclass(eq=False)
class Job:
    """A job the supervisor knows: waiting (`started_at` is None), running, or ended (`report` is there)."""

    id: str
    request: JobRequest
    started_at: datetime | None = None
    progress: Progress = field(default_factory=lambda: Progress(T("waiting")))
    report: JobReport | None = None
    rate: Rate = field(default_factory=Rate)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    bytes_sent: int = 0
    """To the cloud, as far as its process has told: more than its progress counts, for that counts whole files."""
    stalled: bool = False
    """Whether it was asked to stop because it stood still."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def status(self) -> JobStatus:
        """The running job for the Status."""
        assert self.started_at is not None
        return JobStatus(
            id=self.id,
            kind=self.request.kind,
            subject=self.request.subject,
            started_at=self.started_at,
            progress=self.progress,
            rate=self.rate.bytes_per_second,
            eta_seconds=self.rate.seconds_left(self.progress),
        )

    def tell(self) -> None:
        """Wakes those who follow the job."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def follow(self) -> AsyncIterator[Progress | JobReport]:
        """The job's newest progress whenever there is news, and at last its report."""
        while self.report is None:
            news = self._news
            yield self.progress
            await news.wait()
        yield self.report

    async def ended(self) -> JobReport:
        """The job's report, once there is one."""
        while self.report is None:
            await self._news.wait()
        return self.report


Run = Callable[[Job, Callable[[Progress], None]], Awaitable[JobReport]]
"""Runs a job to its end; it stops early, in order, once `job.stop` is set."""


class Supervisor:
    """Queues jobs and runs them. Lives in one event loop; only its callbacks leave it.

    `on_start`, `on_end` and `on_change` are called in the loop and must not block.
    """

    def __init__(
        self,
        run: Run,
        *,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        on_start: Callable[[Job], None],
        on_end: Callable[[Job], None],
        on_change: Callable[[], None],
    ) -> None:
        self._run = run
        self._new_id = new_id
        self._now = now
        self._monotonic = monotonic
        self._on_start = on_start
        self._on_end = on_end
        self._on_change = on_change
        self._lanes = {"vault": _Lane(), "restore": _Lane()}
        self._closing = False

    @property
    def running(self) -> tuple[Job, ...]:
        """The jobs that run now, the vault's first."""
        return tuple(lane.current for lane in self._lanes.values() if lane.current is not None)

    @property
    def waiting(self) -> tuple[Job, ...]:
        """The jobs that wait for their turn."""
        return tuple(job for lane in self._lanes.values() for job in lane.queue)

    def submit(self, request: JobRequest) -> Job:
        """Puts a job into its queue; the same request that still waits there is not queued twice."""
        lane = self._lanes["restore" if isinstance(request, RestoreJob) else "vault"]
        for job in lane.queue:
            if job.request == request:
                return job
        job = Job(self._new_id(), request)
        if self._closing:
            job.report = cancelled()
            return job
        lane.queue.append(job)
        if lane.task is None or lane.task.done():
            lane.task = asyncio.create_task(self._work(lane))
        self._on_change()
        return job

    def cancel(self, job_id: str | None = None) -> tuple[Job, ...]:
        """Asks the job `job_id`, or all jobs, to stop; returns those that were asked."""
        asked = tuple(job for job in (*self.running, *self.waiting) if job_id in (None, job.id))
        for job in asked:
            job.stop.set()
            for lane in self._lanes.values():
                if job in lane.queue:
                    lane.queue.remove(job)
                    job.report = cancelled()
                    job.tell()
        self._on_change()
        return asked

    async def close(self) -> None:
        """Stops every job in order and returns when none runs any more."""
        self._closing = True
        self.cancel()
        for lane in self._lanes.values():
            if lane.task is not None:
                await lane.task

    async def _work(self, lane: _Lane) -> None:
        while lane.queue:
            job = lane.current = lane.queue.popleft()
            job.started_at = self._now()
            job.progress = Progress(T("starting"))
            _record(self._on_start, job)
            self._on_change()
            try:
                job.report = await self._run(job, lambda progress, job=job: self._progress(job, progress))  # type: ignore[misc]
            except OSError as error:
                logger.exception("job %s could not be started", job.id)
                job.report = failure(
                    JobNotStarted(
                        T("The job could not be started: {why}.", why=error.strerror or type(error).__name__),
                        safe=T("Nothing was changed."),
                        todo=T("Free memory or disk space on the box, then start it again."),
                    )
                )
            lane.current = None
            _record(self._on_end, job)
            job.tell()
            self._on_change()

    def _progress(self, job: Job, progress: Progress) -> None:
        job.progress = progress
        job.rate.note(self._monotonic(), progress.bytes_done)
        job.tell()
        self._on_change()


@dataclass
class _Lane:
    queue: deque[Job] = field(default_factory=deque)
    current: Job | None = None
    task: asyncio.Task[None] | None = None


def _record(record: Callable[[Job], None], job: Job) -> None:
    """A box that cannot write down what it does, since its disk is full, does it all the same, and all that follows."""
    try:
        record(job)
    except KurabakoError as error:
        logger.error("job %s could not be recorded: %s", job.id, error)
    except Exception:
        logger.exception("job %s could not be recorded", job.id)
