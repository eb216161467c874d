"""Reading files: threads that turn files into blobs while the walk goes on.

Small files travel in batches, so that handing them over costs little per file; a large file is read and cut by
one thread while others hash, compress and encrypt its chunks. Every queue is bounded: a walk that is faster
than the disk waits, and memory does not grow with the number or the size of files.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from appliance.backup.folders import Folder, Folders
from appliance.repository import BlobType, BlobWriter, Chunker, Node
from appliance.sources.interface import Entry, Path, Source, SourceError
from appliance.text import T

SMALL = 512 << 10
"""Files up to this size are a single chunk."""

_BATCH_FILES = 200
_BATCH_BYTES = 4 << 20
_CHUNKS_IN_FLIGHT = 6
"""Chunks of large files, per saving thread, that wait or are worked on; a chunk has at most 8 MiB."""


class FileTask(NamedTuple):
    """A file to be read: where, as what, and the folder that waits for it."""

    source: Source
    path: Path
    entry: Entry
    node: Node
    previous: Node | None
    folder: Folder


@dataclass(frozen=True)
class Events:
    """What the readers report and ask, from any thread. `check` raises to stop all work.

    `on_files` is told of files that are done, `on_bytes` how far a large one has come.
    """

    on_files: Callable[[list[FileTask]], None]
    on_bytes: Callable[[Path, int], None]
    on_error: Callable[[Source, Path, SourceError], None]
    is_lost: Callable[[Source], bool]
    check: Callable[[], None]


class FileReaders:
    """A crew of threads that reads files. `submit` from one thread, then `finish`.

    The first failure that is not about a single file stops everything; `submit` and `finish` raise it.
    """

    def __init__(
        self,
        chunker: Chunker,
        writer: BlobWriter,
        folders: Folders,
        events: Events,
        *,
        readers: int,
        savers: int,
    ) -> None:
        self._chunker = chunker
        self._writer = writer
        self._folders = folders
        self._events = events
        self._batch: list[FileTask] = []
        self._batch_bytes = 0
        self._queue: queue.Queue[list[FileTask] | None] = queue.Queue(2 * readers)
        self._failure: BaseException | None = None
        self._in_flight = threading.Semaphore(_CHUNKS_IN_FLIGHT * savers)
        self._savers = ThreadPoolExecutor(savers, thread_name_prefix="save")
        self._threads = [threading.Thread(target=self._work, name=f"read-{n}") for n in range(readers)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: FileTask) -> None:
        """Reads this file soon; may wait until the readers have caught up."""
        if task.entry.size > SMALL:
            self._hand_over([task])
            return
        self._batch.append(task)
        self._batch_bytes += task.entry.size
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self._hand_over_batch()

    def finish(self) -> None:
        """Waits until every file is read and saved."""
        self._hand_over_batch()
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends the threads, after what they have been given."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._savers.shutdown(wait=True)

    def abort(self, failure: BaseException) -> None:
        """Ends the threads, leaving what they have been given."""
        self._failure = self._failure or failure
        self.stop()

    def _hand_over_batch(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            self._hand_over(batch)

    def _hand_over(self, batch: list[FileTask]) -> None:
        if self._failure is not None:
            raise self._failure
        self._queue.put(batch)

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._failure is not None:
                continue  # emptying the queue lets a waiting walk go on to its end
            try:
                self._events.check()
                nodes = [self._read(task) for task in batch]
                self._events.on_files([task for task, node in zip(batch, nodes, strict=True) if node is not None])
                self._folders.settle([(task.folder, node) for task, node in zip(batch, nodes, strict=True)])
            except BaseException as failure:
                self._failure = failure

    def _read(self, task: FileTask) -> Node | None:
        """The finished node, or None when the file could not be read."""
        if self._events.is_lost(task.source):
            return None
        try:
            torn = self._read_once(task) and self._read_once(task)
        except SourceError as error:
            self._events.on_error(task.source, task.path, error)
            return None
        if torn:
            self._events.on_error(task.source, task.path, FileChanged(task.path))
        return task.node

    def _read_once(self, task: FileTask) -> bool:
        """Reads and saves the file; True when it changed meanwhile."""
        file = task.source.open(task.path, task.entry)
        content: list[str] = []
        size = 0
        try:
            if task.entry.size > SMALL:
                futures: list[Future[str]] = []
                for chunk in self._chunker.chunks(file):
                    self._events.check()
                    size += len(chunk)
                    futures.append(self._save_soon(chunk))
                    self._events.on_bytes(task.path, len(chunk))
                content = [future.result() for future in futures]
            else:
                for chunk in self._chunker.chunks(file, task.entry.size):
                    size += len(chunk)
                    content.append(self._writer.save(BlobType.DATA, chunk).id.hex())
            torn = file.changed()
        finally:
            file.close()
        task.node.content = content
        task.node.size = size
        return torn

    def _save_soon(self, chunk: memoryview) -> Future[str]:
        self._in_flight.acquire()
        try:
            return self._savers.submit(self._save, chunk)
        except BaseException:
            self._in_flight.release()
            raise

    def _save(self, chunk: memoryview) -> str:
        try:
            return self._writer.save(BlobType.DATA, chunk).id.hex()
        finally:
            self._in_flight.release()


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
