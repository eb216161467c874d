"""Carrying out a backup.

The calling thread walks the sources, compares with the parent snapshot and opens folders; reader threads turn
new and changed files into blobs (`files`); whoever finishes the last thing in a folder stores its tree
(`folders`). Packs are durable before the index that names them, and both before the snapshot.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from appliance.backup.beside import Beside, CollectedFolder, FolderJob
from appliance.backup.files import SMALL, Events, FileTask
from appliance.backup.folders import Folder, Folders
from appliance.backup.levels import Level, find_roots, next_to_share, open_inner_folders
from appliance.backup.names import named
from appliance.backup.nodes import is_same, node_of
from appliance.backup.parent import ParentSnapshot, nodes_of
from appliance.backup.plan import BackupPlan, path_names
from appliance.backup.readers import FileReaders
from appliance.backup.remote import (
    NOT_ASKED,
    Asked,
    complete,
    complete_unchanged,
    inherit,
    opens,
    streams,
    streams_before,
)
from appliance.backup.report import BackupReport
from appliance.backup.settling import Settling, StillWritten, by_directory, look_again
from appliance.backup.tally import Tally
from appliance.repository import BlobType, BlobWriter, Node, Repository, decode_tree, from_datetime
from appliance.repository.indexfile import split
from appliance.sources.interface import Entry, EntryType, LocalTree, OtherFileSystem, Path, Source, SourceError
from appliance.sources.selection import Selection
from appliance.sources.walk import list_directory
from appliance.status.model import Outcome, Progress
from appliance.text import Text

_DIR = EntryType.DIR
_FILE = EntryType.FILE


def execute_backup(
    repository: Repository,
    plan: BackupPlan,
    source: Source | Sequence[Source],
    *,
    now: Callable[[], datetime],
    workers: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> BackupReport:
    """Makes the planned snapshot of the sources that were planned, in the same order.

    The repository's index is loaded if that has not been done.

    `workers` files are read at once: 1 suits the file systems of this machine, more a server over a network. All cores
    compress and encrypt in any case. `on_progress` is called from any thread, one call at a time, after each directory
    and each few files; it is for the caller to show fewer.

    What is wrong with single files, or with a source as a whole, is in the report. Raised is what keeps the
    repository from being written, such as a full place; what was stored by then is used by the next run. Nothing is
    read back that this run wrote, so that a run into a storage that swallows what it gets tells exact sizes.
    """
    sources = list(source) if isinstance(source, Sequence) else [source]
    if tuple(each.id for each in sources) != plan.source_ids:
        raise ValueError("these are not the sources that were planned")
    run = _Run(repository, plan, now, on_progress, cancelled)
    try:
        with repository.writer() as writer:
            run.collect(writer, sources, workers)
    except _Cancelled:
        return replace(run.report(from_datetime(now()), writer), outcome=Outcome.CANCELLED)
    report = run.report(from_datetime(now()), writer)
    if report.snapshot is None:
        return report
    return replace(report, snapshot=repository.save_snapshot(report.snapshot))


class _Cancelled(Exception):
    """Unwinds a run that is no longer wanted."""


class _Run:
    """The state of one run."""

    def __init__(
        self,
        repository: Repository,
        plan: BackupPlan,
        now: Callable[[], datetime],
        on_progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._repository = repository
        self._plan = plan
        self._tally = Tally(plan, on_progress)
        self._cancelled = cancelled
        self._selection = Selection(plan.excludes, plan.includes)
        self._settling = Settling(plan.settle, now)
        self._parent = ParentSnapshot(repository, plan.parent)
        self._busy: list[FileTask] = []
        self._levels: list[Level] = []
        self._found_something = False
        self._tree: bytes | None = None

    # --- the walk ------------------------------------------------------------------------------------------------

    def collect(self, writer: BlobWriter, sources: Sequence[Source], workers: int) -> None:
        """Walks all sources and stores all that is new; raises `_Cancelled`."""
        self._writer = writer
        self._folders = Folders(writer, self._tally.folder)
        tally = self._tally
        events = Events(
            tally.read, tally.read_bytes, tally.error, tally.note, self._on_busy, tally.is_lost, self._check
        )
        self._readers = FileReaders(
            self._repository.chunker(),
            writer,
            self._folders,
            events,
            lambda take_files: Beside(writer.sealer, self._plan, sources, take_files, self._take_folder),
            readers=workers,
            savers=max(2, os.cpu_count() or 1),
        )
        try:
            if not self._repository.index.packs():
                self._repository.load_index()  # while the second process starts
            top = self._folders.open(None, None)
            roots = find_roots(sources, tally)
            inner = open_inner_folders(self._folders, self._parent, top, roots)
            for source, root in roots:
                self._collect_source(source, root, inner[path_names(source.snapshot_path)[:-1]])
            for names in sorted(inner, key=len, reverse=True):
                self._folders.close(inner[names])
            self._submit_held_back()
            self._submit_busy()
            self._readers.finish()
        except BaseException as failure:
            self._readers.abort(failure)
            raise
        self._check()
        self._tally.progress(())
        self._tree = self._folders.root_tree

    def _collect_source(self, source: Source, root: Entry, above: Folder) -> None:
        """Walks a source depth-first. The walk never recurses, however deep the tree."""
        names = path_names(source.snapshot_path)
        previous = self._parent.at(names)
        if root.type is not _DIR:
            root.name = names[-1]
            self._record(source, None, [root], above, {names[-1]: previous} if previous else {})
            self._found_something = True
            return
        entries = self._list(source, ())
        if entries is None:
            return
        folder = self._folders.open(above, node_of(root, names[-1]), previous) if names else above
        waiting = self._record(source, (), entries, folder, self._parent.nodes(previous))
        self._levels = [Level((), folder, waiting)]
        shares = isinstance(source, LocalTree) and source.trusts_inode and self._plan.refuse_name is None
        beside = self._readers.beside
        while self._levels or not beside.is_idle:
            beside.collect(wait=not self._levels)
            if shares:
                self._share(source, root.device_id)
            if not self._levels:
                continue
            level = self._levels[-1]
            if not level.waiting or self._tally.is_lost(source):
                if level.folder is not above:
                    self._folders.close(level.folder)
                self._levels.pop()
            elif not (shares and beside.is_running):
                self._descend(source, level, *level.waiting.pop())
            elif (job := self._job(source, root.device_id, level, *level.waiting.pop())) is not None:
                beside.collect_here(job)

    def _descend(self, source: Source, level: Level, entry: Entry, previous: Node | None) -> None:
        """Records a directory; what is below it waits."""
        path = (*level.path, entry.name)
        if not self._complete(source, path, entry):
            return
        self._submit_streams(source, path, entry, level.folder)
        entries = self._list(source, path)
        if entries is None:
            return
        folder = self._folders.open(level.folder, node_of(entry), previous)
        nodes = self._parent.nodes(previous) if entries else {}
        self._levels.append(Level(path, folder, self._record(source, path, entries, folder, nodes)))

    # --- what is collected by folders ---------------------------------------------------------------------------------

    def _share(self, source: Source, device_id: int) -> None:
        """Gives the second process directories, those that this one would come to last; one is left for this one."""
        beside = self._readers.beside
        while beside.has_room and (level := next_to_share(self._levels)) is not None:
            if (job := self._job(source, device_id, level, *level.waiting.popleft())) is not None:
                beside.collect_folder(job)

    def _job(
        self, source: Source, device_id: int, level: Level, entry: Entry, previous: Node | None
    ) -> FolderJob | None:
        path = (*level.path, entry.name)
        if not self._complete(source, path, entry):
            return None
        folder = self._folders.open(level.folder, node_of(entry), previous)
        return FolderJob(source, path, folder, self._parent.tree(previous), device_id, self._settling.window())

    def _take_folder(self, job: FolderJob, found: CollectedFolder | None) -> None:
        """Records what was collected together, and one by one what that left."""
        source, path, folder, tree = job[:4]
        if found is None or not self._parent.has_all(split(found.told.content)):
            entries = self._list(source, path)
            if entries is None:
                self._folders.drop(folder)
                return
            known = nodes_of(tree) if entries else {}
            self._levels.append(Level(path, folder, self._record(source, path, entries, folder, known)))
            return
        self._check()
        told = found.told
        self._writer.save_sealed(BlobType.DATA, found.blobs)
        self._tally.collected(told.new, told.changed, told.unmodified, told.size)
        self._tally.progress(path)
        if told.left:
            known = nodes_of(tree)
            entries = sorted((left.entry() for left in told.left), key=lambda entry: entry.name)
            waiting = self._record(source, path, entries, folder, known)
            self._folders.keep(folder, [known[name] for name in told.same])
            self._folders.add(folder, decode_tree(told.nodes).nodes if told.nodes else [])
            self._levels.append(Level(path, folder, waiting))
            return
        if found.tree is not None:
            self._writer.save_sealed(BlobType.TREE, [found.tree])
            folder.tree = found.tree.id.hex()
        elif folder.previous is not None:
            folder.tree = folder.previous.subtree
        self._folders.close(folder)

    def _complete(self, source: Source, path: Path, entry: Entry, asked: Asked = NOT_ASKED) -> bool:
        if (error := complete(source, path, entry, asked)) is not None:
            self._tally.error(source, path, error)
            return False
        if entry.missing is not None:
            self._tally.error(source, path, SourceError(entry.missing))
        if entry.noted is not None:
            self._tally.note(source, path, entry.noted)
            entry.noted = None
        return True

    def _submit_streams(self, source: Source, path: Path, entry: Entry, folder: Folder) -> None:
        for stream_path, stream, node in streams(path, entry):
            self._folders.expect(folder, 1)
            self._readers.submit(FileTask(source, stream_path, stream, node, None, folder))

    def _list(self, source: Source, path: Path) -> list[Entry] | None:
        """The entries of a directory; none for one on another file system, None for one that cannot be read."""
        self._check()
        self._tally.progress(path)
        try:
            entries = list_directory(source, path, self._selection)
            if (refuse := self._plan.refuse_name) is not None:
                entries = named(entries, refuse, partial(self._refused_name, source, path))
        except OtherFileSystem:
            self._tally.not_crossed(source, path)
            return []
        except SourceError as error:
            self._tally.error(source, path, error)
            return None
        self._found_something = True
        return entries

    def _record(
        self, source: Source, path: Path | None, entries: list[Entry], folder: Folder, known: dict[bytes, Node]
    ) -> deque[tuple[Entry, Node | None]]:
        """Records the entries of a directory that are not directories themselves; returns those, the last first.

        `known` is what the parent snapshot has there. A `path` of None is for a source that is a single file.
        """
        below: deque[tuple[Entry, Node | None]] = deque()
        same: list[Node] = []
        unchanged = unchanged_bytes = 0
        tasks: list[FileTask] = []
        trusts_inode = source.trusts_inode
        reads_at_once = path is not None and isinstance(source, LocalTree)
        folder.known = len(known)
        asked = complete_unchanged(source, path, entries, known)
        had_streams = streams_before(source, known)
        for entry in entries:
            previous = known.get(entry.name)
            if entry.type is _DIR:
                below.append((entry, previous))
                continue
            if (
                previous is not None
                and trusts_inode
                and is_same(entry, previous)
                and self._parent.has_content(previous)
            ):
                same.append(previous)
                unchanged += 1
                unchanged_bytes += entry.size
                continue
            entry_path = () if path is None else (*path, entry.name)
            if previous is None and reads_at_once and entry.type is _FILE and entry.size <= SMALL:
                tasks.append(FileTask(source, entry_path, entry, node_of(entry), None, folder, incomplete=True))
                continue
            inherits = inherit(source, entry, previous)
            comes_later = inherits or opens(source, entry, previous)
            if not comes_later and not self._complete(source, entry_path, entry, asked):
                if self._tally.is_lost(source):
                    break
                continue
            node = node_of(entry)
            if entry.type is not _FILE:
                if node == previous:
                    same.append(node)
                else:
                    folder.nodes.append(node)
            elif previous is not None and self._parent.vouches_for(node, previous, trusts_inode=trusts_inode):
                node.content = previous.content
                folder.nodes.append(node)
                if inherits:
                    folder.nodes += had_streams.get(entry.name, ())
                else:
                    self._submit_streams(source, entry_path, entry, folder)
                unchanged += 1
                unchanged_bytes += entry.size
            else:
                had = had_streams.get(entry.name, ())
                tasks.append(FileTask(source, entry_path, entry, node, previous, folder, streams_before=had))
        self._folders.keep(folder, same)
        self._folders.expect(folder, len(tasks))
        for task in tasks:
            if self._settling.is_written(task.entry):
                self._settling.hold(task)
            else:
                self._readers.submit(task)
        if unchanged:
            self._tally.unchanged(unchanged, unchanged_bytes)
        self._readers.beside.expect(0, folders=len(below))
        below.reverse()
        self._parent.expect(previous for _, previous in below)
        return below

    def _submit_held_back(self) -> None:
        """Reads what has settled meanwhile; of the rest the snapshot has what the parent has, if anything."""
        self._readers.flush()
        for task, entry in look_again(self._settling.held(), self._list):
            if entry is not None and self._settling.is_written(entry):
                self._tally.error(task.source, task.path, StillWritten(task.path))
                self._folders.keep(task.folder, self._parent.kept(task.previous, task.streams_before))
                self._folders.settle([(task.folder, None)])
            elif entry is not None and self._complete(task.source, task.path, entry):
                self._readers.submit(task._replace(entry=entry, node=node_of(entry), incomplete=False))
            else:
                self._folders.settle([(task.folder, None)])

    def _submit_busy(self) -> None:
        """Tries once more to read what somebody had locked, when everything else is read."""
        self._readers.wait()
        busy, self._busy = sorted(self._busy, key=lambda task: (task.source.id, task.path)), []
        for task, entry in look_again(by_directory(busy), self._list):
            if entry is not None:
                self._readers.submit(task._replace(entry=entry, node=node_of(entry), is_last_try=True))
            else:
                self._folders.settle([(task.folder, None)])

    def report(self, end: str, writer: BlobWriter) -> BackupReport:
        """What was done, with the snapshot (not saved yet) unless there is nothing to be kept."""
        return self._tally.report(end, writer, self._tree if self._found_something else None)

    # --- what the threads report -------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._cancelled():
            raise _Cancelled

    def _on_busy(self, task: FileTask, error: SourceError) -> None:
        """Keeps a locked file for the end of the run; what is locked still is left as the parent snapshot has it."""
        if not task.is_last_try:
            self._folders.expect(task.folder, 1)
            self._busy.append(task)
            return
        self._tally.error(task.source, task.path, error)
        self._folders.keep(task.folder, self._parent.kept(task.previous, task.streams_before))

    def _refused_name(self, source: Source, path: Path, name: bytes, why: Text) -> None:
        self._tally.error(source, (*path, name), SourceError(why))
