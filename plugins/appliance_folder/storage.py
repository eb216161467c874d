"""A folder as a storage: a path on the box's own disk or on a mounted one.

The layout is restic's own for local repositories: the key is the path below the root (`data/ab/abcd…`), so stock
restic reads and writes the same folder. A name that is no key (`lost+found`, `.Trash-1000`) is nobody's business
here and left alone.

Everything goes through one descriptor of the root. When the disk below the mount point goes away, no file lands
on the disk that appears from underneath it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.storage.interface import (
    Buffer,
    DamagedAnswer,
    ObjectInfo,
    ObjectNotFound,
    PlaceNotFound,
    StorageError,
    check_key,
)
from appliance.text import T
from appliance_folder.errors import error_from

STALE_AFTER_SECONDS = 24 * 3600
"""A temporary file this old belongs to a run that was killed; no upload of one file takes that long."""

_OWN_TEMPORARY = ".tmp-"
"""Begins with a dot, so it can never be a key."""
_RESTIC_TEMPORARY = re.compile(r"(?:config|[0-9a-f]{64})-tmp-[0-9]+")
"""What stock restic calls a file it has not finished (Go's `os.CreateTemp` with the pattern `NAME-tmp-`)."""

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # so that a pipe keeps nobody waiting
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_BLOCK = 4096
"""What is written past the kernel's cache is a multiple of this many bytes, and lies at one in memory."""

_PIECE = 2 << 20
"""Bytes of a large file after which the disk is told to begin. Packs of 16 MiB, three at a time, each with its fsync,
took half the time so on a disk that was otherwise idle."""
_SYNC_FILE_RANGE_WRITE = 2
_begin_writing = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _begin_writing is not None:
    _begin_writing.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""There is no such file, or something else is in its place (ELOOP: a link, which is not followed)."""


class FolderStorage:
    """Objects as files below `root`, private to the user who runs this.

    `root` must be there, unless `create` allows making it at the first use. `clock` (seconds since 1970) tells
    which temporary files are stale.
    """

    def __init__(self, root: Path, *, create: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._create = create
        self._clock = clock
        self._lock = threading.Lock()
        self._root_fd: int | None = None
        self._durable = {""}
        """Folders below the root whose own directory entry is known to survive a power cut."""
        self._swept: set[str] = set()
        """Folders this storage has cleared of stale temporary files."""

    @property
    def location(self) -> str:
        return str(self._root)

    def put(self, key: str, data: Buffer) -> None:
        check_key(key)
        folder, _, name = key.rpartition("/")
        try:
            self._prepare(folder)
            folder_fd = self._open_folder(folder)
            try:
                self._sweep(folder, folder_fd)
                _replace_file(name, data, folder_fd)
            finally:
                os.close(folder_fd)
        except OSError as error:
            raise self._write_error(error) from error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        check_key(key)
        try:
            fd = os.open(key, _READ, dir_fd=self._fd())
            try:
                info = os.fstat(fd)
                if not stat.S_ISREG(info.st_mode):
                    raise ObjectNotFound(self.location, key)
                end = info.st_size if length is None else offset + length
                if offset > info.st_size or end > info.st_size:
                    raise self._too_short(key, info.st_size, max(offset, end))
                return self._read(fd, key, offset, end)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error, key) from error

    def stat(self, key: str) -> ObjectInfo:
        check_key(key)
        try:
            info = os.stat(key, dir_fd=self._fd(), follow_symlinks=False)
        except OSError as error:
            raise self._error(error, key) from error
        if not stat.S_ISREG(info.st_mode):
            raise ObjectNotFound(self.location, key)
        return ObjectInfo(key, info.st_size)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if prefix:
            check_key(prefix)
        return self._list(prefix)

    def delete(self, key: str) -> None:
        check_key(key)
        folder, _, name = key.rpartition("/")
        try:
            folder_fd = self._open_folder(folder)
            try:
                os.unlink(name, dir_fd=folder_fd)
                _fsync_folder(folder_fd)
            finally:
                os.close(folder_fd)
        except OSError as error:
            if error.errno in _ABSENT:
                self._require_root()
                return
            raise error_from(error, self.location) from error

    def close(self) -> None:
        with self._lock:
            if self._root_fd is not None:
                os.close(self._root_fd)
                self._root_fd = None

    def _fd(self) -> int:
        """The root's descriptor, opened at the first use."""
        with self._lock:
            if self._root_fd is None:
                if self._create:
                    _make_folders(self._root)
                self._root_fd = os.open(self._root, _FOLDER)
            return self._root_fd

    def _open_folder(self, folder: str) -> int:
        return os.open(folder or ".", _FOLDER | os.O_NOFOLLOW, dir_fd=self._fd())

    def _prepare(self, folder: str) -> None:
        """Makes sure that `folder` is there and that its entry, and every one above, survives a power cut.

        One fsync of a parent settles all the subfolders it has, so 256 `data` folders that are there cost one.
        """
        if folder in self._durable:
            return
        parent = folder.rpartition("/")[0]
        self._prepare(parent)
        try:
            os.mkdir(folder, 0o700, dir_fd=self._fd())
        except FileExistsError:
            pass
        parent_fd = self._open_folder(parent)
        try:
            with os.scandir(parent_fd) as entries:
                settled = {
                    f"{parent}/{entry.name}" if parent else entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                }
            _fsync_folder(parent_fd)
        finally:
            os.close(parent_fd)
        with self._lock:
            self._durable |= settled

    def _sweep(self, folder: str, folder_fd: int) -> None:
        """Removes, once per folder, what killed runs left half-written in it."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        try:
            with os.scandir(folder_fd) as entries:
                for entry in entries:
                    if not _is_temporary(entry.name):
                        continue
                    if self._clock() - entry.stat(follow_symlinks=False).st_mtime > STALE_AFTER_SECONDS:
                        _remove(entry.name, folder_fd)
        except FileNotFoundError:
            pass  # finished or removed by its owner meanwhile

    def _list(self, folder: str) -> Iterator[ObjectInfo]:
        try:
            folder_fd = self._open_folder(folder)
        except OSError as error:
            if error.errno in _ABSENT and folder:
                self._require_root()
                return
            raise self._error(error, folder) from error
        try:
            with os.scandir(folder_fd) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if _is_temporary(entry.name) or not _is_key(key):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._list(key)
                    elif entry.is_file(follow_symlinks=False):
                        try:
                            size = entry.stat(follow_symlinks=False).st_size
                        except FileNotFoundError:
                            continue  # deleted since the folder was read
                        yield ObjectInfo(key, size)
        except OSError as error:
            raise self._error(error, folder) from error
        finally:
            os.close(folder_fd)

    def _read(self, fd: int, key: str, offset: int, end: int) -> bytes:
        """Bytes `offset` to `end`; pread may return fewer than asked for (2 GiB limit, a shrinking file)."""
        parts = []
        while offset < end:
            part = os.pread(fd, end - offset, offset)
            if not part:
                raise self._too_short(key, offset, end)
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_short(self, key: str, size: int, end: int) -> DamagedAnswer:
        return DamagedAnswer(
            T(
                "The file {key} in {location} is shorter than it should be: {size} bytes, but bytes up to {end} "
                "are needed.",
                key=key,
                location=self.location,
                size=size,
                end=end,
            )
        )

    def _error(self, error: OSError, key: str) -> StorageError:
        """`error`, met while reading `key`, as the storage error it means here."""
        if error.errno in _ABSENT:
            self._require_root()
            return ObjectNotFound(self.location, key)
        return error_from(error, self.location)

    def _write_error(self, error: OSError) -> StorageError:
        """`error`, met while writing, as the storage error it means here."""
        if error.errno in _ABSENT:
            self._require_root()
            with self._lock:
                self._durable = {""}  # a folder was removed behind our back: when repeated, put makes it again
            return StorageError(
                T("A folder in {location} was removed or replaced while it was in use.", location=self.location),
                transient=True,
            )
        return error_from(error, self.location)

    def _require_root(self) -> None:
        """Raises `PlaceNotFound` unless the root is still there, and still the folder that was opened."""
        try:
            if os.path.samestat(self._root.stat(), os.fstat(self._fd())):
                return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise error_from(error, self.location) from error
        raise PlaceNotFound(
            T("The folder {location} is not there.", location=self.location),
            todo=T("Plug in and mount the disk it is on, or correct the path."),
        )


def _is_temporary(name: str) -> bool:
    return name.startswith(_OWN_TEMPORARY) or _RESTIC_TEMPORARY.fullmatch(name) is not None


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _replace_file(name: str, data: Buffer, folder_fd: int) -> None:
    """Writes a private file under a temporary name, waits for the disk, and gives it its name, also for good."""
    temporary = f"{_OWN_TEMPORARY}{secrets.token_hex(8)}"
    try:
        fd = os.open(temporary, _WRITE, 0o600, dir_fd=folder_fd)
        try:
            _write(fd, memoryview(data).cast("B"))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        _remove(temporary, folder_fd)
        raise
    _fsync_folder(folder_fd)


def _write(fd: int, data: memoryview) -> None:
    """Writes all of it. The disk begins with the first piece at once, not when it is asked to be done with all."""
    at = _write_past_cache(fd, data) if len(data) > _PIECE else 0
    while at < len(data):
        written = os.write(fd, data[at : at + _PIECE])
        if _begin_writing is not None and len(data) > _PIECE:
            _begin_writing(fd, at, written, _SYNC_FILE_RANGE_WRITE)  # only a hint: what fails will fail fsync
        at += written


def _write_past_cache(fd: int, data: memoryview) -> int:
    """Has the disk fetch all whole blocks from where they lie; how many bytes that were, 0 where it cannot be done.

    The kernel would copy them otherwise, into memory that it takes from somebody else.
    """
    whole = len(data) // _BLOCK * _BLOCK
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        try:
            return os.write(fd, data[:whole])
        finally:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system does no such thing, or the data does not lie on a block
            raise
        return 0


def _remove(name: str, folder_fd: int) -> None:
    """Removes a temporary file if it can; one that stays is swept later."""
    try:
        os.unlink(name, dir_fd=folder_fd)
    except OSError:
        pass


def _fsync_folder(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # CIFS and FUSE: folders have nothing to flush
            raise


def _make_folders(path: Path) -> None:
    """Makes `path` and what is missing above it, private and durable."""
    if path.is_dir():
        return
    _make_folders(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path.parent, _FOLDER)
    try:
        _fsync_folder(fd)
    finally:
        os.close(fd)
