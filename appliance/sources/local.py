"""A tree on a file system of this machine as a source.

Nothing is reached by a path that somebody could bend while the run goes on: everything is named relative to its open
directory (`appliance.sources.directories`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path as FilePath

from appliance.sources.directories import Directories, OpenDirectory
from appliance.sources.file_systems import is_pseudo, mount_id
from appliance.sources.interface import (
    Entry,
    EntryType,
    OtherFileSystem,
    Path,
    SourceError,
    SourceNotFound,
    WholeFile,
)
from appliance.sources.listing import TYPES, Lister
from appliance.sources.whole import read_whole
from appliance.text import T, Text

_KEPT_DIRECTORIES = 64
"""Directories that stay open for the entries in them; the walk is depth-first, so few are in use at once."""

_GONE = {errno.ENOENT, errno.ENOTDIR}
_SUSPICIOUS = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ENOENT}
"""What the kernel answers when a disk is pulled or a mounted server goes away (and sometimes for one bad file)."""

_OPEN_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Not to wait: for a pipe that took the file's place."""


class LocalFile:
    """An open regular file. `told` makes of what the system says an error about its path."""

    __slots__ = ("_fd", "_mtime_ns", "_size", "_told")

    def __init__(self, fd: int, found: os.stat_result, told: Callable[[OSError], SourceError]) -> None:
        self._fd = fd
        self._told = told
        self._size = found.st_size
        self._mtime_ns = found.st_mtime_ns

    def readinto(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._fd, [buffer])
        except OSError as error:
            raise self._told(error) from error

    def changed(self) -> bool:
        now = os.fstat(self._fd)
        return now.st_size != self._size or now.st_mtime_ns != self._mtime_ns

    def close(self) -> None:
        os.close(self._fd)


class LocalSource:
    """The tree at `path`: a directory with everything below it on the same file system, or a single file.

    A Btrfs subvolume is of the same file system as the one around it. What is mounted inside the tree is not part of it
    unless `cross_file_systems` says so; file systems that the kernel makes up (/proc) never are.

    A symbolic link given as `path` itself is followed. `id` defaults to the path. `snapshot_path` is where
    snapshots show the tree (the absolute path by default). `trusts_inode` is to be False on file systems that
    make up inode numbers (FAT, FUSE).

    Device ids are made from `id`, not from the kernel's device numbers, which change from plug to plug: they
    are the same in every run, and differ between sources that have equal inode numbers (repository-format 1.8,
    hard links).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        id: str | None = None,
        snapshot_path: str | None = None,
        trusts_inode: bool = True,
        cross_file_systems: bool = False,
    ) -> None:
        self._crosses = cross_file_systems
        self._path = FilePath(path).absolute()
        self._id = id or str(self._path)
        self._snapshot_path = snapshot_path or os.path.normpath(self._path)
        self._trusts_inode = trusts_inode
        try:
            self._found = self._path.stat()
            self._file_name: bytes | None = None
            top = self._path
            if not stat.S_ISDIR(self._found.st_mode):
                file = self._path.resolve()
                self._file_name, top = os.fsencode(file.name), file.parent
            self._directories = Directories(
                os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), _KEPT_DIRECTORIES, self._enter
            )
        except OSError as error:
            raise SourceNotFound(
                T("{path} cannot be opened: {why}.", path=str(self._path), why=reason(error)),
                todo=T("Check that the folder exists and that its disk is connected."),
            ) from error
        self._mount = mount_id(self._directories.top.fd)
        self._lister = Lister({self._found.st_dev: _device_id(self._id)})

    @property
    def id(self) -> str:
        return self._id

    @property
    def snapshot_path(self) -> str:
        return self._snapshot_path

    @property
    def trusts_inode(self) -> bool:
        return self._trusts_inode

    def root(self) -> Entry:
        try:
            found = os.fstat(self._directories.top.fd) if self._file_name is None else self._path.stat()
        except OSError as error:
            raise self._error((), error) from error
        entry = self._lister.entry(self._file_name or b"", found)
        self.complete((), entry)
        return entry

    def scandir(self, path: Path) -> Sequence[Entry]:
        try:
            return self._lister.entries(self._directories.at(path).fd)
        except OSError as error:
            raise self._error(path, error) from error

    def complete(self, path: Path, entry: Entry) -> None:
        try:
            if path:
                directory = self._directories.at(path[:-1])
                if entry.type is EntryType.SYMLINK:
                    entry.link_target = os.readlink(path[-1], dir_fd=directory.fd)
                full = directory.prefix + path[-1]
            else:
                full = self._directories.top.prefix + (self._file_name or b".")
            # "/proc/self/fd/N/name": there is no listxattrat yet, and this one is as safe
            names = os.listxattr(full, follow_symlinks=False)
            if names:
                entry.xattrs = self._xattrs(full, names)
        except OSError as error:
            if error.errno in _GONE or error.errno in _SUSPICIOUS:
                raise self._error(path, error) from error

    def open(self, path: Path, entry: Entry) -> LocalFile:
        try:
            directory, name = self._locate(path)
            try:
                fd = os.open(name, _OPEN_FILE | os.O_NOATIME, dir_fd=directory.fd)
            except PermissionError:  # O_NOATIME is for the owner and root only
                fd = os.open(name, _OPEN_FILE, dir_fd=directory.fd)
            try:
                found = os.fstat(fd)
                if TYPES[stat.S_IFMT(found.st_mode)] is not entry.type:
                    raise SourceError(T("{path} is no longer a regular file.", path=display(path)), gone=True)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise self._error(path, error) from error
        return LocalFile(fd, found, partial(self._error, path))

    def root_descriptor(self) -> int:
        return self._directories.top.fd

    def read_files(self, folder: Path, entries: Sequence[Entry]) -> list[WholeFile | None]:
        try:
            directory = self._directories.at(folder)
        except (OSError, SourceError):
            return [None] * len(entries)
        return read_whole(directory.fd, entries)

    def close(self) -> None:
        """Closes every directory, so that the disk can be unmounted; nothing can be read afterwards."""
        self._directories.close()

    def _locate(self, path: Path) -> tuple[OpenDirectory, bytes]:
        if path:
            return self._directories.at(path[:-1]), path[-1]
        return self._directories.top, self._file_name or b"."

    def _enter(self, path: Path, fd: int) -> None:
        """Refuses to enter what is mounted inside the tree, unless that was asked for."""
        device = os.fstat(fd).st_dev
        if device in self._lister.device_ids:
            return
        mount = mount_id(fd)
        if mount != self._mount and (not self._crosses or is_pseudo(mount)):
            raise OtherFileSystem(
                T("{path} is on another file system and was not backed up with this source.", path=display(path)),
                todo=T("Add it as a source of its own if it is to be backed up."),
            )
        self._lister.device_ids[device] = _device_id(self._id + "\0" + display(path))

    @staticmethod
    def _xattrs(full: bytes, names: list[str]) -> tuple[tuple[bytes, bytes], ...]:
        found: list[tuple[bytes, bytes]] = []
        for name in sorted(names):
            try:
                found.append((os.fsencode(name), os.getxattr(full, name, follow_symlinks=False)))
            except OSError as error:
                if error.errno in _SUSPICIOUS:
                    raise
                # removed meanwhile, or only for eyes that this process has not
        return tuple(found)

    def _error(self, path: Path, error: OSError) -> SourceError:
        if error.errno in _SUSPICIOUS and self._is_lost():
            return SourceError(
                T("{source} is no longer there: it was unplugged, unmounted or removed.", source=str(self._path)),
                safe=T("Everything that was backed up before is safe."),
                todo=T("Connect it again and start the backup once more."),
                lost=True,
            )
        if error.errno in _GONE:
            return SourceError(T("{path} vanished while the backup was running.", path=display(path)), gone=True)
        return SourceError(T("{path} cannot be read: {why}.", path=display(path), why=reason(error)))

    def _is_lost(self) -> bool:
        """Whether the whole tree went away, or only one file in it is bad."""
        try:
            now = self._path.stat()
            if (now.st_dev, now.st_ino) != (self._found.st_dev, self._found.st_ino):
                # a single file that was replaced is merely another file
                return self._file_name is None
            if self._file_name is None:
                with os.scandir(self._path) as listing:
                    next(listing, None)
        except OSError:
            return True
        return False


def display(path: Path) -> str:
    """The path as a person sees it; bytes that are no UTF-8 are shown as `\\xNN`."""
    return b"/".join(path).decode("utf-8", "backslashreplace") or "/"


def reason(error: OSError) -> Text:
    """Why the system refused, in words people know."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return T("it does not exist")
        case errno.EACCES | errno.EPERM:
            return T("permission denied")
        case errno.EIO:
            return T("the disk reports a read error")
        case errno.ELOOP:
            return T("it has become a symbolic link")
        case errno.EMFILE | errno.ENFILE:
            return T("too many files are open")
        case _:
            return T("{system_message} (error {number})", system_message=error.strerror or "", number=error.errno or 0)


def _device_id(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()[:8], "big") >> 1 or 1
