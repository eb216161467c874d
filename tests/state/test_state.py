"""The box's memory: what it keeps, and that nothing acknowledged is ever lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from appliance.sources.interface import FoundSource
from appliance.state import SlotOutcome, SlotRecord, State, StateError, UsageRecord
from appliance.state import store as store_module
from appliance.state.schema import MIGRATIONS
from appliance.status.model import JobKind, JobResult, Outcome
from appliance.text import T

NOW = datetime(2026, 11, 20, 2, 0, 0, 123456, tzinfo=UTC)
DISK = FoundSource(
    id="disk:by-uuid/1234",
    kind="disk",
    title="写真 2026",
    size_bytes=10**12,
    removable=True,
    collectable=False,
    why_not=T("There is no file system on {device}.", device="sdb1"),
    details={"model": "Kura 1", "sectors": 512, "read_only": False},
)
FOLDER = FoundSource(id="folder:/srv/share", kind="folder", title="share")


def result(number: int, kind: JobKind = JobKind.BACKUP, subject: str = "a", **other: object) -> JobResult:
    facts = {
        "id": f"job-{number}",
        "kind": kind,
        "subject": subject,
        "started_at": NOW + timedelta(hours=number),
        "ended_at": NOW + timedelta(hours=number, minutes=5),
        "outcome": Outcome.DONE,
        "summary": T("{count} files, {inner}.", count=number, inner=T("unchanged")),
        "bytes_done": number,
    }
    return JobResult(**{**facts, **other})


@pytest.fixture
def state(tmp_path: Path) -> State:
    with_folder = State(tmp_path / "state" / "box.sqlite")
    assert with_folder.notice is None
    return with_folder


def reopened(state: State) -> State:
    state.close()
    return State(state._path)


def test_designations_last(state: State) -> None:
    state.designate(DISK, NOW)
    state.designate(FOLDER, NOW - timedelta(days=1))
    state = reopened(state)
    assert [(each.source, each.at) for each in state.designations()] == [
        (FOLDER, NOW - timedelta(days=1)),
        (DISK, NOW),
    ]
    assert state.is_designated(DISK.id)
    assert state.undesignate(DISK.id)
    assert not state.undesignate(DISK.id)
    assert not state.is_designated(DISK.id)


def test_designating_again_renews_the_facts_and_not_the_moment(state: State) -> None:
    state.designate(FOLDER, NOW)
    renamed = FoundSource(id=FOLDER.id, kind="folder", title="renamed")
    state.designate(renamed, NOW + timedelta(days=1))
    assert [(each.source.title, each.at) for each in state.designations()] == [("renamed", NOW)]


def test_sources_seen_keep_their_first_and_last_moment(state: State) -> None:
    state.saw(FOLDER, NOW)
    state.saw(DISK, NOW)
    state.saw(FOLDER, NOW + timedelta(days=2))
    seen = {each.source.id: each for each in reopened(state).sources()}
    assert (seen[FOLDER.id].first_at, seen[FOLDER.id].last_at) == (NOW, NOW + timedelta(days=2))
    assert seen[DISK.id].source == DISK


def test_a_forgotten_source_is_still_designated(state: State) -> None:
    state.saw(FOLDER, NOW)
    state.designate(FOLDER, NOW)
    state.forget_source(FOLDER.id)
    assert state.sources() == ()
    assert state.is_designated(FOLDER.id)


def test_results_come_back_as_they_were(state: State) -> None:
    state.add_result(result(1))
    state.add_result(result(2, JobKind.REPLICATE, "cloud", outcome=Outcome.REFUSED))
    state.add_result(result(3))
    state = reopened(state)
    assert state.results() == (result(3), result(2, JobKind.REPLICATE, "cloud", outcome=Outcome.REFUSED), result(1))
    assert state.results(kind=JobKind.BACKUP, limit=1) == (result(3),)
    assert state.results(subject="cloud")[0].outcome is Outcome.REFUSED


def test_a_result_reported_twice_is_there_once(state: State) -> None:
    state.add_result(result(1, outcome=Outcome.FAILED))
    state.add_result(result(1))
    assert state.results() == (result(1),)


def test_history_is_bounded_but_the_last_of_each_kind_stays(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 10)
    rare = result(0, JobKind.CHECK, "vault")
    state.add_result(rare)
    for number in range(1, 31):
        state.add_result(result(number))
    assert len(state.results(limit=1000)) == 11
    assert state.results(kind=JobKind.CHECK) == (rare,)
    assert state.last_results() == (result(30), rare)


def test_the_newest_success_is_remembered_beside_later_failures(state: State) -> None:
    state.add_result(result(1))
    state.add_result(result(2, outcome=Outcome.FAILED))
    assert {each.outcome for each in state.last_results()} == {Outcome.DONE, Outcome.FAILED}


def test_slots_are_planned_moments_with_the_last_word(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.record_slot(SlotRecord("backup", NOW, SlotOutcome.STARTED, "job-1"))
    state.record_slot(SlotRecord("backup", NOW, SlotOutcome.DONE, "job-1"))
    state.record_slot(SlotRecord("backup", NOW + timedelta(days=1), SlotOutcome.MISSED))
    state.record_slot(SlotRecord("other", NOW, SlotOutcome.FAILED))
    assert reopened(state).slots("backup") == (
        SlotRecord("backup", NOW + timedelta(days=1), SlotOutcome.MISSED),
        SlotRecord("backup", NOW, SlotOutcome.DONE, "job-1"),
    )


def test_slots_and_usages_are_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 5)
    for day in range(20):
        at = NOW + timedelta(days=day)
        state.record_slot(SlotRecord("backup", at, SlotOutcome.DONE))
        state.add_usage(UsageRecord(at, day, 1, 100))
    assert [slot.planned_at for slot in state.slots("backup")] == [
        NOW + timedelta(days=day) for day in range(19, 14, -1)
    ]
    assert [usage.used_bytes for usage in state.usages(limit=100)] == [19, 18, 17, 16, 15]


def test_usage_without_a_capacity(state: State) -> None:
    state.add_usage(UsageRecord(NOW, 12345678901234, 7, None))
    assert reopened(state).usages() == (UsageRecord(NOW, 12345678901234, 7, None),)


def test_values(state: State) -> None:
    state.set_value("boot", {"id": "あ", "count": [1, 2]})
    state = reopened(state)
    assert state.value("boot") == {"id": "あ", "count": [1, 2]}
    assert state.value("other") is None
    assert state.value("other", 3) == 3


def test_what_is_protected_no_longer_counts_as_long_as_it_is_needed(state: State) -> None:
    dates = {(f"data/{number}", "v"): NOW + timedelta(days=number) for number in range(6)}
    state.note_protected("here", dates, {"data/4"}, {("data/0", "v")})
    assert state.protected_until("here") == dates
    assert state.protection_over("here", NOW) == (0, None)
    assert state.protection_over("here", NOW + timedelta(days=2)) == (2, NOW + timedelta(days=1))
    assert state.protection_over("here", NOW + timedelta(days=9)) == (4, NOW + timedelta(days=1))
    state.note_let_go("here", "data/1")
    state = reopened(state)
    assert state.protection_over("here", NOW + timedelta(days=9)) == (3, NOW + timedelta(days=2))
    assert state.protection_over("elsewhere", NOW + timedelta(days=9)) == (0, None)


def test_moments_of_any_zone_are_the_same_moment(state: State) -> None:
    state.designate(FOLDER, NOW.astimezone(timezone(timedelta(hours=9))))
    assert state.designations()[0].at == NOW


def test_threads_and_other_processes_may_write_at_once(state: State) -> None:
    other = State(state._path)
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        for step in range(25):
            (state if number % 2 else other).add_result(result(number * 100 + step))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(state.results(limit=1000)) == 100


@pytest.mark.parametrize(
    "damage", ["garbage", "torn-page", "foreign-tables", "cut-short"], ids=lambda damage: str(damage)
)
def test_a_damaged_file_is_set_aside_and_the_box_goes_on(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "box.sqlite"
    if damage == "garbage":
        path.write_bytes(os.urandom(10_000))
    elif damage == "foreign-tables":
        with sqlite3.connect(path) as foreign:
            foreign.execute("PRAGMA journal_mode=WAL")
            foreign.execute("CREATE TABLE slots (something TEXT)")
        foreign.close()
    else:
        state = State(path)
        for number in range(100):
            state.add_result(result(number))
        state.close()
        content = bytearray(path.read_bytes())
        if damage == "torn-page":
            for page in range(4096, len(content), 4096):
                content[page : page + 200] = os.urandom(200)
        else:
            del content[len(content) // 2 :]
        path.write_bytes(content)
    damaged = path.read_bytes()

    state = State(path, clock=lambda: NOW)
    assert state.notice is not None
    assert "designate the sources again" in str(state.notice)
    assert "指定" in state.notice.render("ja")
    assert str(path) in str(state.notice)
    state.designate(FOLDER, NOW)
    assert reopened(state).notice is None
    aside = tmp_path / "box.sqlite.20261120T020000123456Z"
    assert aside.read_bytes() == damaged


def test_a_file_of_a_later_version_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    State(path).close()
    with sqlite3.connect(path) as later:
        later.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    later.close()
    notice = State(path).notice
    assert notice is not None
    assert "later version" in str(notice)


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StateError, match="cannot be used"):
        State(tmp_path / "file" / "box.sqlite")


def test_a_closed_or_broken_connection_is_told_in_a_sentence(state: State) -> None:
    state.close()
    with pytest.raises(StateError):
        state.results()
    with pytest.raises(StateError):
        state.designate(FOLDER, NOW)


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from appliance.state import State, UsageRecord

state = State(Path(sys.argv[1]))
count = 0
while True:
    state.set_value("count", count)
    state.add_usage(UsageRecord(datetime.fromtimestamp(count, UTC), count, 0, None))
    print(count, flush=True)
    count += 1
"""


def test_killed_at_any_moment_it_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    for wanted in (1, 7, 40):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged = -1
            while acknowledged < wanted:
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = [int(line) for line in writer.stdout.read().splitlines() if line]
            acknowledged = max([acknowledged, *rest])
        state = State(path)
        assert state.notice is None
        assert state.value("count") >= acknowledged
        assert state.usages()[0].used_bytes >= acknowledged
        state.close()
