"""The second process as the walking thread sees it: what it is given, and what becomes of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

import msgspec

from appliance.backup.files import Answer, FileTask
from appliance.backup.folders import Folder
from appliance.backup.plan import BackupPlan
from appliance.backup.second import Batch, Blob, Collected, FolderToCollect, Greeting, Reader, SmallFile
from appliance.repository.crypto import Sealer
from appliance.repository.second import Gone, SecondProcess, started
from appliance.repository.writer import SealedBlob
from appliance.sources.interface import LocalTree, Path, Source
from appliance.sources.selection import Selection
from appliance.storage.interface import Buffer

REQUESTS = 4
"""Requests at once: one being worked on, some waiting, one on its way back."""

START_AT = 512
"""Files that are expected, or small ones that were met, from which on it is worth its start."""

_FILES_IN_FOLDER = 16
"""As many are expected in a folder that was met."""

_Made = TypeVar("_Made")

_encoder = msgspec.msgpack.Encoder()
_blobs = msgspec.msgpack.Decoder(list[Blob])
_collected = msgspec.msgpack.Decoder(Collected)


class FolderJob(NamedTuple):
    """A directory of a `LocalTree` that is collected as a whole, and is `folder` here.

    `device_id` is that of its source. Files are left whose time is `unsettled`: after the first, not after the second.
    """

    source: Source
    path: Path
    folder: Folder
    tree: Buffer
    """What the parent snapshot has there; nothing where that has none."""
    device_id: int
    unsettled: tuple[int, int]

    def request(self) -> bytes:
        assert isinstance(self.source, LocalTree)
        return _encoder.encode(
            FolderToCollect(self.source.root_descriptor(), self.device_id, self.path, *self.unsettled)
        )


class CollectedFolder(NamedTuple):
    """What became of a directory: what was told of it, the blobs of its files, and that of its tree, if it is new."""

    told: Collected
    blobs: list[SealedBlob]
    tree: SealedBlob | None


class Beside:
    """Work for the second process, for one thread; a source that is no `LocalTree` has none.

    `take_files` and `take_folder` are told what became of it, by whoever calls. What is not done is None.
    """

    def __init__(
        self,
        sealer: Sealer,
        plan: BackupPlan,
        sources: Sequence[Source],
        take_files: Callable[[list[FileTask], list[Answer | None]], None],
        take_folder: Callable[[FolderJob, CollectedFolder | None], None],
    ) -> None:
        self._greeting = Greeting(sealer.export(), plan.excludes, plan.includes)
        self._roots = [source.root_descriptor() for source in sources if isinstance(source, LocalTree)]
        self._take_files = take_files
        self._take_folder = take_folder
        self._process: SecondProcess | None = None
        self._here = Reader(sealer, Selection(plan.excludes, plan.includes))
        self._may_start = bool(self._roots)
        self._jobs: deque[list[FileTask] | FolderJob] = deque()
        self._met = 0
        self.expect(plan.expected_files or 0)

    def expect(self, files: int, folders: int = 0) -> None:
        """So many more are to be seen to."""
        self._met += files + folders * _FILES_IN_FOLDER
        if self._may_start and self._met >= START_AT:
            self._may_start = False
            greeting = _encoder.encode(self._greeting)
            self._process = started(lambda: SecondProcess("appliance.backup.second", greeting, self._roots))

    @property
    def is_running(self) -> bool:
        return self._process is not None and not self._process.is_gone

    @property
    def has_room(self) -> bool:
        """Whether it can be given something."""
        return self._process is not None and self.is_running and self._process.waiting < REQUESTS

    @property
    def is_idle(self) -> bool:
        """Whether all that it was given is done."""
        return not self._jobs

    def read(self, tasks: list[FileTask]) -> bool:
        """Whether these small files will be read there; what has come back by now is taken."""
        self.expect(len(tasks))
        self.collect(wait=False)
        source = tasks[0].source
        if (
            not self.has_room
            or not isinstance(source, LocalTree)
            or any(task.source is not source or not task.path for task in tasks)
        ):
            return False
        self._submit(tasks, _encoder.encode(_batch_of(source.root_descriptor(), tasks)))
        return True

    def collect_folder(self, job: FolderJob) -> None:
        """Has a directory collected there."""
        self._submit(job, job.request(), job.tree)

    def collect_here(self, job: FolderJob) -> None:
        """Collects a directory in this process, just as the other one does."""
        self._take_folder(job, self._made(_folder, *self._here.work(job.request(), job.tree)))

    def collect(self, *, wait: bool) -> None:
        """Takes what is done; with `wait`, at least one thing if there is any to come."""
        while self._process is not None:
            try:
                answer = self._process.collect(wait=wait)
            except Gone:
                answer = b"", b""
            if answer is None:
                return
            wait = False
            job = self._jobs.popleft()
            if isinstance(job, FolderJob):
                self._take_folder(job, self._made(_folder, *answer))
            else:
                answers = self._made(_files, *answer)
                self._take_files(job, answers if answers and len(answers) == len(job) else [None] * len(job))

    def _made(self, decode: Callable[[bytes, memoryview], _Made], head: bytes, data: Buffer) -> _Made | None:
        """What the answer says, None for nothing; one that makes no sense ends the process."""
        try:
            return decode(head, memoryview(data)) if head else None
        except (msgspec.MsgspecError, ValueError):
            if self._process is not None:
                self._process.give_up()
            return None

    def finish(self) -> None:
        """Returns when all that was given is done."""
        while self._jobs:
            self.collect(wait=True)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self._jobs.clear()
        self._here.close()

    def _submit(self, job: list[FileTask] | FolderJob, head: bytes, data: Buffer = b"") -> None:
        assert self._process is not None
        self._jobs.append(job)
        self._process.submit(head, data)


def _batch_of(root: int, tasks: list[FileTask]) -> Batch:
    folders: dict[Path, int] = {}
    files = [
        SmallFile(
            folders.setdefault(task.path[:-1], len(folders)), task.entry.name, task.entry.size, task.entry.mtime_ns
        )
        for task in tasks
    ]
    return Batch(root, list(folders), files)


def _files(head: bytes, data: memoryview) -> list[Answer | None]:
    blobs = _blobs.decode(head)
    return [
        Answer(sealed, blob.xattrs) if blob.id else None
        for blob, sealed in zip(blobs, _sealed(blobs, data), strict=True)
    ]


def _folder(head: bytes, data: memoryview) -> CollectedFolder:
    told = _collected.decode(head)
    blobs = told.blobs if told.tree is None else [*told.blobs, told.tree]
    sealed = [each for each in _sealed(blobs, data) if each is not None]
    return CollectedFolder(told, sealed[: len(told.blobs)], sealed[-1] if told.tree else None)


def _sealed(blobs: list[Blob], data: memoryview) -> list[SealedBlob | None]:
    """The blobs that `data` holds one after another; None for one of no length. Raises `ValueError`."""
    ends = list(accumulate((blob.length for blob in blobs), initial=0))
    if ends[-1] != len(data):
        raise ValueError("the blobs have other lengths than they should")
    return [
        SealedBlob(blob.id, data[start:end], blob.uncompressed_length) if blob.length else None
        for blob, (start, end) in zip(blobs, pairwise(ends), strict=True)
    ]
