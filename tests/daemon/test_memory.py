"""What is remembered of jobs and places, across restarts that nobody announced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.daemon.jobs import JobReport, failure
from appliance.daemon.memory import Memory
from appliance.daemon.requests import BackupJob, CheckJob, JobRequest, ReplicateJob, RestoreJob
from appliance.repository import SnapshotNotFound
from appliance.state import State
from appliance.status.model import Outcome
from appliance.text import T

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_a_job_that_ended_was_not_interrupted(state: State) -> None:
    memory = Memory(state)
    memory.started("1", BackupJob("a"), NOON)
    memory.ended("1", BackupJob("a"), NOON, LATER, JobReport(Outcome.DONE, T("good"), 0, 5))
    assert memory.interrupted(LATER) == ()
    assert [(one.id, one.outcome, one.bytes_done) for one in state.results()] == [("1", Outcome.DONE, 5)]


def test_interrupted_jobs_are_told_once_and_those_that_can_go_on_do(state: State) -> None:
    requests: list[JobRequest] = [BackupJob("a"), ReplicateJob(), RestoreJob("latest", "/x"), CheckJob()]
    for number, request in enumerate(requests):
        Memory(state).started(str(number), request, NOON)
    memory = Memory(state)
    assert memory.interrupted(LATER) == (BackupJob("a"), ReplicateJob())
    assert memory.interrupted(LATER) == ()
    assert sorted(one.id for one in state.results()) == ["0", "1", "2", "3"]
    assert {one.outcome for one in state.results()} == {Outcome.FAILED}


def test_a_note_of_another_version_is_passed_over(state: State) -> None:
    state.set_value("jobs.running", {"9": {"request": '{"kind":"defragment"}', "started_at": NOON.isoformat()}})
    assert Memory(state).interrupted(LATER) == ()
    assert state.value("jobs.running") == {}


def test_silence_counts_from_when_it_began(state: State) -> None:
    memory = Memory(state)
    assert memory.place("cloud", "s3:x").reachable is None
    memory.found_place("cloud", "s3:x", True, NOON)
    for minutes in (5, 20, 35):
        memory.found_place("cloud", "s3:x", False, NOON + timedelta(minutes=minutes))
    silent = memory.place("cloud", "s3:x")
    assert (silent.reachable, silent.checked_at) == (False, NOON + timedelta(minutes=5))
    memory.found_place("cloud", "s3:x", True, LATER)
    assert memory.place("cloud", "s3:x").checked_at == LATER
    assert memory.place("cloud", "s3:another").reachable is None, "what is known is of that place"


def test_a_replication_tells_what_the_cloud_holds(state: State) -> None:
    memory = Memory(state)
    details = {"cloud": {"location": "s3:x", "stored_bytes": 7, "snapshots": 1}}
    memory.ended("1", ReplicateJob(), NOON, LATER, JobReport(Outcome.DONE, T("x"), 0, details=details))
    assert memory.place("cloud", "s3:x").snapshots == 1


def test_a_mistyped_name_is_no_trouble_of_the_box(state: State) -> None:
    memory = Memory(state)
    memory.started("1", RestoreJob("nope", "/x"), NOON)
    memory.ended("1", RestoreJob("nope", "/x"), NOON, LATER, failure(SnapshotNotFound("nope")))
    assert state.results() == ()
    assert memory.interrupted(LATER) == ()
