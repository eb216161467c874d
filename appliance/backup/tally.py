"""What a run has counted and found so far, told by any of its threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from appliance import __version__
from appliance.backup.files import FileTask, is_large
from appliance.backup.plan import BackupPlan, shown
from appliance.backup.report import LOST_TAG, PARTIAL_TAG, BackupReport, Noted, Unreadable
from appliance.repository import BlobWriter, Node, SnapshotSummary, from_datetime
from appliance.sources.interface import EntryType, Path, Source, SourceError
from appliance.status.model import Outcome, Progress
from appliance.text import T, Text

PROGRAM = f"kurabako {__version__}"


class Tally:
    """The counters of one run, its findings, and the progress they make. Any number of threads may use one object."""

    def __init__(self, plan: BackupPlan, on_progress: Callable[[Progress], None] | None) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._progress_lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._bytes_done = 0
        self._unreadable: list[Unreadable] = []
        self._noted: list[Noted] = []
        self._not_crossed: list[str] = []
        self._lost: set[str] = set()

    def is_lost(self, source: Source) -> bool:
        """Whether the source went away."""
        return source.id in self._lost

    def unchanged(self, count: int, size: int) -> None:
        """So many files, of so many bytes in all, are as the parent snapshot has them."""
        with self._lock:
            self._counts["files_unmodified"] += count
            self._counts["total_files_processed"] += count
            self._counts["total_bytes_processed"] += size
            self._bytes_done += size

    def read(self, tasks: list[FileTask]) -> None:
        """These files were read and saved."""
        new = sum(task.previous is None for task in tasks)
        with self._lock:
            self._counts["files_new"] += new
            self._counts["files_changed"] += len(tasks) - new
            self._counts["total_files_processed"] += len(tasks)
            self._counts["total_bytes_processed"] += sum(task.node.size for task in tasks)
            self._bytes_done += sum(task.node.size for task in tasks if not is_large(task))
        if tasks:
            self.progress(tasks[-1].path)

    def collected(self, new: int, changed: int, unmodified: int, size: int) -> None:
        """So many files of a folder, of so many bytes in all, were collected together."""
        with self._lock:
            self._counts["files_new"] += new
            self._counts["files_changed"] += changed
            self._counts["files_unmodified"] += unmodified
            self._counts["total_files_processed"] += new + changed + unmodified
            self._counts["total_bytes_processed"] += size
            self._bytes_done += size

    def read_bytes(self, path: Path, count: int) -> None:
        """So many bytes more of a large file were read."""
        with self._lock:
            self._bytes_done += count
        self.progress(path)

    def folder(self, previous: Node | None, node: Node) -> None:
        """The tree of a directory was stored."""
        if previous is None or previous.type != EntryType.DIR:
            change = "dirs_new"
        else:
            change = "dirs_unmodified" if previous.subtree == node.subtree else "dirs_changed"
        with self._lock:
            self._counts[change] += 1

    def error(self, source: Source, path: Path, error: SourceError) -> None:
        """Notes what is wrong; that a source is lost is noted once, however many threads find out."""
        with self._lock:
            if source.id in self._lost:
                return
            if error.lost:
                self._lost.add(source.id)
            self._unreadable.append(Unreadable(shown(source, path), error.what))

    def note(self, source: Source, path: Path, what: Text) -> None:
        """Notes what people should know of how a path was read."""
        with self._lock:
            self._noted.append(Noted(shown(source, path), what))

    def not_crossed(self, source: Source, path: Path) -> None:
        """Notes a directory on another file system."""
        with self._lock:
            self._not_crossed.append(shown(source, path))

    def progress(self, path: Path) -> None:
        """Tells how far the run is, at this path."""
        if self._on_progress is None:
            return
        with self._progress_lock:
            self._on_progress(
                Progress(
                    T("Backing up"),
                    bytes_done=self._bytes_done,
                    bytes_total=self._plan.expected_bytes,
                    files_done=self._counts["total_files_processed"],
                    files_total=self._plan.expected_files,
                    errors=len(self._unreadable),
                    item=b"/".join(path).decode("utf-8", "backslashreplace"),
                )
            )

    def report(self, end: str, writer: BlobWriter, tree: bytes | None) -> BackupReport:
        """What was done, with the snapshot (not saved yet) unless there is nothing to be kept (no `tree`)."""
        plan, counts = self._plan, writer.counts
        summary = SnapshotSummary(
            backup_start=from_datetime(plan.time),
            backup_end=end,
            data_blobs=counts.data_blobs,
            tree_blobs=counts.tree_blobs,
            data_added=counts.data_added,
            data_added_packed=counts.data_added_packed,
            **self._counts,
        )
        partial = bool(self._unreadable)
        snapshot = None
        if tree is not None:
            tags = [*plan.tags, *([PARTIAL_TAG] if partial else []), *([LOST_TAG] if self._lost else [])]
            snapshot = plan.snapshot(tree, tags, summary, PROGRAM)
        outcome = Outcome.FAILED if snapshot is None else Outcome.PARTIAL if partial else Outcome.DONE
        return BackupReport(
            outcome,
            snapshot,
            summary,
            tuple(self._unreadable),
            tuple(self._noted),
            tuple(self._not_crossed),
            bool(self._lost),
        )
