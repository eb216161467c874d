"""Files that are being written while a run goes on are left for its end, or for the next run, and are named."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.backup import BackupReport, execute_backup, plan_backup
from appliance.repository import Repository
from appliance.sources.interface import Entry
from appliance.sources.interface import Path as SourcePath
from appliance.sources.local import LocalSource
from appliance.sources.wrapper import SourceWrapper
from appliance.status.model import Outcome
from tests.support.backups import files_in
from tests.support.repository import new_repository

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def written(path: Path, content: str, seconds_ago: float) -> None:
    path.write_text(content)
    at = int((NOW.timestamp() - seconds_ago) * 1e9)
    os.utime(path, ns=(at, at))


class Opened(SourceWrapper):
    """Says what was opened, in order, and lets something happen first."""

    def __init__(self, inner: LocalSource, before: Callable[[SourcePath], None] = lambda path: None) -> None:
        super().__init__(inner)
        self.opened: list[bytes] = []
        self._before = before

    def open(self, path: SourcePath, entry: Entry):  # type: ignore[no-untyped-def]
        self._before(path)
        self.opened.append(path[-1])
        return super().open(path, entry)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        written(tmp_path / f"{number}" / "old.txt", "old", 100)
    return tmp_path


def run(
    repository: Repository, source: SourceWrapper, now: Callable[[], datetime] = lambda: NOW, settle: float = 10
) -> BackupReport:
    plan = plan_backup(repository, source, hostname="box", now=now, settle=settle)
    return execute_backup(repository, plan, source, now=now)


def test_what_settles_during_the_run_is_read_last(folder: Path) -> None:
    written(folder / "0" / "ledger.txt", "half", 3)
    clock = [NOW]

    def later(path: SourcePath) -> None:
        if path == (b"2", b"old.txt"):
            written(folder / "0" / "ledger.txt", "whole", 0)
            clock[0] = NOW + timedelta(seconds=20)

    repository = new_repository()
    source = Opened(LocalSource(folder, snapshot_path="/s"), later)
    report = run(repository, source, lambda: clock[0])
    assert source.opened == [b"old.txt"] * 3 + [b"ledger.txt"]
    assert report.outcome is Outcome.DONE
    assert report.snapshot is not None
    assert files_in(repository, report.snapshot)["s/0/ledger.txt"].size == len("whole")
    assert report.summary.total_files_processed == 4


def test_what_is_still_written_is_named_and_keeps_its_last_version(folder: Path) -> None:
    repository = new_repository()
    written(folder / "0" / "ledger.txt", "monday", 100)
    run(repository, Opened(LocalSource(folder, snapshot_path="/s")))
    written(folder / "0" / "ledger.txt", "tue", 3)
    written(folder / "0" / "new.txt", "x", 3)
    source = Opened(LocalSource(folder, snapshot_path="/s"))
    report = run(repository, source)
    assert source.opened == [], "neither was read"
    assert report.outcome is Outcome.PARTIAL
    assert [one.path for one in report.unreadable] == ["/s/0/ledger.txt", "/s/0/new.txt"]
    assert all("still being written" in str(one.why) for one in report.unreadable)
    assert report.snapshot is not None
    held = files_in(repository, report.snapshot)
    assert held["s/0/ledger.txt"].size == len("monday")
    assert "s/0/new.txt" not in held
    after = run(repository, Opened(LocalSource(folder, snapshot_path="/s")), lambda: NOW + timedelta(minutes=1))
    assert after.outcome is Outcome.DONE
    assert after.snapshot is not None
    assert files_in(repository, after.snapshot)["s/0/ledger.txt"].size == len("tue")


def test_what_vanishes_meanwhile_is_simply_not_there(folder: Path) -> None:
    written(folder / "0" / "download.part", "half", 3)

    def gone(path: SourcePath) -> None:
        if path[0] == b"2":
            (folder / "0" / "download.part").unlink()

    report = run(new_repository(), Opened(LocalSource(folder, snapshot_path="/s"), gone))
    assert report.outcome is Outcome.DONE
    assert report.summary.total_files_processed == 3


@pytest.mark.parametrize(("seconds_ago", "settle"), [(11, 10), (-60, 10), (3, 0)])
def test_old_files_those_of_the_future_and_without_a_settle_time_are_read_at_once(
    folder: Path, seconds_ago: float, settle: float
) -> None:
    written(folder / "0" / "a.txt", "a", seconds_ago)
    source = Opened(LocalSource(folder, snapshot_path="/s"))
    report = run(new_repository(), source, settle=settle)
    assert source.opened[0] == b"a.txt"
    assert report.outcome is Outcome.DONE
