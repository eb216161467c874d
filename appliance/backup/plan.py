"""What a backup will do: which sources go where in the snapshot, and which snapshot it builds upon."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from appliance.backup.names import RefuseName
from appliance.backup.report import LOST_TAG
from appliance.errors import ExitCode, KurabakoError
from appliance.repository import Repository, Snapshot, SnapshotSummary
from appliance.sources.interface import Path, Source
from appliance.text import T

AUTO = "auto"
"""As a parent: the latest snapshot of the same host and paths."""


class OverlappingSources(KurabakoError):
    """Two sources would have the same place in one snapshot."""

    code = "backup.overlapping-sources"
    exit_code = ExitCode.USAGE

    def __init__(self, one: str, other: str) -> None:
        super().__init__(
            T("{one} and {other} cannot be backed up together: one contains the other.", one=one, other=other),
            todo=T("Name only the outer one."),
        )


@dataclass(frozen=True)
class BackupPlan:
    """A backup to be. `paths` are the sources' places in the snapshot, in the order of the sources.

    `expected_files` and `expected_bytes` are those of the parent, None when nothing is known.
    """

    time: datetime
    hostname: str
    username: str
    source_ids: tuple[str, ...]
    paths: tuple[str, ...]
    tags: tuple[str, ...]
    excludes: tuple[str, ...]
    includes: tuple[str, ...]
    settle: float
    parent: Snapshot | None
    refuse_name: RefuseName | None = None

    @property
    def expected_files(self) -> int | None:
        summary = self.parent.summary if self.parent else None
        return summary.total_files_processed if summary else None

    @property
    def expected_bytes(self) -> int | None:
        summary = self.parent.summary if self.parent else None
        return summary.total_bytes_processed if summary else None

    def snapshot(self, tree: bytes, tags: Sequence[str], summary: SnapshotSummary, program: str) -> Snapshot:
        """The snapshot that comes of it, not saved yet."""
        return Snapshot(
            time=summary.backup_start,
            parent=self.parent.id if self.parent else None,
            tree=tree.hex(),
            paths=[printable(path) for path in self.paths],
            hostname=self.hostname,
            username=self.username,
            uid=os.getuid(),
            gid=os.getgid(),
            excludes=list(self.excludes),
            tags=list(dict.fromkeys(tags)),
            program_version=program,
            summary=summary,
        )


def plan_backup(
    repository: Repository,
    source: Source | Sequence[Source],
    *,
    hostname: str,
    now: Callable[[], datetime],
    username: str = "",
    tags: Sequence[str] = (),
    excludes: Sequence[str] = (),
    includes: Sequence[str] = (),
    settle: float = 0.0,
    refuse_name: RefuseName | None = None,
    parent: str | None = AUTO,
) -> BackupPlan:
    """Plans one snapshot of one or several sources. Nothing is written.

    `excludes` and `includes` are patterns (`appliance.sources.selection`). Files that were modified within the last
    `settle` seconds are read at the end of the run. What `refuse_name` does not let be collected is reported. `parent`
    names the snapshot whose unchanged files are not read again: `AUTO`, an id or `latest`, or None to read everything.
    Raises `OverlappingSources`, `PatternError`, `SnapshotNotFound` and what reading the snapshots raises.
    """
    sources = list(source) if isinstance(source, Sequence) else [source]
    if not sources:
        raise ValueError("a backup needs a source")
    paths = tuple(each.snapshot_path for each in sources)
    _check_apart(paths)
    found: Snapshot | None = None
    if parent == AUTO:
        found = _latest_of(repository.snapshots(), hostname, paths)
    elif parent is not None:
        found = repository.find_snapshot(parent)
    return BackupPlan(
        time=now(),
        hostname=hostname,
        username=username,
        source_ids=tuple(each.id for each in sources),
        paths=paths,
        tags=tuple(tags),
        excludes=tuple(excludes),
        includes=tuple(includes),
        settle=settle,
        parent=found,
        refuse_name=refuse_name,
    )


def _latest_of(snapshots: Sequence[Snapshot], hostname: str, paths: Sequence[str]) -> Snapshot | None:
    """The latest snapshot of these paths, rather one that has seen all of them than one cut short."""
    same = [each for each in snapshots if each.hostname == hostname and sorted(each.paths) == sorted(paths)]
    whole = [each for each in same if LOST_TAG not in each.tags]
    best = whole or same
    return best[-1] if best else None


def _check_apart(paths: Sequence[str]) -> None:
    split = sorted((path_names(path), path) for path in paths)
    for (outer, one), (inner, other) in pairwise(split):
        if inner[: len(outer)] == outer:
            raise OverlappingSources(one, other)


def path_names(path: str) -> tuple[bytes, ...]:
    """The names that lead from the root of a snapshot to `path`."""
    return tuple(name.encode("utf-8", "surrogateescape") for name in path.split("/") if name)


def shown(source: Source, path: Path) -> str:
    """A path of a source as people see it in a snapshot."""
    return b"/".join((source.snapshot_path.rstrip("/").encode("utf-8", "surrogateescape"), *path)).decode(
        "utf-8", "backslashreplace"
    )


def printable(path: str) -> str:
    """A snapshot's paths are text, which a name that is no UTF-8 is not."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
