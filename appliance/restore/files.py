"""Writing restored files, piece by piece, on several threads."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import count

from appliance.restore.plan import Names, PlannedFile
from appliance.restore.target import Opened, Target
from appliance.storage.interface import Buffer
from appliance.text import T, Text

_BLOCK = 4096
_ZERO_BLOCK = bytes(_BLOCK)
_KEPT_FILES = 128
_STAGED = b".kurabako-%d-%d.partial"


class FileWriter:
    """Puts blobs in their places. Any number of threads may use one object.

    A file that comes in one piece and whose name is free is written at once. Every other is written under a
    temporary name beside it and takes its name when it is complete, so that what was there is replaced in one
    instant or not at all. `on_failure` gets the reason why a file could not be written, once for each file;
    OSErrors that mean that no file can be written any more (no space) are raised.
    """

    def __init__(self, target: Target, on_failure: Callable[[Names, Text], None]) -> None:
        self._target = target
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._missing: dict[PlannedFile, int] = {}
        self._staged: dict[PlannedFile, Names] = {}
        self._open: OrderedDict[PlannedFile, Opened] = OrderedDict()
        self._failed: set[PlannedFile] = set()
        self._numbers = count()
        self.files_done = 0
        self.bytes_done = 0

    def write(self, file: PlannedFile, offset: int, data: Buffer) -> None:
        """One piece of a file, of those counted in its `blobs`."""
        if file in self._failed:
            return
        try:
            if file.blobs == 1:
                self._write_whole(file, offset, data)
                return
            opened = self._opened(file)
            _write_with_holes(opened.fd, offset, data)
            with self._lock:
                left = self._missing.get(file, file.blobs) - 1
                self._missing[file] = left
                self.bytes_done += len(data)
            if not left:
                self._finish(file, opened)
        except OSError as error:
            self._fail_or_raise(file, error)

    def write_hole(self, file: PlannedFile) -> None:
        """A file that is empty or all zeros, and so has no pieces."""
        try:
            self._write_whole(file, 0, b"")
        except OSError as error:
            self._fail_or_raise(file, error)

    def fail(self, file: PlannedFile, why: Text) -> None:
        """A piece of the file cannot be had; what there is of it is removed."""
        with self._lock:
            if file in self._failed:
                return
            self._failed.add(file)
            self._open.pop(file, None)
            staged = self._staged.pop(file, None)
        if staged is not None:
            self._target.remove(staged)
        self._on_failure(file.path, why)

    def has_failed(self, file: PlannedFile) -> bool:
        return file in self._failed

    def discard_unfinished(self) -> None:
        """Removes what is not complete, after a run that did not come to its end."""
        with self._lock:
            staged, self._staged = list(self._staged.values()), {}
            self._open.clear()
        for path in staged:
            self._target.remove(path)

    def _write_whole(self, file: PlannedFile, offset: int, data: Buffer) -> None:
        written = file.path
        try:
            fd = self._target.create_file(written)
        except FileExistsError:
            written = self._new_name(file)
            fd = self._target.create_file(written)
        try:
            try:
                _write_with_holes(fd, offset, data)
                if offset + len(data) < file.node.size:
                    os.ftruncate(fd, file.node.size)
                self._describe(fd, file)
            finally:
                os.close(fd)
            if written is not file.path:
                self._target.move_into_place(written, file.path)
        except BaseException:
            self._target.remove(written)
            raise
        with self._lock:
            self.files_done += 1
            self.bytes_done += len(data)

    def _opened(self, file: PlannedFile) -> Opened:
        with self._lock:
            found = self._open.get(file)
            if found is not None:
                self._open.move_to_end(file)
                return found
            staged = self._staged.get(file)
            if staged is None:
                staged = self._new_name(file)
                opened = Opened(self._target.create_file(staged))
                self._staged[file] = staged
            else:
                opened = Opened(self._target.reopen_file(staged))
            self._open[file] = opened
            if len(self._open) > _KEPT_FILES:
                self._open.popitem(last=False)
            return opened

    def _finish(self, file: PlannedFile, opened: Opened) -> None:
        os.ftruncate(opened.fd, file.node.size)
        self._describe(opened.fd, file)
        self._target.move_into_place(self._staged[file], file.path)
        with self._lock:
            self._open.pop(file, None)
            del self._staged[file], self._missing[file]
            self.files_done += 1

    def _describe(self, fd: int, file: PlannedFile) -> None:
        if not self._target.describe(fd, file.node):
            self._on_failure(file.path, attributes_missing())

    def _new_name(self, file: PlannedFile) -> Names:
        return (*file.path[:-1], _STAGED % (os.getpid(), next(self._numbers)))

    def _fail_or_raise(self, file: PlannedFile, error: OSError) -> None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise error
        self.fail(file, refusal(error))


def attributes_missing() -> Text:
    return T("It was restored without some of its extended attributes, which cannot be set here.")


def refusal(error: OSError) -> Text:
    """Why something could not be written, as a sentence."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return T("Permission was denied.")
    if error.errno == errno.ENOTEMPTY:
        return T("A folder that is not empty is in its place.")
    if error.errno == errno.ENAMETOOLONG:
        return T("Its name is too long for this disk.")
    return T("It could not be written: {system_message}.", system_message=error.strerror or "?")


def _write_with_holes(fd: int, offset: int, data: Buffer) -> None:
    """Writes `data` into a new file, leaving out blocks that are all zeros."""
    if bytes(data).find(_ZERO_BLOCK) < 0:
        _write_all(fd, offset, memoryview(data))
        return
    view = memoryview(data)
    for start, end in _data_extents(view, offset):
        _write_all(fd, offset + start, view[start:end])


def _data_extents(data: memoryview, offset: int) -> Iterator[tuple[int, int]]:
    """The parts of `data` between blocks (aligned in the file) that are all zeros."""
    start = 0
    at = -offset % _BLOCK
    while at + _BLOCK <= len(data):
        if data[at : at + _BLOCK] == _ZERO_BLOCK:
            if start < at:
                yield start, at
            start = at + _BLOCK
        at += _BLOCK
    if start < len(data):
        yield start, len(data)


def _write_all(fd: int, offset: int, data: memoryview) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        offset += written
        data = data[written:]
