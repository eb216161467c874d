"""Reading files and turning them into blobs.

Small files travel in batches: all of a batch are opened, which lets the disk fetch them at once, then read, and
while another thread compresses them the next batch is read. Large files are cut by the reading thread while others
hash, compress and encrypt the chunks. Nothing grows with the number or the size of files.

One reader reads in the thread that walks. That is the fastest for a file system of this machine: its answers
come at once, and two threads that make thousands of small system calls mostly wait for each other (Python
runs one of them at a time). More readers are threads of their own, for sources that take time to answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from appliance.backup.folders import Folder, Folders
from appliance.backup.nodes import note_xattrs
from appliance.backup.remote import describe, streams
from appliance.repository import BlobType, BlobWriter, Chunker, Node
from appliance.repository.writer import SavedBlob, SealedBlob
from appliance.sources.interface import Entry, LocalTree, Path, Source, SourceError, SourceFile, WholeFile, is_remote
from appliance.storage.interface import Buffer
from appliance.text import T, Text

SMALL = 512 << 10
"""Files up to this size are a single chunk."""

_BATCHES_UNFINISHED = 2
_CHUNKS_IN_FLIGHT = 6
"""Chunks of large files, per saving thread, that wait or are worked on; a chunk has at most 8 MiB."""

_ATTEMPTS = 2
"""Times a file is read that changes meanwhile."""


class FileTask(NamedTuple):
    """A file to be read: where, as what, and the folder that waits for it."""

    source: Source
    path: Path
    entry: Entry
    node: Node
    previous: Node | None
    folder: Folder
    incomplete: bool = False
    """Whether its extended attributes are still to be asked for."""
    is_last_try: bool = False
    """Whether it was locked before: if it still is, an earlier state of it is read, or none."""
    streams_before: Sequence[Node] = ()
    """What `previous` had for streams."""


class Answer(NamedTuple):
    """What a second process made of a file: its blob, None for one without any content, and its extended attributes."""

    blob: SealedBlob | None
    xattrs: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Events:
    """What the readers report and ask, from any thread. `check` raises to stop all work.

    `on_files` is told of files that are done, `on_bytes` how far a large one has come, `on_busy` of those that somebody
    has locked: of what becomes of them, and of their folders, the run takes care.
    """

    on_files: Callable[[list[FileTask]], None]
    on_bytes: Callable[[Path, int], None]
    on_error: Callable[[Source, Path, SourceError], None]
    on_note: Callable[[Source, Path, Text], None]
    on_busy: Callable[[FileTask, SourceError], None]
    is_lost: Callable[[Source], bool]
    check: Callable[[], None]


class FileChanged(SourceError):
    """A file was written to while it was read, twice in a row. What was read is kept."""

    code = "source.changed-while-read"

    def __init__(self, path: Path) -> None:
        super().__init__(
            T(
                "{path} was changed while it was read, twice in a row. Its copy may be a mixture of old and new.",
                path=b"/".join(path).decode("utf-8", "backslashreplace"),
            )
        )


class FileReader:
    """Reads batches of files, for one thread. A batch is one large file or some small ones."""

    def __init__(
        self, chunker: Chunker, writer: BlobWriter, folders: Folders, events: Events, save_soon: SaveSoon
    ) -> None:
        self._chunker = chunker
        self._writer = writer
        self._folders = folders
        self._events = events
        self._save_soon = save_soon
        self._unfinished: deque[Callable[[], None]] = deque()
        self._streams: list[FileTask] = []
        """Streams that came to light when their files were opened."""

    def read(self, batch: list[FileTask]) -> None:
        """Reads the batch now; finishes it when the next ones have been read, or by `finish`."""
        self._read(batch)
        while self._streams:
            found, self._streams = self._streams, []
            for task in filter(is_large, found):
                self._read([task])
            if small := [task for task in found if not is_large(task)]:
                self._read(small)

    def _read(self, batch: list[FileTask]) -> None:
        self._events.check()
        self._unfinished.append(self._read_large(batch[0]) if is_large(batch[0]) else self._read_small(batch))
        if len(self._unfinished) > _BATCHES_UNFINISHED:
            self._unfinished.popleft()()

    def finish(self) -> None:
        """Returns when everything read is saved, and its folders know."""
        while self._unfinished:
            self._unfinished.popleft()()

    def _read_large(self, task: FileTask) -> Callable[[], None]:
        """Saves a file's chunks while it is read."""
        futures: list[Future[str]] = []

        def read(file: SourceFile) -> None:
            futures.clear()
            task.node.size = 0
            for chunk in self._chunker.chunks(file):
                self._events.check()
                task.node.size += len(chunk)
                futures.append(self._save_soon(chunk))
                self._events.on_bytes(task.path, len(chunk))

        was_read = self._read_whole(task, self._open(task), read)

        def finish() -> None:
            task.node.content = [future.result() for future in futures]
            self._settle([(task, was_read)])

        return finish

    def _read_small(self, tasks: list[FileTask]) -> Callable[[], None]:
        """Reads files that are small, or were when they were listed."""
        wholes = self._read_at_once(tasks)
        opened = iter(self._open_many([task for task, whole in zip(tasks, wholes, strict=True) if whole is None]))
        chunks: list[Buffer] = []
        read: list[tuple[FileTask, bool]] = []
        counts: list[int] = []
        for task, whole in zip(tasks, wholes, strict=True):
            before = len(chunks)
            if whole is not None:
                _note(task, whole.xattrs)
                if whole.content:
                    chunks.append(whole.content)
                read.append((task, True))
            else:
                read.append((task, self._read_alone(task, next(opened), chunks)))
                task.node.size = sum(map(len, chunks[before:]))
            counts.append(len(chunks) - before)
        finish_saving = self._writer.begin_many(BlobType.DATA, chunks)

        def finish() -> None:
            saved = iter(finish_saving())
            for (task, _), count in zip(read, counts, strict=True):
                task.node.content = [next(saved).id.hex() for _ in range(count)]
            self._settle(read)

        return finish

    def _read_alone(self, task: FileTask, file: SourceFile | None, chunks: list[Buffer]) -> bool:
        """Adds the chunks of an opened file, completed where it was not; whether it could be read."""
        before = len(chunks)

        def read_chunks(file: SourceFile) -> None:
            del chunks[before:]
            chunks.extend(self._chunker.chunks(file, task.entry.size))

        if file is not None and task.incomplete:
            try:
                task.source.complete(task.path, task.entry)
            except SourceError as error:
                file.close()
                self._events.on_error(task.source, task.path, error)
                return False
            _note(task, task.entry.xattrs)
        return self._read_whole(task, file, read_chunks)

    def _read_at_once(self, tasks: list[FileTask]) -> list[WholeFile | None]:
        """Those files that can be had with few calls; the others are opened one by one."""
        files: list[WholeFile | None] = []
        for (source, folder), group in groupby(tasks, _place):
            entries = [task.entry for task in group]
            if folder is not None and isinstance(source, LocalTree) and not self._events.is_lost(source):
                files += source.read_files(folder, entries)
            else:
                files += [None] * len(entries)
        return files

    def take_over(self, tasks: list[FileTask], answers: list[Answer | None]) -> None:
        """Saves what the second process has read, and reads what it has not."""
        self._events.check()
        blobs: list[SealedBlob] = []
        done: list[tuple[FileTask, bool]] = []
        for task, answer in zip(tasks, answers, strict=True):
            if answer is not None:
                _note(task, answer.xattrs)
                if answer.blob is not None:
                    blobs.append(answer.blob)
                    task.node.content = [answer.blob.id.hex()]
                done.append((task, True))
        self._writer.save_sealed(BlobType.DATA, blobs)
        self._settle(done)
        left = [task for task, answer in zip(tasks, answers, strict=True) if answer is None]
        if left:
            self.read(left)

    def _settle(self, read: list[tuple[FileTask, bool]]) -> None:
        self._events.on_files([task for task, was_read in read if was_read])
        self._folders.settle([(task.folder, task.node if was_read else None) for task, was_read in read])

    def _open_many(self, tasks: list[FileTask]) -> list[SourceFile | None]:
        source = tasks[0].source if tasks else None
        if source is None or not is_remote(source) or any(task.source is not source for task in tasks):
            return [self._open(task) for task in tasks]
        if self._events.is_lost(source):
            return [None] * len(tasks)
        opened = source.open_many([(task.path, task.entry) for task in tasks])
        return [self._opened(task, one) for task, one in zip(tasks, opened, strict=True)]

    def _open(self, task: FileTask) -> SourceFile | None:
        if self._events.is_lost(task.source):
            return None
        try:
            return self._opened(task, task.source.open(task.path, task.entry))
        except SourceError as error:
            return self._opened(task, error)

    def _opened(self, task: FileTask, opened: SourceFile | SourceError) -> SourceFile | None:
        """What came of opening a file; of one that is still locked, its earlier state if there is one."""
        if isinstance(opened, SourceError):
            previous = self._previous(task) if opened.busy and task.is_last_try else None
            if previous is None:
                if opened.busy:
                    self._events.on_busy(task, opened)
                else:
                    self._events.on_error(task.source, task.path, opened)
                return None
            opened = previous
        if is_remote(task.source):
            describe(task.node, task.entry)
            if task.entry.missing is not None:
                self._events.on_error(task.source, task.path, SourceError(task.entry.missing))
            if task.entry.noted is not None:
                self._events.on_note(task.source, task.path, task.entry.noted)
        return opened

    def _previous(self, task: FileTask) -> SourceFile | None:
        try:
            return task.source.open_previous(task.path, task.entry) if is_remote(task.source) else None
        except SourceError:
            return None  # that it is locked says more

    def _find_streams(self, task: FileTask) -> None:
        for path, entry, node in streams(task.path, task.entry):
            self._folders.expect(task.folder, 1)
            self._streams.append(FileTask(task.source, path, entry, node, None, task.folder))

    def _read_whole(self, task: FileTask, file: SourceFile | None, read: Callable[[SourceFile], None]) -> bool:
        """Whether `read` could read the file, which is opened once more if it changes meanwhile."""
        following: SourceFile | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                file = following or self._open(task)
            if file is None:
                return False
            try:
                read(file)
                if not file.changed():
                    break
            except SourceError as error:
                following = self._opened(task, error)
                if following is None:
                    return False
            finally:
                file.close()
        else:
            self._events.on_error(task.source, task.path, FileChanged(task.path))
        self._find_streams(task)
        return True


class SaveSoon:
    """Saves chunks of large files on threads of its own, so many at a time."""

    def __init__(self, writer: BlobWriter, threads: int) -> None:
        self._writer = writer
        self._in_flight = threading.Semaphore(_CHUNKS_IN_FLIGHT * threads)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="save")

    def __call__(self, chunk: memoryview) -> Future[str]:
        """The chunk's id, when it is saved."""
        save = self._writer.begin(BlobType.DATA, chunk)
        self._in_flight.acquire()
        return self._executor.submit(self._save, save)

    def close(self) -> None:
        self._executor.shutdown(wait=True)

    def _save(self, save: Callable[[], SavedBlob]) -> str:
        try:
            return save().id.hex()
        finally:
            self._in_flight.release()


def _note(task: FileTask, xattrs: tuple[tuple[bytes, bytes], ...]) -> None:
    if task.incomplete and xattrs:
        note_xattrs(task.node, xattrs)


def _place(task: FileTask) -> tuple[Source, Path | None]:
    """The file's source and directory; None for a source that is a single file."""
    return task.source, task.path[:-1] if task.path else None


def is_large(task: FileTask) -> bool:
    return task.entry.size > SMALL
