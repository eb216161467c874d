"""A share through a whole backup: stock restic reads it back, and a server that goes away costs nothing stored."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import appliance_smb
from appliance.backup import LOST_TAG, BackupReport, execute_backup, plan_backup
from appliance.hookspecs import PluginContext
from appliance.repository import Node, Repository, Snapshot
from appliance.sources.interface import OpenOptions, Source
from appliance.status.model import Outcome, Progress
from appliance_folder.storage import FolderStorage
from appliance_smb.settings import SmbSettings
from tests.support.repository import CHEAP, PASSWORD
from tests.support.smbd import Smbd, start_smbd

pytestmark = [pytest.mark.needs("smbd", "restic", "root"), pytest.mark.xdist_group("smbd")]


def now() -> datetime:
    return datetime(2026, 4, 1, tzinfo=UTC)


def opened(server: Smbd, folder: str) -> Source:
    share = {"url": server.url("share", folder), "password_file": str(server.password_file)}
    context = PluginContext(
        {"smb": SmbSettings.model_validate({"shares": [share], "patience": 0})}, Path("/var"), Path("/run")
    )
    (found,) = appliance_smb.discover_sources(context)
    source = appliance_smb.open_source(context, found, OpenOptions())
    assert source is not None
    return source


def back_up(repository: Repository, source: Source) -> BackupReport:
    plan = plan_backup(repository, source, hostname="box", now=now)
    return execute_backup(repository, plan, source, now=now, workers=4)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    storage = FolderStorage(tmp_path / "repo", create=True)
    return Repository.create(storage, PASSWORD, hostname="box", username="kura", now=now, cost=CHEAP)


def restic(tmp_path: Path, *arguments: str) -> str:
    environment = os.environ | {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(tmp_path / "repo")}
    done = subprocess.run(
        ["restic", "--no-cache", *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stock_restic_reads_a_share_back(smbd: Smbd, repository: Repository, tmp_path: Path) -> None:
    folder = smbd.folder("会社")
    expected = {"経理/見積.txt": b"1" * 10, "経理/写真.raw": os.urandom(3 << 20), "空": b""}
    for name, data in expected.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    smbd.give(folder)
    source = opened(smbd, "会社")
    report = back_up(repository, source)
    assert (report.outcome, report.unreadable) == (Outcome.DONE, ())

    again = back_up(repository, source)
    assert again.summary.files_unmodified == len(expected), "size and time tell, without inodes"
    source.close()

    restic(tmp_path, "check", "--read-data")
    restic(tmp_path, "restore", "latest", "--target", str(tmp_path / "restored"))
    restored = tmp_path / "restored" / "smb" / "127.0.0.1" / "share" / "会社"
    for name, data in expected.items():
        assert (restored / name).read_bytes() == data
        assert (restored / name).stat().st_mtime_ns // 100 == (folder / name).stat().st_mtime_ns // 100
    assert report.snapshot is not None
    found = nodes_below(repository, report.snapshot, Path("smb/127.0.0.1/share/会社"))
    nodes = {node.name: node for node in found}
    assert set(nodes) == {"経理", "空"}
    for node in nodes.values():
        assert set(node.generic_attributes or {}) == {
            "windows.creation_time",
            "windows.file_attributes",
            "windows.security_descriptor",
        }


def nodes_below(repository: Repository, snapshot: Snapshot, path: Path) -> list[Node]:
    tree = repository.load_tree(bytes.fromhex(snapshot.tree))
    for name in path.parts:
        (node,) = (node for node in tree.nodes if node.name == name)
        tree = repository.load_tree(bytes.fromhex(node.subtree or ""))
    return list(tree.nodes)


def test_a_server_that_goes_away_leaves_what_was_read(repository: Repository, tmp_path: Path) -> None:
    with start_smbd() as server:
        folder = server.folder("data")
        for number in range(200):
            path = folder / f"{number // 10:02}" / f"{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%03d" % number * 1000)
        server.give(folder)
        source = opened(server, "data")
        plan = plan_backup(repository, source, hostname="box", now=now)

        def kill_midway(progress: Progress) -> None:
            if progress.item == "10" and server.process.poll() is None:
                server.kill()

        report = execute_backup(repository, plan, source, now=now, on_progress=kill_midway)
        source.close()
    assert report.lost
    assert report.outcome is Outcome.PARTIAL
    assert report.snapshot is not None and LOST_TAG in report.snapshot.tags
    restic(tmp_path, "check", "--read-data")
