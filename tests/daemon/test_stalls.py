"""A job that stands still is noticed, ended, told of, and begun anew with growing patience."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.daemon.jobs import JobReport, cancelled, failure
from appliance.daemon.requests import BackupJob, JobRequest, ReplicateJob
from appliance.daemon.stalls import PAUSES, JobStalled, Retries, StallWatch
from appliance.daemon.supervisor import Job
from appliance.status.model import Outcome, Progress
from appliance.text import T
from tests.support.daemon import BoxUnderTest, alive, eventually, fill


def test_bytes_files_a_new_phase_or_what_was_sent_are_progress() -> None:
    now = 0.0
    watch = StallWatch(10.0, lambda: now)
    job = Job("1", ReplicateJob())
    steps = [
        Progress(T("one"), bytes_done=1),
        Progress(T("one"), bytes_done=1, files_done=1),
        Progress(T("two"), bytes_done=1, files_done=1),
    ]
    for progress in steps:
        job.progress = progress
        watch.look([job])
        now += 9
        watch.look([job])
        assert not job.stalled
    job.bytes_sent += 1
    watch.look([job])
    now += 9.5
    job.progress = Progress(T("two"), bytes_done=1, files_done=1, item="the same bytes of another file")
    watch.look([job])
    assert not job.stalled
    now += 0.5
    watch.look([job])
    assert job.stalled
    assert job.stop.is_set()
    report = watch.judged(job, cancelled())
    assert (report.outcome, report.error and report.error.code) == (Outcome.FAILED, "job.stalled")
    done = JobReport(Outcome.DONE, T("done"), 0)
    assert watch.judged(job, done) is done, "it had ended at the last moment"


def test_it_is_begun_anew_later_and_later() -> None:
    asked: list[tuple[float, JobRequest]] = []
    retries = Retries(lambda pause, request: asked.append((pause, request)))
    stalled = failure(JobStalled(30))
    for _ in range(5):
        retries.ended(ReplicateJob(), stalled)
    retries.ended(BackupJob("a"), stalled)
    assert [pause for pause, _ in asked] == [*PAUSES, PAUSES[-1], PAUSES[0]]
    retries.ended(ReplicateJob(), JobReport(Outcome.DONE, T("done"), 0))
    retries.ended(ReplicateJob(), cancelled())
    assert len(asked) == 6
    retries.ended(ReplicateJob(), stalled)
    assert asked[-1] == (PAUSES[0], ReplicateJob())


@pytest.mark.slow
def test_a_job_that_hangs_never_runs_for_ever(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path, jobs={"stall_minutes": 0.1})
    fill(box.source, files=8, size=20_000_000)
    box.set_up()
    with box.serving() as served, served.client() as client:
        client._connection.sendall(b'{"command":"backup","arguments":{}}\n')
        child = served.stopped_in_the_middle()  # and nobody lets it go on
        eventually(lambda: not alive(child), "it was ended")
        (ended,) = eventually(lambda: list(served.status()["results"]), "it was told of")
    assert ended["outcome"] == "failed"
    assert "stood still" in json.dumps(ended)
    evidence = [json.loads(line) for line in (tmp_path / "state" / "evidence.jsonl").read_text().splitlines()]
    assert any("job.stalled" in json.dumps(entry) for entry in evidence)
    assert "begun anew in 60 s" in box.log()
