"""What is read of the parent snapshot: each directory once, and in few requests."""

from __future__ import annotations

from pathlib import Path

from appliance.backup import execute_backup, plan_backup
from appliance.repository import Repository
from appliance.sources.local import LocalSource
from appliance.storage.metered import MeteredStorage
from tests.support.backups import back_up, clock
from tests.support.repository import PASSWORD, new_repository


def test_directories_are_asked_for_together(tmp_path: Path) -> None:
    for outer in range(12):
        for inner in range(12):
            folder = tmp_path / f"{outer:02}" / f"{inner:02}"
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(b"%d %d" % (outer, inner))
    repository = new_repository()
    source = LocalSource(tmp_path, snapshot_path="/tree")
    first = back_up(repository, source)
    storage = MeteredStorage(repository.storage)
    again = Repository.open(storage, PASSWORD)
    plan = plan_backup(again, source, hostname="box", now=clock)
    before = storage.counts
    report = execute_backup(again, plan, source, now=clock)
    source.close()
    assert first.snapshot is not None
    assert report.snapshot is not None
    assert report.snapshot.tree == first.snapshot.tree
    assert (report.summary.files_unmodified, report.summary.dirs_unmodified) == (144, 12 + 144 + 1)
    counts = storage.counts - before
    assert counts.gets < 30, "of 158 directories"
    assert counts.puts == 1, "the snapshot"
