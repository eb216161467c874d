"""A tree on a file system of this machine as a source.

Nothing is reached by a path that somebody could bend while the run goes on: every directory is opened below
its parent with O_NOFOLLOW and kept for a while, and everything in it is named relative to that directory. So
a directory that is swapped for a symbolic link is refused, and paths longer than PATH_MAX are no problem.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import pwd
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path as FilePath

from appliance.sources.interface import Entry, EntryType, OtherFileSystem, Path, SourceError, SourceNotFound
from appliance.text import T, Text

_KEPT_DIRECTORIES = 64
"""Directories that stay open for the entries in them; the walk is depth-first, so few are in use at once."""

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIR,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFCHR: EntryType.CHAR_DEVICE,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
}

_GONE = {errno.ENOENT, errno.ENOTDIR}
_SUSPICIOUS = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ENOENT}
"""What the kernel answers when a disk is pulled or a mounted server goes away (and sometimes for one bad file)."""

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_DIRECTORY = _OPEN | os.O_DIRECTORY
_OPEN_FILE = _OPEN | os.O_NONBLOCK  # a pipe that took the file's place must not make the run wait


_CLOSED = 2**31 - 1
"""A number no descriptor ever has: using it fails with EBADF. Not -1: `os.scandir(-1)` lists the working folder."""


class _Directory:
    """An open directory; closed by `close`, or when nobody uses it any more."""

    __slots__ = ("fd", "prefix")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.prefix = b"/proc/self/fd/%d/" % fd

    def close(self) -> None:
        fd, self.fd = self.fd, _CLOSED
        self.prefix = b"/proc/self/fd/%d/" % _CLOSED
        if fd != _CLOSED:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


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
    ) -> None:
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
            self._root = _Directory(os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise SourceNotFound(
                T("{path} cannot be opened: {why}.", path=str(self._path), why=reason(error)),
                todo=T("Check that the folder exists and that its disk is connected."),
            ) from error
        self._device = self._found.st_dev
        self._open: OrderedDict[Path, _Directory] = OrderedDict()
        self._lock = threading.Lock()
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._device_ids = {self._device: _device_id(self._id)}

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
            found = os.fstat(self._root.fd) if self._file_name is None else self._path.stat()
        except OSError as error:
            raise self._error((), error) from error
        entry = self._entry(self._file_name or b"", found)
        self.complete((), entry)
        return entry

    def scandir(self, path: Path) -> Sequence[Entry]:
        entries: list[Entry] = []
        try:
            directory = self._directory(path)
            with os.scandir(directory.fd) as listing:
                for item in listing:
                    try:
                        found = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    entries.append(self._entry(os.fsencode(item.name), found))
        except OSError as error:
            raise self._error(path, error) from error
        return entries

    def complete(self, path: Path, entry: Entry) -> None:
        try:
            if path:
                directory = self._directory(path[:-1])
                if entry.type is EntryType.SYMLINK:
                    entry.link_target = os.readlink(path[-1], dir_fd=directory.fd)
                full = directory.prefix + path[-1]
            else:
                full = self._root.prefix + (self._file_name or b".")
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
                if _TYPES[stat.S_IFMT(found.st_mode)] is not entry.type:
                    raise SourceError(T("{path} is no longer a regular file.", path=display(path)), gone=True)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise self._error(path, error) from error
        return LocalFile(fd, found, partial(self._error, path))

    def close(self) -> None:
        """Closes every directory, so that the disk can be unmounted; nothing can be read afterwards."""
        with self._lock:
            kept = [self._root, *self._open.values()]
            self._open.clear()
        for directory in kept:
            directory.close()

    def _locate(self, path: Path) -> tuple[_Directory, bytes]:
        if path:
            return self._directory(path[:-1]), path[-1]
        return self._root, self._file_name or b"."

    def _directory(self, path: Path) -> _Directory:
        """The open directory at `path`, reached from its nearest open ancestor."""
        if not path:
            return self._root
        with self._lock:
            found = self._open.get(path)
            if found is not None:
                self._open.move_to_end(path)
                return found
        parent = self._directory(path[:-1])
        directory = _Directory(os.open(path[-1], _OPEN_DIRECTORY, dir_fd=parent.fd))
        if os.fstat(directory.fd).st_dev != self._device:
            raise OtherFileSystem(
                T("{path} is on another file system and was not backed up with this source.", path=display(path)),
                todo=T("Add it as a source of its own if it is to be backed up."),
            )
        with self._lock:
            self._open[path] = directory
            if len(self._open) > _KEPT_DIRECTORIES:
                self._open.popitem(last=False)
        return directory

    def _entry(self, name: bytes, found: os.stat_result) -> Entry:
        mode = found.st_mode
        kind = _TYPES[stat.S_IFMT(mode)]
        uid, gid = found.st_uid, found.st_gid
        user, group = self._users.get(uid), self._groups.get(gid)
        if user is None:
            user = self._users[uid] = _user_name(uid)
        if group is None:
            group = self._groups[gid] = _group_name(gid)
        device = self._device_ids.get(found.st_dev)
        if device is None:
            device = self._device_ids[found.st_dev] = _device_id(f"{self._id}\0{found.st_dev}")
        return Entry(
            name,
            kind,
            mode & 0o7777,
            found.st_size if kind is EntryType.FILE else 0,
            found.st_mtime_ns,
            found.st_atime_ns,
            found.st_ctime_ns,
            uid,
            gid,
            user,
            group,
            found.st_ino,
            device,
            found.st_nlink,
            found.st_rdev,
        )

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


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
