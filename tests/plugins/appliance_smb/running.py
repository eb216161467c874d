"""Backing up a folder of a share as the box does it, in this process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import appliance_smb
from appliance.backup import BackupReport, execute_backup, plan_backup
from appliance.hookspecs import PluginContext
from appliance.repository import BlobType, Node, Repository
from appliance.sources.interface import AskedAgain, OpenOptions, PreviousVersions, Source
from appliance.status.model import Progress
from appliance_folder.storage import FolderStorage
from appliance_smb.settings import SmbSettings
from tests.support.repository import CHEAP, PASSWORD
from tests.support.smbd import Smbd


def now() -> datetime:
    return datetime(2026, 4, 1, tzinfo=UTC)


def new_repository(path: Path) -> Repository:
    storage = FolderStorage(path, create=True)
    return Repository.create(storage, PASSWORD, hostname="box", username="kura", now=now, cost=CHEAP)


def opened(
    server: Smbd,
    state: Path,
    *,
    share: str = "share",
    folder: str = "data",
    patience: float = 120,
    previous: PreviousVersions = "locked",
    permissions: AskedAgain = "always",
) -> Source:
    state.mkdir(exist_ok=True)
    table = {"url": server.url(share, folder), "password_file": str(server.password_file)}
    settings = SmbSettings.model_validate({"shares": [table], "patience": patience})
    context = PluginContext({"smb": settings}, state, state)
    (found,) = appliance_smb.discover_sources(context)
    source = appliance_smb.open_source(context, found, OpenOptions(previous_versions=previous, permissions=permissions))
    assert source is not None
    return source


def back_up(
    repository: Repository,
    source: Source,
    on_progress: Callable[[Progress], None] | None = None,
    workers: int = 4,
    settle: float = 0,
) -> BackupReport:
    """Backs up the source, and closes it."""
    repository.load_index()
    plan = plan_backup(repository, source, hostname="box", now=now, settle=settle)
    report = execute_backup(repository, plan, source, now=now, workers=workers, on_progress=on_progress)
    source.close()
    return report


def files_of(repository: Repository, report: BackupReport) -> dict[str, Node]:
    """The files in the snapshot, by their path below the source's root."""
    assert report.snapshot is not None
    repository.load_index()
    found: dict[str, Node] = {}
    waiting = [(report.snapshot.tree, "")]
    while waiting:
        tree, above = waiting.pop()
        for node in repository.load_tree(bytes.fromhex(tree)).nodes:
            path = f"{above}/{node.name}"
            if node.subtree:
                waiting.append((node.subtree, path))
            else:
                found[path.removeprefix(f"{report.snapshot.paths[0]}/")] = node
    return found


def content_of(repository: Repository, node: Node) -> bytes:
    return b"".join(bytes(repository.load_blob(BlobType.DATA, bytes.fromhex(blob))) for blob in node.content or ())
