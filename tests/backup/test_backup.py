"""Backups: what a snapshot holds, what is read again, and what becomes of trouble."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from appliance.backup import LOST_TAG, PARTIAL_TAG, OverlappingSources, execute_backup, plan_backup
from appliance.repository import BlobType
from appliance.repository.errors import SnapshotNotFound
from appliance.sources.interface import SourceError
from appliance.sources.local import LocalSource
from appliance.sources.wrapper import SourceWrapper
from appliance.status.model import Outcome, Progress
from appliance.storage import MemoryStorage
from appliance.storage.interface import Buffer, NoSpace
from appliance.text import T
from tests.support.backups import (
    ChangingSource,
    RefusingSource,
    VanishingSource,
    assert_whole,
    back_up,
    clock,
    files_in,
)
from tests.support.repository import new_repository, reopen
from tests.support.trees import make_sample_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three directories with three files each, and one file of several chunks."""
    root = tmp_path / "tree"
    for name in ("a", "b", "c"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.txt").write_text(f"{name}{number}" * 50)
    (root / "big").write_bytes(os.urandom(6 << 20))
    return root


def source_of(tree: Path) -> LocalSource:
    return LocalSource(tree, id="test", snapshot_path="/srv/share")


def test_first_backup_counts_everything(tree: Path) -> None:
    repository = new_repository()
    report = back_up(repository, source_of(tree), tags=("nightly",), excludes=("2.txt",))
    assert report.outcome is Outcome.DONE
    assert report.snapshot is not None
    assert (report.snapshot.paths, report.snapshot.hostname, report.snapshot.tags, report.snapshot.excludes) == (
        ["/srv/share"],
        "box",
        ["nightly"],
        ["2.txt"],
    )
    assert report.snapshot.program_version.startswith("kurabako ")
    summary = report.summary
    assert (summary.files_new, summary.dirs_new, summary.total_files_processed) == (7, 5, 7)
    assert summary.total_bytes_processed == (6 << 20) + 6 * 100
    assert summary.data_added > summary.total_bytes_processed
    assert repository.find_snapshot("latest") == report.snapshot
    assert sorted(files_in(repository, report.snapshot)) == sorted(
        ["srv", "srv/share", "srv/share/big"]
        + [f"srv/share/{name}" for name in ("a", "b", "c")]
        + [f"srv/share/{name}/{number}.txt" for name in ("a", "b", "c") for number in (0, 1)]
    )


def test_unchanged_files_are_not_read_and_nothing_is_stored(tree: Path) -> None:
    repository = new_repository()
    first = back_up(repository, source_of(tree))
    before = {info.key for info in repository.storage.list("data")}

    class Unopenable(SourceWrapper):
        def open(self, path: object, entry: object) -> None:  # type: ignore[override]
            raise AssertionError(f"{path} was read")

    second = back_up(repository, Unopenable(source_of(tree)))  # type: ignore[arg-type]
    assert second.outcome is Outcome.DONE
    assert second.snapshot is not None
    assert first.snapshot is not None
    assert (second.snapshot.parent, second.snapshot.tree) == (first.snapshot.id, first.snapshot.tree)
    assert (second.summary.files_unmodified, second.summary.files_new, second.summary.dirs_unmodified) == (10, 0, 5)
    assert (second.summary.data_added, second.summary.total_bytes_processed) == (0, first.summary.total_bytes_processed)
    assert {info.key for info in repository.storage.list("data")} == before


def test_only_what_changed_is_read(tree: Path) -> None:
    repository = new_repository()
    back_up(repository, source_of(tree))
    (tree / "a" / "0.txt").write_text("other")
    (tree / "a" / "new.txt").write_text("new")
    (tree / "b" / "1.txt").unlink()
    (tree / "c" / "2.txt").chmod(0o600)  # its ctime says that something changed
    source = ChangingSource(source_of(tree), 0)
    report = back_up(repository, source)
    assert sorted(source.opened) == [(b"a", b"0.txt"), (b"a", b"new.txt"), (b"c", b"2.txt")]
    summary = report.summary
    assert (summary.files_new, summary.files_changed, summary.files_unmodified) == (1, 2, 7)
    assert (summary.dirs_changed, summary.dirs_unmodified) == (5, 0)


def test_sources_with_unstable_inodes_go_by_size_and_time(tree: Path) -> None:
    repository = new_repository()
    back_up(repository, LocalSource(tree, id="test", trusts_inode=False))
    (tree / "c" / "2.txt").chmod(0o600)
    report = back_up(repository, LocalSource(tree, id="test", trusts_inode=False))
    assert report.summary.files_unmodified == 10


def test_a_parent_whose_blobs_are_gone_is_not_believed(tree: Path) -> None:
    repository = new_repository()
    first = back_up(repository, source_of(tree))
    for info in list(repository.storage.list("index")):
        repository.storage.delete(info.key)
    report = back_up(repository, source_of(tree))
    assert first.snapshot is not None
    assert (report.summary.files_unmodified, report.summary.total_files_processed) == (0, 10)


def test_parents_can_be_named_or_refused(tree: Path) -> None:
    repository = new_repository()
    first = back_up(repository, source_of(tree))
    assert first.snapshot is not None
    assert back_up(repository, source_of(tree), parent=None).summary.files_new == 10
    other_host = back_up(repository, source_of(tree), hostname="another")
    assert other_host.snapshot is not None
    assert other_host.snapshot.parent is None
    named = back_up(repository, source_of(tree), hostname="another", parent=first.snapshot.id)
    assert named.snapshot is not None
    assert named.snapshot.parent == first.snapshot.id
    with pytest.raises(SnapshotNotFound):
        back_up(repository, source_of(tree), parent="ffffffff")


def test_several_sources_in_one_snapshot(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    (tmp_path / "single").write_text("one file")
    sources = [
        LocalSource(tree, snapshot_path="/srv/share"),
        LocalSource(tmp_path / "other", snapshot_path="/srv/other"),
        LocalSource(tmp_path / "single", snapshot_path="/etc/single"),
    ]
    repository = new_repository()
    report = back_up(repository, sources)
    assert report.snapshot is not None
    found = files_in(repository, report.snapshot)
    assert {"srv/share/big", "srv/other/x", "etc/single"} <= set(found)
    assert found["etc/single"].size == 8
    again = back_up(repository, sources)
    assert again.snapshot is not None
    assert again.snapshot.tree == report.snapshot.tree
    assert again.summary.files_unmodified == 12


def test_a_source_may_be_the_root_of_the_snapshot(tree: Path) -> None:
    repository = new_repository()
    report = back_up(repository, LocalSource(tree, snapshot_path="/"))
    assert report.snapshot is not None
    assert "a/0.txt" in files_in(repository, report.snapshot)


def test_overlapping_sources_are_refused(tree: Path) -> None:
    sources = [LocalSource(tree, snapshot_path="/srv"), LocalSource(tree / "a", snapshot_path="/srv/a")]
    with pytest.raises(OverlappingSources, match=r"/srv and /srv/a cannot"):
        plan_backup(new_repository(), sources, hostname="box", now=clock)
    neighbours = [LocalSource(tree, snapshot_path="/srv/a"), LocalSource(tree, snapshot_path="/srv/ab")]
    assert plan_backup(new_repository(), neighbours, hostname="box", now=clock).paths == ("/srv/a", "/srv/ab")


@pytest.mark.parametrize(
    ("method", "path", "missing"),
    [
        ("open", (b"a", b"0.txt"), {"a/0.txt"}),
        ("complete", (b"a", b"0.txt"), {"a/0.txt"}),
        ("open", (b"big",), {"big"}),
        ("scandir", (b"b",), {"b", "b/0.txt", "b/1.txt", "b/2.txt"}),
        ("complete", (b"b",), {"b", "b/0.txt", "b/1.txt", "b/2.txt"}),
    ],
)
def test_what_cannot_be_read_is_reported_and_the_rest_goes_on(
    tree: Path, method: str, path: tuple[bytes, ...], missing: set[str]
) -> None:
    repository = new_repository()
    whole = set(files_in(repository, back_up(repository, source_of(tree)).snapshot, "srv/share"))  # type: ignore[arg-type]
    source = RefusingSource(source_of(tree), {(method, path): SourceError(T("No."))})
    report = back_up(repository, source, parent=None)
    assert report.outcome is Outcome.PARTIAL
    assert not report.lost
    assert [(unreadable.path, str(unreadable.why)) for unreadable in report.unreadable] == [
        ("/srv/share/" + b"/".join(path).decode(), "No.")
    ]
    assert report.snapshot is not None
    assert report.snapshot.tags == [PARTIAL_TAG]
    assert set(files_in(repository, report.snapshot, "srv/share")) == whole - missing


def test_a_file_that_changed_once_is_read_again(tree: Path) -> None:
    repository = new_repository()
    source = ChangingSource(source_of(tree), 1)
    report = back_up(repository, source)
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())
    assert len(source.opened) == 20
    assert report.summary.total_files_processed == 10


def test_a_file_that_keeps_changing_is_kept_and_reported(tree: Path) -> None:
    repository = new_repository()
    report = back_up(repository, ChangingSource(source_of(tree / "a"), 2))
    assert report.outcome is Outcome.PARTIAL
    assert sorted(unreadable.path for unreadable in report.unreadable) == [f"/srv/share/{n}.txt" for n in range(3)]
    assert report.summary.total_files_processed == 3


def test_a_file_that_grew_since_it_was_listed_has_its_new_size(tree: Path) -> None:
    class Late(SourceWrapper):
        def open(self, path: object, entry: object) -> object:  # type: ignore[override]
            with (tree / "a" / "0.txt").open("a") as file:
                file.write("more" * 1000)
            return super().open(path, entry)  # type: ignore[arg-type]

    repository = new_repository()
    report = back_up(repository, Late(LocalSource(tree / "a" / "0.txt", snapshot_path="/f")))  # type: ignore[arg-type]
    assert report.snapshot is not None
    assert files_in(repository, report.snapshot)["f"].size == 100 + 4000
    (tree / "a" / "0.txt").touch()
    assert back_up(repository, LocalSource(tree / "a" / "0.txt", snapshot_path="/f")).summary.files_changed == 1


@pytest.mark.parametrize("calls", range(0, 27, 2))
def test_a_source_that_goes_away_leaves_what_was_seen(tree: Path, calls: int) -> None:
    repository = new_repository()
    whole = back_up(repository, source_of(tree))
    report = back_up(repository, VanishingSource(source_of(tree), calls), parent=None)
    assert report.lost
    assert [str(unreadable.why) for unreadable in report.unreadable] == ["It was unplugged."]
    if report.snapshot is None:
        assert report.outcome is Outcome.FAILED
        assert calls <= 1
    else:
        assert report.outcome is Outcome.PARTIAL
        assert report.snapshot.tags == [PARTIAL_TAG, LOST_TAG]
        assert report.summary.total_files_processed < 10
    # the next run builds on the snapshot that has seen everything
    after = back_up(repository, source_of(tree))
    assert after.snapshot is not None
    assert whole.snapshot is not None
    assert after.snapshot.parent == whole.snapshot.id


def test_one_lost_source_does_not_stop_the_others(tree: Path) -> None:
    repository = new_repository()
    lost = VanishingSource(LocalSource(tree / "a", snapshot_path="/lost"), 0)
    report = back_up(repository, [lost, LocalSource(tree / "b", snapshot_path="/there")])
    assert report.snapshot is not None
    assert set(files_in(repository, report.snapshot)) == {"there", "there/0.txt", "there/1.txt", "there/2.txt"}
    assert (report.outcome, report.lost) == (Outcome.PARTIAL, True)


@pytest.mark.needs("root")
def test_other_file_systems_are_recorded_empty(tree: Path) -> None:
    (tree / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tree / "mounted")], check=True)
    try:
        (tree / "mounted" / "file").touch()
        repository = new_repository()
        report = back_up(repository, source_of(tree))
    finally:
        subprocess.run(["umount", str(tree / "mounted")], check=True)
    assert report.snapshot is not None
    assert (report.outcome, report.not_crossed) == (Outcome.DONE, ("/srv/share/mounted",))
    assert [name for name in files_in(repository, report.snapshot, "srv/share") if "mounted" in name] == ["mounted"]


def test_progress_grows_to_the_whole(tree: Path) -> None:
    repository = new_repository()
    seen: list[Progress] = []
    report = back_up(repository, source_of(tree), on_progress=seen.append)
    assert [step.bytes_done for step in seen] == sorted(step.bytes_done for step in seen)
    assert (seen[-1].files_done, seen[-1].bytes_done) == (10, report.summary.total_bytes_processed)
    assert {step.bytes_total for step in seen} == {None}
    seen.clear()
    back_up(repository, source_of(tree), on_progress=seen.append)
    assert (seen[-1].files_total, seen[-1].bytes_total) == (10, report.summary.total_bytes_processed)
    assert (seen[-1].files_done, seen[-1].bytes_done) == (10, report.summary.total_bytes_processed)


def test_cancelled_leaves_no_snapshot_and_no_thread(tree: Path) -> None:
    repository = new_repository()
    threads = set(threading.enumerate())
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    report = back_up(repository, source_of(tree), cancelled=cancelled)
    assert (report.outcome, report.snapshot) == (Outcome.CANCELLED, None)
    assert repository.snapshots() == []
    assert set(threading.enumerate()) <= threads


class FullStorage(MemoryStorage):
    """Has room for so many objects."""

    room = 1_000_000

    def put(self, key: str, data: Buffer) -> None:
        if not self.room:
            raise NoSpace(T("It is full."))
        self.room -= 1
        super().put(key, data)


@pytest.mark.parametrize("room", range(5))
def test_a_full_place_is_raised_and_harms_nothing(tree: Path, room: int) -> None:
    storage = FullStorage()
    repository = new_repository(storage)
    threads = set(threading.enumerate())
    storage.room = room
    if room < 4:  # a data pack, a tree pack, the index, the snapshot
        fresh = reopen(repository)
        plan = plan_backup(fresh, source_of(tree), hostname="box", now=clock)
        with pytest.raises(NoSpace):
            execute_backup(fresh, plan, source_of(tree), now=clock)
        assert repository.snapshots() == []
        assert_whole(repository)
    storage.room = 1_000_000
    assert set(threading.enumerate()) <= threads
    assert back_up(repository, source_of(tree)).outcome is Outcome.DONE


def test_a_bug_in_a_source_is_not_swallowed(tree: Path) -> None:
    class Broken(SourceWrapper):
        def open(self, path: object, entry: object) -> None:  # type: ignore[override]
            raise ZeroDivisionError

    threads = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        back_up(new_repository(), Broken(source_of(tree)))  # type: ignore[arg-type]
    assert set(threading.enumerate()) <= threads


def test_a_rehearsal_needs_nothing_of_what_it_wrote(tree: Path) -> None:
    """What is swallowed cannot be read back; the counted bytes are those of the real run."""

    class Swallowing(MemoryStorage):
        swallows = False
        swallowed = 0

        def put(self, key: str, data: Buffer) -> None:
            if self.swallows and not key.startswith("snapshots"):
                self.swallowed += len(data)
            else:
                super().put(key, data)

    storage = Swallowing()
    repository = new_repository(storage)
    plan = plan_backup(repository, source_of(tree), hostname="box", now=clock)
    storage.swallows = True
    report = execute_backup(repository, plan, source_of(tree), now=clock)
    assert report.outcome is Outcome.DONE
    assert storage.swallowed > 6 << 20


def test_a_large_directory_and_a_deep_one(tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir()
    for number in range(1500):
        (tmp_path / "wide" / f"{number}").write_text(str(number % 700))
    deep = tmp_path / "deep"
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "bottom").touch()
    repository = new_repository()
    report = back_up(repository, LocalSource(tmp_path, snapshot_path="/t"), workers=3)
    assert report.summary.total_files_processed == 1501
    assert (report.summary.data_blobs, report.summary.dirs_new) == (700, 303)


def test_equal_trees_give_equal_snapshots_whatever_the_threads(tmp_path: Path) -> None:
    make_sample_tree(tmp_path / "tree", big=2 << 20)
    trees = set()
    repository = new_repository()
    for workers in (1, 4):
        report = back_up(repository, LocalSource(tmp_path / "tree"), parent=None, workers=workers)
        assert report.snapshot is not None
        trees.add(report.snapshot.tree)
    assert len(trees) == 1
    assert reopen(repository).has_blob(BlobType.TREE, bytes.fromhex(trees.pop()))
