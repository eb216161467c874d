"""The record on the box's disk: appended to, never rewritten, and on the disk when `add` returns."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.errors import KurabakoError
from appliance.evidence.chain import (
    BREAK,
    LONGEST,
    START,
    ChainBroken,
    Head,
    Record,
    follow,
    lines_of,
    mark_of,
    read_alone,
    verify,
)
from appliance.text import T


class EvidenceError(KurabakoError):
    """The record cannot be read or written."""

    code = "evidence.failed"


class EvidenceLog:
    """The record in the file `path`, one line per entry; see `appliance.evidence.chain`.

    Any number of processes may add to it: each holds the file's lock while it does. What a crash left half written at
    its end was never an entry, and is taken away by the next `add`.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock

    def add(self, kind: str, payload: Mapping[str, Any], known: Head = START) -> Record:
        """Adds an entry and makes sure that it is on the disk. Raises `EvidenceError`.

        A last entry that was tampered with, or that stands before the entry `known` from earlier, is marked as a
        break, which `verify` reports; the chain goes on behind it.
        """
        try:
            made = not self._path.exists()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._opened(os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
                end, last = _end(file)
                os.ftruncate(file, end)
                head, mark = self._head(last, known)
                record = follow(head, self._clock(), kind, payload)
                _write(file, end, mark + record.line())
                if made:
                    _sync_folder(self._path.parent)
            return record
        except OSError as error:
            raise self._failed(error) from error

    def _head(self, last: bytes, known: Head) -> tuple[Head, bytes]:
        """What the next entry follows, and the line to write before it: none, or one that marks a break."""
        try:
            head = read_alone(last).head if last else START
        except ChainBroken as error:
            mark = mark_of(last, self._count(), error.why, self._clock())
            return mark.head, mark.line()
        if head.sequence > known.sequence or head == known:
            return head, b""
        mark = follow(head, self._clock(), BREAK, {"entry": head.sequence + 1, "known": known.sequence})
        return mark.head, mark.line()

    def _count(self) -> int:
        with self._path.open("rb") as file:
            return sum(1 for _ in lines_of(file))

    def records(self, *kinds: str) -> Iterator[Record]:
        """The entries of these kinds that are as they were written, in order; the chain is not followed."""
        with self._reading() as lines:
            for line in lines:
                with suppress(ChainBroken):
                    record = read_alone(line)
                    if record.kind in kinds:
                        yield record

    def verify(self, expected: Head | None = None) -> Head:
        """Verifies every entry, and that the one `expected` is among them. `ChainBroken`, `EvidenceError`."""
        with self._reading() as lines:
            return verify(lines, expected)

    def export(self, target: Path, expected: Head | None = None) -> Head:
        """Copies the record into a new file and verifies it, as `verify` does. `ChainBroken` comes after the copy."""
        try:
            with self._reading() as lines, target.open("xb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise EvidenceError(
                T("The file {file} is already there.", file=str(target)),
                safe=T("Nothing was changed."),
                todo=T("Name a file that does not exist yet."),
            ) from None
        except OSError as error:
            raise EvidenceError(
                T("The file {file} cannot be written: {why}.", file=str(target), why=error.strerror or str(error)),
                safe=T("Nothing was changed on the box."),
                todo=T("Name a file in a folder that can be written."),
            ) from error
        with target.open("rb") as file:
            return verify(lines_of(file), expected)

    @contextmanager
    def _reading(self) -> Iterator[Iterator[bytes]]:
        """The lines of complete entries as they are now; none where there is no record yet."""
        try:
            with self._opened(os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                end, _ = _end(descriptor)
        except FileNotFoundError:
            yield iter(())
            return
        except OSError as error:
            raise self._failed(error) from error
        with self._path.open("rb") as file:
            yield _until(file.readline, end)

    @contextmanager
    def _opened(self, flags: int, lock: int) -> Iterator[int]:
        descriptor = os.open(self._path, flags | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, lock)
            yield descriptor
        finally:
            os.close(descriptor)

    def _failed(self, error: OSError) -> EvidenceError:
        return EvidenceError(
            T("The record {file} cannot be used: {why}.", file=str(self._path), why=error.strerror or str(error)),
            safe=T("The backups are not affected."),
            todo=T("Check that the disk with this folder is writable and not full."),
        )


def _end(file: int) -> tuple[int, bytes]:
    """Where the last complete line ends, and that line; no line where there is none."""
    size = os.fstat(file).st_size
    begin = max(0, size - 2 * LONGEST)
    tail = os.pread(file, size - begin, begin)
    complete = tail[: tail.rfind(b"\n") + 1]
    return (begin + len(complete) if complete else 0), complete[complete.rfind(b"\n", 0, -1) + 1 :]


def _write(file: int, at: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], at + written)
    os.fsync(file)


def _until(readline: Callable[[int], bytes], end: int) -> Iterator[bytes]:
    at = 0
    while at < end and (line := readline(LONGEST + 1)):
        at += len(line)
        yield line


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
