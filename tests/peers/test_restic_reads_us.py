"""Stock restic as the judge of repositories that we write."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from appliance.backup import BackupReport, execute_backup, plan_backup
from appliance.repository import Repository
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome
from tests.peers.conftest import Peer
from tests.support.backups import clock
from tests.support.trees import differences, make_sample_tree

pytestmark = pytest.mark.needs("restic")


def back_up(repository: Repository, *paths: Path) -> BackupReport:
    sources = [LocalSource(path) for path in paths]
    report = execute_backup(
        repository, plan_backup(repository, sources, hostname="box", now=clock, username="kura"), sources, now=clock
    )
    assert report.outcome is Outcome.DONE
    assert report.snapshot is not None
    return report


def old_restic_forgives(found: list[str]) -> list[str]:
    """What restic before 0.16 cannot restore: link targets that are no UTF-8, sockets, holes (without --sparse)."""
    return [difference for difference in found if not re.search(r"raw link|'/socket'|^holes of", difference)]


def test_everything_restic_can_do_with_a_snapshot(peer: Peer, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    make_sample_tree(tree)
    repository = peer.create()
    first = back_up(repository, tree)
    assert first.snapshot is not None

    assert "no errors were found" in peer.restic("check", "--read-data")

    peer.restic("restore", "latest", "--verify", "--target", tmp_path / "out")
    assert old_restic_forgives(differences(tree, tmp_path / "out" / tree.relative_to("/"))) == []

    listed = peer.restic("ls", "latest", tree / "sorted", "--recursive").splitlines()
    assert {f"{tree}/sorted/{name}" for name in os.listdir(tree / "sorted")} <= set(listed)

    assert peer.restic("dump", "latest", tree / "日本語の名前 ①.txt") == (tree / "日本語の名前 ①.txt").read_text()
    assert len(peer.restic("dump", "latest", tree / "sorted")) > 1000  # a tar archive

    (tree / "hello.txt").write_text("changed\n")
    (tree / "a" / "b" / "new").write_text("new")
    (tree / "text.log").unlink()
    second = back_up(repository, tree)
    assert second.snapshot is not None
    diff = peer.restic("diff", first.snapshot.id, second.snapshot.id)
    assert re.search(rf"^\+ +{re.escape(str(tree))}/a/b/new$", diff, re.MULTILINE)
    assert re.search(rf"^- +{re.escape(str(tree))}/text\.log$", diff, re.MULTILINE)
    assert re.search(rf"^M +{re.escape(str(tree))}/hello\.txt$", diff, re.MULTILINE)
    assert "no errors were found" in peer.restic("check", "--read-data")


def test_restic_goes_on_from_our_snapshot_without_reading_a_file(peer: Peer, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    make_sample_tree(tree, big=2 << 20)
    repository = peer.create()
    ours = back_up(repository, tree)
    assert ours.snapshot is not None
    summary = peer.restic_json("backup", "--host", "box", tree)
    assert (summary["files_new"], summary["files_changed"]) == (0, 0)
    assert summary["files_unmodified"] == ours.summary.total_files_processed
    assert summary["data_blobs"] == 0
    snapshots = peer.restic_json("snapshots")
    assert [each.get("parent") for each in snapshots] == [None, ours.snapshot.id]


def test_several_sources_and_links_between_them(peer: Peer, tmp_path: Path) -> None:
    """Files that are linked across sources come back whole, though inode numbers are the same on both sides."""
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "one" / "x").write_bytes(os.urandom(5000))
    os.link(tmp_path / "one" / "x", tmp_path / "one" / "deep" / "y")
    os.link(tmp_path / "one" / "x", tmp_path / "two" / "z")
    repository = peer.create()
    back_up(repository, tmp_path / "one", tmp_path / "two")
    assert "no errors were found" in peer.restic("check", "--read-data")
    peer.restic("restore", "latest", "--verify", "--target", tmp_path / "out")
    out = tmp_path / "out" / tmp_path.relative_to("/")
    assert (out / "one" / "x").samefile(out / "one" / "deep" / "y")
    assert (out / "two" / "z").read_bytes() == (tmp_path / "one" / "x").read_bytes()
