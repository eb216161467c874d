"""A second process that reads small files: Python works in one thread at a time, and small files are all Python.

It is told over a pipe which files to read, and hands back their blobs, compressed and sealed. It does the plain case
alone: a small file that is what its directory's listing said. Whatever is not plain it hands back undone, and the
first process reads it with all its care. So it knows no repository, reports no error and leaves nothing behind: that
it is killed at any moment costs the time to read a few batches again.
"""

from __future__ import annotations

import logging
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from appliance.repository.compression import compress_many
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.repository.ids import BlobType, content_id
from appliance.repository.memory import prepare_process
from appliance.repository.messages import receive, send
from appliance.repository.writer import SealedBlob, packed_form
from appliance.sources.directories import Directories
from appliance.sources.interface import Entry, EntryType, Path, WholeFile
from appliance.sources.whole import read_whole

BATCHES = 3
"""Batches at once in the second process: one being worked on, one waiting, one on its way back."""

STALL_SECONDS = 120.0
"""Without an answer for so long it is given up, and the first process reads what it was to read."""

_KEPT_DIRECTORIES = 16

log = logging.getLogger(__name__)


class Greeting(msgspec.Struct, array_like=True):
    """The repository's key."""

    key: bytes


class SmallFile(msgspec.Struct, array_like=True, gc=False):
    """A file by what its directory's listing said; `folder` is the number of that directory in the batch."""

    folder: int
    name: bytes
    size: int
    mtime_ns: int


class Batch(msgspec.Struct, array_like=True):
    """Files to be read, in order; `root` is the descriptor of their source's root, `folders` are paths below it."""

    root: int
    folders: list[Path]
    files: list[SmallFile]


class Blob(msgspec.Struct, array_like=True, gc=False):
    """What became of a file: its blob, whose sealed bytes follow in order. An empty id: it is not done.

    A file without any content has a `length` of 0.
    """

    id: bytes
    length: int = 0
    uncompressed_length: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class Answer(NamedTuple):
    """A file's blob, None for a file without any content, and its extended attributes."""

    blob: SealedBlob | None
    xattrs: tuple[tuple[bytes, bytes], ...]


_encoder = msgspec.msgpack.Encoder()
_greetings = msgspec.msgpack.Decoder(Greeting)
_batches = msgspec.msgpack.Decoder(Batch)
_blobs = msgspec.msgpack.Decoder(list[Blob])


class SecondProcess:
    """The other process, as the first one sees it. `submit` and `collect` are called from one thread.

    `roots` are the descriptors of the sources' root directories.
    """

    def __init__(self, sealer: Sealer, roots: Sequence[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "appliance.backup.second"],  # -P: no module of the folder one happens to be in
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=roots,
        )
        self._waiting: deque[int] = deque()
        self._answers: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        self._gone = False
        # What comes back is taken at once, so that neither process waits for a full pipe while the other does.
        self._listener = threading.Thread(target=self._listen, name="second", daemon=True)
        self._listener.start()
        self._send(_encoder.encode(Greeting(sealer.export())))

    @property
    def has_room(self) -> bool:
        return not self._gone and len(self._waiting) < BATCHES

    @property
    def waiting(self) -> int:
        """Batches that are not collected."""
        return len(self._waiting)

    def submit(self, batch: Batch) -> None:
        """Has these files read."""
        self._waiting.append(len(batch.files))
        self._send(_encoder.encode(batch))

    def collect(self, *, wait: bool) -> list[Answer | None] | None:
        """For each file of the oldest batch what became of it, or None if it was not read; None if that is not known.

        `wait` waits until it is known. When the other process has gone, nothing was read.
        """
        if not self._waiting:
            return None
        try:
            answer = None if self._gone else self._answers.get(wait, STALL_SECONDS)
        except queue.Empty:
            if not wait:
                return None
            log.warning("the second reading process does not answer; it is ended")
            answer = None
        count = self._waiting.popleft()
        results = None if answer is None else _results(*answer)
        if results is None or len(results) != count:
            self._give_up()
            return [None] * count
        return results

    def close(self) -> None:
        """Ends the other process."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        if self._waiting:
            self._process.kill()
        self._listener.join(STALL_SECONDS)
        if self._process.stdout is not None and not self._listener.is_alive():
            self._process.stdout.close()
        try:
            self._process.wait(STALL_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the second reading process does not end; it is left to the system")

    def _give_up(self) -> None:
        if not self._gone:
            self._gone = True
            self._process.kill()

    def _send(self, message: bytes) -> None:
        if self._process.stdin is None or self._gone:
            return
        try:
            send(self._process.stdin, message)
        except OSError:
            self._give_up()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                self._answers.put((receive(self._process.stdout), receive(self._process.stdout)))
        except (OSError, EOFError):
            self._answers.put(None)


def _results(head: bytes, data: bytes) -> list[Answer | None] | None:
    """What an answer says; None when it makes no sense."""
    try:
        blobs = _blobs.decode(head)
    except msgspec.MsgspecError:
        return None
    view = memoryview(data)
    results: list[Answer | None] = []
    at = 0
    for blob in blobs:
        end = at + blob.length
        sealed = SealedBlob(blob.id, view[at:end], blob.uncompressed_length) if blob.length else None
        results.append(Answer(sealed, blob.xattrs) if blob.id else None)
        at = end
    return results if at == len(view) else None


def main() -> None:
    """The other process: until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first process, which ends this one
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    roots: dict[int, Directories] = {}
    try:
        sealer = Sealer(MasterKey.from_json(_greetings.decode(receive(commands)).key))
        prepare_process()
        while True:
            batch = _batches.decode(receive(commands))
            if batch.root not in roots:
                roots[batch.root] = Directories(batch.root, _KEPT_DIRECTORIES)
            send(answers, *read_batch(sealer, roots[batch.root], batch))
    except (EOFError, BrokenPipeError):
        pass


def read_batch(sealer: Sealer, root: Directories, batch: Batch) -> tuple[bytes, bytearray]:
    """The answer to a batch: what became of each file, and the sealed blobs one after another."""
    files: list[WholeFile | None] = []
    for number, folder in enumerate(batch.folders):
        entries = [
            Entry(file.name, EntryType.FILE, size=file.size, mtime_ns=file.mtime_ns)
            for file in batch.files
            if file.folder == number
        ]
        try:
            files += read_whole(root.at(folder).fd, entries)
        except OSError:
            files += [None] * len(entries)
    contents = [file.content for file in files if file is not None and file.content]
    forms = [
        packed_form(BlobType.DATA, content, frame)
        for content, frame in zip(contents, compress_many(contents), strict=True)
    ]
    ends = list(accumulate(len(payload) + OVERHEAD for payload, _ in forms))
    sealed = bytearray(ends[-1] if ends else 0)
    view = memoryview(sealed)
    places = [view[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    sealer.seal_many([payload for payload, _ in forms], places)
    stored = iter(zip(contents, places, forms, strict=True))
    blobs: list[Blob] = []
    for file in files:
        if file is None:
            blobs.append(Blob(b""))
        elif not file.content:
            blobs.append(Blob(b"-", xattrs=file.xattrs))
        else:
            content, place, (_, uncompressed_length) = next(stored)
            blobs.append(Blob(content_id(content), len(place), uncompressed_length, file.xattrs))
    return _encoder.encode(blobs), sealed


if __name__ == "__main__":
    main()
