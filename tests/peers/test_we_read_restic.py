"""Repositories written by stock restic, checked, restored and continued by us."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.backup import execute_backup, plan_backup
from appliance.repository.check import check
from appliance.restore import execute_restore, plan_restore
from appliance.sources.local import LocalSource
from appliance.status.model import Outcome
from appliance.targets.local import LocalTarget
from tests.peers.conftest import Peer
from tests.support.backups import clock
from tests.support.trees import differences, make_sample_tree

pytestmark = pytest.mark.needs("restic")


def test_we_check_restore_and_continue_what_restic_wrote(peer: Peer, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    make_sample_tree(tree)
    (tree / "raw link").unlink()  # restic before 0.16 keeps no target that is not UTF-8,
    (tree / "socket").unlink()  # and no sockets
    peer.restic("init", "--repository-version", "2")
    peer.restic("backup", "--host", "box", tree)

    repository = peer.open()
    assert check(repository, read_data=True).errors == []

    snapshot = repository.find_snapshot("latest")
    report = execute_restore(repository, plan_restore(repository, snapshot, str(tree), LocalTarget(tmp_path / "out")))
    assert (report.outcome, report.failures) == (Outcome.DONE, ())
    assert differences(tree, tmp_path / "out") == []

    source = LocalSource(tree)
    ours = execute_backup(repository, plan_backup(repository, source, hostname="box", now=clock), source, now=clock)
    assert ours.snapshot is not None
    assert ours.snapshot.parent == snapshot.id
    assert (ours.summary.files_new, ours.summary.files_changed, ours.summary.data_blobs) == (0, 0, 0)
    assert "no errors were found" in peer.restic("check", "--read-data")


def test_both_write_into_one_repository(peer: Peer, tmp_path: Path) -> None:
    """Small files are the same blobs to both, so the second writer adds none of them again."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(50):
        (tree / f"{number}").write_text(f"file {number}\n" * 20)
    peer.restic("init", "--repository-version", "2")
    peer.restic("backup", "--host", "another", tree)
    repository = peer.open()
    source = LocalSource(tree)
    report = execute_backup(repository, plan_backup(repository, source, hostname="box", now=clock), source, now=clock)
    assert (report.summary.files_new, report.summary.data_blobs) == (50, 0)
    assert "no errors were found" in peer.restic("check", "--read-data")
    assert len(peer.restic_json("snapshots")) == 2
