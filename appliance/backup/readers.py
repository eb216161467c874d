"""Who reads which files: the walking thread itself, a second process beside it, or threads of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from appliance.backup.beside import Beside
from appliance.backup.files import Answer, Events, FileReader, FileTask, SaveSoon, is_large
from appliance.backup.folders import Folders
from appliance.repository import BlobWriter, Chunker

_BATCH_FILES = 128
_BATCH_BYTES = 4 << 20

TakeFiles: TypeAlias = Callable[[list[FileTask], list[Answer | None]], None]


class FileReaders:
    """All readers of a run. `submit` from one thread, then `finish` or `abort`.

    `beside` makes the second process, which is told what to do with files it has read.
    The first failure that is not about a single file stops everything; `submit` and `finish` raise it.
    """

    def __init__(
        self,
        chunker: Chunker,
        writer: BlobWriter,
        folders: Folders,
        events: Events,
        beside: Callable[[TakeFiles], Beside],
        *,
        readers: int,
        savers: int,
    ) -> None:
        self._batch: list[FileTask] = []
        self._batch_bytes = 0
        self._failure: BaseException | None = None
        self._save_soon = SaveSoon(writer, savers)
        self._own_reader = FileReader(chunker, writer, folders, events, self._save_soon)
        self.beside = beside(self._own_reader.take_over)
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
        self.beside.finish()
        self._queue.join()

    def finish(self) -> None:
        """Waits until every file is read and saved."""
        self._hand_over_batch()
        self.beside.finish()
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
        self.beside.close()
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
        elif is_large(batch[0]) or not self.beside.read(batch):
            self._own_reader.read(batch)

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
