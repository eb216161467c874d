"""Who reads which files: the walking thread itself, a second process beside it, or threads of their own."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable

from appliance.backup.files import Events, FileReader, FileTask, SaveSoon, is_large
from appliance.backup.folders import Folders
from appliance.backup.second import Batch, SecondProcess, SmallFile
from appliance.repository import BlobWriter, Chunker
from appliance.sources.interface import LocalTree, Path, Source

log = logging.getLogger(__name__)

_BATCH_FILES = 128
_BATCH_BYTES = 4 << 20

SECOND_AFTER = 512
"""Small files after which a second process reads too: it takes about as long to start as it takes to read them."""


class FileReaders:
    """All readers of a run. `submit` from one thread, then `finish` or `abort`.

    The first failure that is not about a single file stops everything; `submit` and `finish` raise it.
    """

    def __init__(
        self, chunker: Chunker, writer: BlobWriter, folders: Folders, events: Events, *, readers: int, savers: int
    ) -> None:
        self._batch: list[FileTask] = []
        self._batch_bytes = 0
        self._failure: BaseException | None = None
        self._writer = writer
        self._save_soon = SaveSoon(writer, savers)
        self._own_reader = FileReader(chunker, writer, folders, events, self._save_soon)
        self._second: SecondReader | None = None
        self._small_read = 0
        self._queue: queue.Queue[list[FileTask] | None] = queue.Queue(readers)
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(FileReader(chunker, writer, folders, events, self._save_soon),),
                name=f"read-{number}",
            )
            for number in range(readers if readers > 1 else 0)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: FileTask) -> None:
        """Reads this file now or soon; waits when too much is waiting already."""
        if is_large(task):
            self._hand_over([task])
            return
        self._batch.append(task)
        self._batch_bytes += task.entry.size
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self._hand_over_batch()

    def flush(self) -> None:
        """Lets what waits for its batch to fill be read."""
        self._hand_over_batch()

    def wait(self) -> None:
        """Waits until every file was read, so that all that is locked is known."""
        self._hand_over_batch()
        if self._second is not None:
            self._second.finish()
        self._queue.join()

    def finish(self) -> None:
        """Waits until every file is read and saved."""
        self._hand_over_batch()
        if self._second is not None:
            self._second.finish()
        self._own_reader.finish()
        self._stop()
        if self._failure is not None:
            raise self._failure

    def abort(self, failure: BaseException) -> None:
        """Ends the threads, leaving what they have been given."""
        self._failure = self._failure or failure
        self._stop()

    def _stop(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        if self._second is not None:
            self._second.close()
        self._save_soon.close()

    def _hand_over_batch(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            self._hand_over(batch)

    def _hand_over(self, batch: list[FileTask]) -> None:
        if self._failure is not None:
            raise self._failure
        if self._threads:
            self._queue.put(batch)
        elif is_large(batch[0]) or not self._read_elsewhere(batch):
            self._own_reader.read(batch)

    def _read_elsewhere(self, batch: list[FileTask]) -> bool:
        """Whether a second process reads the batch. There is one once it is worth its start, and a core for it."""
        self._small_read += len(batch)
        if self._second is None and self._small_read > SECOND_AFTER and len(os.sched_getaffinity(0)) > 1:
            self._second = SecondReader(self._writer, self._own_reader)
        return self._second is not None and self._second.read(batch)

    def _work(self, reader: FileReader) -> None:
        while (batch := self._queue.get()) is not None:
            self._guard(reader.read, batch)
            self._queue.task_done()
        self._guard(reader.finish)

    def _guard(self, work: Callable[..., None], *arguments: object) -> None:
        """Works unless all work has stopped: then the queue is emptied, so that a waiting walk comes to its end."""
        if self._failure is None:
            try:
                work(*arguments)
            except BaseException as failure:
                self._failure = failure


class SecondReader:
    """Small files of one source read by a second process, for the thread of `reader`."""

    def __init__(self, writer: BlobWriter, reader: FileReader) -> None:
        self._writer = writer
        self._reader = reader
        self._source: Source | None = None
        self._process: SecondProcess | None = None
        self._batches: deque[list[FileTask]] = deque()

    def read(self, batch: list[FileTask]) -> bool:
        """Whether the batch will be read there; what has come back by now is saved."""
        self._collect(wait=False)
        source = batch[0].source
        if not isinstance(source, LocalTree) or any(task.source is not source or not task.path for task in batch):
            return False
        if source is not self._source:
            self.finish()
            self.close()
            self._source = source
            try:
                self._process = SecondProcess(self._writer.sealer, [source.root_descriptor()])
            except OSError as error:
                log.warning("no second reading process could be started: %s", error)
        if self._process is None or not self._process.has_room:
            return False
        self._process.submit(_batch_of(source.root_descriptor(), batch))
        self._batches.append(batch)
        return True

    def finish(self) -> None:
        """Returns when all that was handed over is saved."""
        while self._batches:
            self._collect(wait=True)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self._batches.clear()

    def _collect(self, *, wait: bool) -> None:
        while self._process is not None and (answers := self._process.collect(wait=wait)) is not None:
            self._reader.take_over(self._batches.popleft(), answers)
            wait = False


def _batch_of(root: int, tasks: list[FileTask]) -> Batch:
    folders: dict[Path, int] = {}
    files = [
        SmallFile(
            folders.setdefault(task.path[:-1], len(folders)), task.entry.name, task.entry.size, task.entry.mtime_ns
        )
        for task in tasks
    ]
    return Batch(root, list(folders), files)
