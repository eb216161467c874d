"""The queue of jobs: order, one at a time on the vault, a restore beside it, cancelling, ending."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.requests import BackupJob, CheckJob, ReplicateJob, RestoreJob
from appliance.daemon.supervisor import Job, Run, Supervisor
from appliance.status.model import Outcome, Progress
from appliance.text import T

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DONE = JobReport(Outcome.DONE, T("done"), 0)


class Stage:
    """Jobs that run until the test ends them, or until they are asked to stop."""

    def __init__(self) -> None:
        self.started: list[Job] = []
        self.ended: list[Job] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.changes = 0

    async def run(self, job: Job, on_progress: Callable[[Progress], None]) -> JobReport:
        gate = self.gates.setdefault(job.id, asyncio.Event())
        on_progress(Progress(T("working"), bytes_done=1, bytes_total=2))
        finished = asyncio.create_task(gate.wait())
        stopped = asyncio.create_task(job.stop.wait())
        await asyncio.wait({finished, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        stopped.cancel()
        return cancelled() if job.stop.is_set() else DONE

    def finish(self, job: Job) -> None:
        self.gates.setdefault(job.id, asyncio.Event()).set()

    def changed(self) -> None:
        self.changes += 1

    def supervisor(self, run: Run | None = None) -> Supervisor:
        ids = itertools.count(1)
        return Supervisor(
            run or self.run,
            new_id=lambda: str(next(ids)),
            now=lambda: NOON,
            monotonic=lambda: 0.0,
            on_start=self.started.append,
            on_end=self.ended.append,
            on_change=self.changed,
        )


def on_stage(play: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await play(Stage())

    asyncio.run(main())


async def _end_of(job: Job) -> JobReport:
    async for news in job.follow():
        if isinstance(news, JobReport):
            return news
    raise AssertionError("a job is followed to its report")


def test_one_at_a_time_in_the_order_asked_and_a_restore_beside() -> None:
    async def play(stage: Stage) -> None:
        supervisor = stage.supervisor()
        first = supervisor.submit(BackupJob("a"))
        second = supervisor.submit(ReplicateJob())
        beside = supervisor.submit(RestoreJob("latest", "/x"))
        await asyncio.sleep(0)
        assert supervisor.running == (first, beside)
        assert supervisor.waiting == (second,)
        stage.finish(first)
        assert (await _end_of(first)).outcome is Outcome.DONE
        stage.finish(second)
        await _end_of(second)
        assert stage.started == [first, beside, second]
        assert stage.ended == [first, second]
        await supervisor.close()

    on_stage(play)


def test_the_same_request_waits_only_once_but_follows_one_that_already_runs() -> None:
    async def play(stage: Stage) -> None:
        supervisor = stage.supervisor()
        running = supervisor.submit(BackupJob("a"))
        await asyncio.sleep(0)
        again = supervisor.submit(BackupJob("a"))
        assert again is not running
        assert supervisor.submit(BackupJob("a")) is again
        await supervisor.close()

    on_stage(play)


def test_cancelling_one_leaves_the_others() -> None:
    async def play(stage: Stage) -> None:
        supervisor = stage.supervisor()
        running = supervisor.submit(BackupJob("a"))
        waiting = supervisor.submit(CheckJob())
        await asyncio.sleep(0)
        assert supervisor.cancel(waiting.id) == (waiting,)
        assert (await _end_of(waiting)).outcome is Outcome.CANCELLED
        assert supervisor.running == (running,)
        assert supervisor.cancel("no such job") == ()
        await supervisor.close()
        assert running.report is not None
        assert running.report.outcome is Outcome.CANCELLED
        assert waiting not in stage.started

    on_stage(play)


def test_after_closing_nothing_starts() -> None:
    async def play(stage: Stage) -> None:
        supervisor = stage.supervisor()
        await supervisor.close()
        late = supervisor.submit(BackupJob("a"))
        assert (await _end_of(late)).outcome is Outcome.CANCELLED
        assert stage.started == []

    on_stage(play)


def test_a_process_that_cannot_be_started_is_a_failure_and_the_queue_goes_on() -> None:
    async def play(stage: Stage) -> None:
        async def run(job: Job, on_progress: Callable[[Progress], None]) -> JobReport:
            if job.request == BackupJob("a"):
                raise OSError(12, "Cannot allocate memory")
            return DONE

        supervisor = stage.supervisor(run)
        first, second = supervisor.submit(BackupJob("a")), supervisor.submit(BackupJob("b"))
        report = await _end_of(first)
        assert report.error is not None
        assert report.error.code == "job.not-started"
        assert (await _end_of(second)).outcome is Outcome.DONE

    on_stage(play)


def test_a_follower_sees_progress_and_status_has_its_rate() -> None:
    async def play(stage: Stage) -> None:
        supervisor = stage.supervisor()
        job = supervisor.submit(BackupJob("a"))
        seen = []
        async for news in job.follow():
            seen.append(news)
            if isinstance(news, Progress) and news.bytes_done:
                assert job.status().progress == news
                stage.finish(job)
        assert isinstance(seen[-1], JobReport)
        assert any(isinstance(news, Progress) and news.bytes_done == 1 for news in seen)

    on_stage(play)


@pytest.mark.parametrize(
    ("readings", "rate", "left"),
    [
        ([], 0.0, None),
        ([(0.0, 0), (1.0, 100)], 100.0, 9),
        ([(0.0, 0), (10.0, 100), (20.0, 900), (21.0, 980)], 80.0, 0),
        ([(0.0, 500), (1.0, 0), (2.0, 50)], 50.0, 19),
    ],
)
def test_rate_is_that_of_the_last_seconds(readings: list[tuple[float, int]], rate: float, left: int | None) -> None:
    from appliance.daemon.rate import Rate

    measured = Rate()
    for moment, done in readings:
        measured.note(moment, done)
    done = readings[-1][1] if readings else 0
    assert measured.bytes_per_second == rate
    assert measured.seconds_left(Progress(T("x"), bytes_done=done, bytes_total=1000)) == left


class FullDisk(list[Job]):
    """A memory that takes nothing."""

    def append(self, job: Job) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_memory_that_cannot_be_written_stops_no_job(caplog: pytest.LogCaptureFixture) -> None:
    async def play(stage: Stage) -> None:
        stage.started = stage.ended = FullDisk()
        supervisor = stage.supervisor()
        jobs = [supervisor.submit(BackupJob("a")), supervisor.submit(BackupJob("b"))]
        for job in jobs:
            stage.finish(job)
            assert (await _end_of(job)).outcome is Outcome.DONE
        await supervisor.close()

    on_stage(play)
    assert caplog.text.count("could not be recorded") == 4
