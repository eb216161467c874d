"""Writing restored files, piece by piece, on several threads."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from appliance.restore.entries import entry_of
from appliance.restore.plan import PlannedFile
from appliance.sources.interface import Path
from appliance.storage.interface import Buffer
from appliance.targets.interface import LOST, RestoreTarget, UnfinishedFile
from appliance.text import T, Text

_STOPPING = LOST | {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class FileWriter:
    """Puts blobs in their places. Any number of threads may use one object.

    `on_failure` gets the reason why a file could not be written, once for each file; OSErrors that mean that no file
    can be written any more (no space, target away) are raised.
    """

    def __init__(self, target: RestoreTarget, on_failure: Callable[[Path, Text], None]) -> None:
        self._target = target
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._missing: dict[PlannedFile, int] = {}
        self._unfinished: dict[PlannedFile, UnfinishedFile] = {}
        self._failed: set[PlannedFile] = set()
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
            unfinished = self._begun(file)
            unfinished.write(offset, data)
            with self._lock:
                left = self._missing.get(file, file.blobs) - 1
                self._missing[file] = left
                self.bytes_done += len(data)
            if not left:
                self._finish(file, unfinished)
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
            unfinished = self._unfinished.pop(file, None)
        if unfinished is not None:
            unfinished.discard()
        self._on_failure(file.path, why)

    def has_failed(self, file: PlannedFile) -> bool:
        return file in self._failed

    def discard_unfinished(self) -> None:
        """Removes what is not complete, after a run that did not come to its end."""
        with self._lock:
            left, self._unfinished = list(self._unfinished.values()), {}
        for unfinished in left:
            unfinished.discard()

    def _write_whole(self, file: PlannedFile, offset: int, data: Buffer) -> None:
        complete = self._target.write_file(file.path, entry_of(file.node, file.path[-1]), offset, data)
        self.note_written(file, len(data), complete=complete)

    def note_written(self, file: PlannedFile, size: int, *, complete: bool) -> None:
        """The file is there, all of it written in one piece of `size` bytes."""
        with self._lock:
            self.files_done += 1
            self.bytes_done += size
        if not complete:
            self._on_failure(file.path, attributes_missing())

    def _begun(self, file: PlannedFile) -> UnfinishedFile:
        with self._lock:
            unfinished = self._unfinished.get(file)
            if unfinished is None:
                unfinished = self._unfinished[file] = self._target.begin_file(file.path)
            return unfinished

    def _finish(self, file: PlannedFile, unfinished: UnfinishedFile) -> None:
        complete = unfinished.finish(entry_of(file.node, file.path[-1]))
        with self._lock:
            del self._unfinished[file], self._missing[file]
            self.files_done += 1
        if not complete:
            self._on_failure(file.path, attributes_missing())

    def _fail_or_raise(self, file: PlannedFile, error: OSError) -> None:
        if error.errno in _STOPPING:
            raise error
        self.fail(file, refusal(error))


def attributes_missing() -> Text:
    return T("It was restored without some of its attributes or permissions, which cannot be set here.")


def refusal(error: OSError) -> Text:
    """Why something could not be written, as a sentence."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return T("Permission was denied.")
    if error.errno == errno.ENOTEMPTY:
        return T("A folder that is not empty is in its place.")
    if error.errno == errno.ENAMETOOLONG:
        return T("Its name is too long for this disk.")
    return T("It could not be written: {system_message}.", system_message=error.strerror or "?")
