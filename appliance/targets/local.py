"""A folder of this machine into which files are restored, and never a step out of it.

Everything is named relative to its open directory (`appliance.sources.directories`). A symbolic link that is in the way
is replaced, never followed, whoever put it there and whenever.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path as FilePath

from appliance.sources.directories import Directories, OpenDirectory
from appliance.sources.interface import Entry, EntryType, Path
from appliance.storage.interface import Buffer
from appliance.targets.opened import Opened
from appliance.targets.writeback import WriteBehind

_KEPT_DIRECTORIES = 256
_KEPT_FILES = 128
_BLOCK = 4096
_ZERO_BLOCK = bytes(_BLOCK)
_STAGED = b".kurabako-%d-%d.partial"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o600
_ACCESS_ACL = "system.posix_acl_access"
_NAMESPACES = (b"user.", b"system.", b"security.", b"trusted.")
_DEFAULT_ACL = "system.posix_acl_default"
_DEVICE_TYPES = {
    EntryType.BLOCK_DEVICE: stat.S_IFBLK,
    EntryType.CHAR_DEVICE: stat.S_IFCHR,
    EntryType.FIFO: stat.S_IFIFO,
    EntryType.SOCKET: stat.S_IFSOCK,
}


class LocalTarget:
    """The tree below `root`. Any number of threads may use one object.

    A file that comes in one piece and whose name is free is written at once. Every other is written under a
    temporary name beside it and takes its name when it is complete, so that what was there is replaced in one
    instant or not at all. Of files in pieces, so many stay open; the others are opened again.
    """

    def __init__(self, root: FilePath) -> None:
        self._path = root
        self._directories: Directories | None = None
        self._files: OrderedDict[Path, Opened] = OrderedDict()
        self._lock = threading.Lock()
        self._write_behind = WriteBehind()
        self._numbers = count()
        self._is_root = os.geteuid() == 0
        self._inherits_acl = False

    @property
    def title(self) -> str:
        return str(self._path)

    def free_bytes(self) -> int | None:
        """What an ordinary user may still write there, or where it will be made."""
        place = self._path.absolute()
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def prepare(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        top = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories = Directories(top, _KEPT_DIRECTORIES)
        self._inherits_acl = _has_xattr(top, _DEFAULT_ACL)

    def close(self) -> None:
        with self._lock:
            self._files.clear()
        self._write_behind.end()
        if self._directories is not None:
            self._directories.close()
            self._directories = None

    def _directory(self, path: Path) -> OpenDirectory:
        """The open directory at `path`, reached from its nearest open ancestor."""
        assert self._directories is not None, "prepare comes first"
        return self._directories.at(path)

    def make_directory(self, path: Path) -> None:
        """Makes the directory unless it is there; anything else that has its name makes way."""
        if not path:
            return
        parent = self._directory(path[:-1])
        try:
            os.mkdir(path[-1], 0o700, dir_fd=parent.fd)
        except FileExistsError:
            found = os.stat(path[-1], dir_fd=parent.fd, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                self._drop_acls(path)
                return
            os.unlink(path[-1], dir_fd=parent.fd)
            os.mkdir(path[-1], 0o700, dir_fd=parent.fd)
        if self._inherits_acl:
            self._drop_acls(path)

    def _drop_acls(self, path: Path) -> None:
        """Removes the directory's access lists, so that what is made in it inherits none.

        Its own come with `describe`.
        """
        fd = self._directory(path).fd
        _remove_xattr(fd, _ACCESS_ACL)
        _remove_xattr(fd, _DEFAULT_ACL)

    def write_file(self, path: Path, entry: Entry, offset: int, data: Buffer) -> bool:
        try:
            return self.write_new_file(path, entry, offset, data)
        except FileExistsError:
            staged = self._staged_name(path)
            complete = self.write_new_file(staged, entry, offset, data)
            try:
                self._move_into_place(staged, path)
            except BaseException:
                self._remove(staged)
                raise
            return complete

    def write_new_file(self, path: Path, entry: Entry, offset: int, data: Buffer) -> bool:
        """As `write_file`, where the name is free. Raises `FileExistsError` where it is not."""
        fd = self._create(path)
        try:
            try:
                _write_with_holes(fd, offset, data)
                if offset + len(data) < entry.size:
                    os.ftruncate(fd, entry.size)
                return self._describe(fd, entry)
            finally:
                os.close(fd)
        except BaseException:
            self._remove(path)
            raise

    def begin_file(self, path: Path) -> LocalUnfinished:
        staged = self._staged_name(path)
        self._keep(staged, Opened(self._create(staged)))
        return LocalUnfinished(self, staged, path)

    def _write_piece(self, staged: Path, offset: int, data: Buffer) -> None:
        opened = self._unfinished(staged)
        _write_with_holes(opened.fd, offset, data)
        self._write_behind.wrote(opened, offset, len(data))

    def _unfinished(self, staged: Path) -> Opened:
        """The file of this temporary name, open."""
        with self._lock:
            found = self._files.get(staged)
            if found is not None:
                self._files.move_to_end(staged)
                return found
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = Opened(os.open(staged[-1], flags, dir_fd=self._directory(staged[:-1]).fd))
        self._keep(staged, opened)
        return opened

    def _keep(self, staged: Path, opened: Opened) -> None:
        with self._lock:
            self._files[staged] = opened
            if len(self._files) > _KEPT_FILES:
                self._files.popitem(last=False)

    def _finish(self, staged: Path, path: Path, entry: Entry) -> bool:
        opened = self._unfinished(staged)
        os.ftruncate(opened.fd, entry.size)
        complete = self._describe(opened.fd, entry)
        self._move_into_place(staged, path)
        with self._lock:
            self._files.pop(staged, None)
        return complete

    def _discard(self, staged: Path) -> None:
        with self._lock:
            self._files.pop(staged, None)
        try:
            self._remove(staged)
        except OSError:
            pass  # it lies there under a name that tells what it is

    def _staged_name(self, path: Path) -> Path:
        return (*path[:-1], _STAGED % (os.getpid(), next(self._numbers)))

    def _create(self, path: Path) -> int:
        """A new file for reading and writing, as a descriptor. Raises `FileExistsError`."""
        return os.open(path[-1], _CREATE, _PRIVATE, dir_fd=self._directory(path[:-1]).fd)

    def _move_into_place(self, staged: Path, path: Path) -> None:
        """Gives a finished file its name; what had it until then is replaced in the same instant."""
        fd = self._directory(path[:-1]).fd
        try:
            os.rename(staged[-1], path[-1], src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError:
            os.rmdir(path[-1], dir_fd=fd)
            os.rename(staged[-1], path[-1], src_dir_fd=fd, dst_dir_fd=fd)

    def _remove(self, path: Path) -> None:
        """Removes whatever is at `path` (a directory only when empty), if anything is."""
        fd = self._directory(path[:-1]).fd
        try:
            os.unlink(path[-1], dir_fd=fd)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):  # Linux says EISDIR, other systems EPERM
            os.rmdir(path[-1], dir_fd=fd)

    def make_link(self, path: Path, existing: Path) -> None:
        self._remove(path)
        os.link(
            existing[-1],
            path[-1],
            src_dir_fd=self._directory(existing[:-1]).fd,
            dst_dir_fd=self._directory(path[:-1]).fd,
            follow_symlinks=False,
        )

    def make_other(self, path: Path, entry: Entry) -> bool:
        """A symbolic link, device, pipe or socket, with its metadata; False when some attributes cannot be set here."""
        fd = self._directory(path[:-1]).fd
        self._remove(path)
        if entry.type is EntryType.SYMLINK:
            os.symlink(entry.link_target, path[-1], dir_fd=fd)
        else:
            os.mknod(path[-1], _PRIVATE | _DEVICE_TYPES[entry.type], entry.rdev, dir_fd=fd)
        if self._is_root:
            os.chown(path[-1], entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        if entry.type is EntryType.SYMLINK:
            complete = _set_xattrs(b"/proc/self/fd/%d/%s" % (fd, path[-1]), entry, follow_symlinks=False)
        else:
            # O_PATH pins the thing itself, so that a link put in its place now is not followed
            pinned = Opened(os.open(path[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd))
            full = b"/proc/self/fd/%d" % pinned.fd
            if self._inherits_acl:
                _remove_xattr(full, _ACCESS_ACL)
            complete = _set_xattrs(full, entry)
            os.chmod(full, entry.mode)  # noqa: PTH101 - a pathlib path is text, this is not
        os.utime(path[-1], ns=(entry.atime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)
        return complete

    def finish_files(self) -> Sequence[tuple[Path, OSError]]:
        return ()

    def describe_directory(self, path: Path, entry: Entry) -> bool:
        return self._describe(self._directory(path).fd, entry)

    def _describe(self, fd: int, entry: Entry) -> bool:
        """Gives an open file or directory its owner, extended attributes, mode and times.

        In this order: changing the owner takes setuid bits and capabilities away, and attributes may need the
        write permission that the mode takes. False when some attributes cannot be set here.
        """
        if self._is_root:
            os.fchown(fd, entry.uid, entry.gid)
        if self._inherits_acl:
            _remove_xattr(fd, _ACCESS_ACL)
        complete = not entry.xattrs or _set_xattrs(fd, entry)
        os.fchmod(fd, entry.mode)
        os.utime(fd, ns=(entry.atime_ns, entry.mtime_ns))
        return complete


class LocalUnfinished:
    """A file under its temporary name."""

    def __init__(self, target: LocalTarget, staged: Path, path: Path) -> None:
        self._target = target
        self._staged = staged
        self._path = path

    def write(self, offset: int, data: Buffer) -> None:
        self._target._write_piece(self._staged, offset, data)

    def finish(self, entry: Entry) -> bool:
        return self._target._finish(self._staged, self._path, entry)

    def discard(self) -> None:
        self._target._discard(self._staged)


def _set_xattrs(place: int | bytes, entry: Entry, *, follow_symlinks: bool = True) -> bool:
    """Whether the file system and this user's rights allow all of them."""
    complete = True
    for name, value in entry.xattrs:
        try:
            # Those of a share or of Windows know no namespace; Samba keeps them among the user's, too.
            full = name if name.startswith(_NAMESPACES) else b"user." + name
            os.setxattr(place, full, value, follow_symlinks=follow_symlinks)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
            complete = False
    return complete


def _has_xattr(place: int, name: str) -> bool:
    try:
        os.getxattr(place, name)
    except OSError:
        return False
    return True


def _remove_xattr(place: int | bytes, name: str) -> None:
    try:
        os.removexattr(place, name)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def _write_with_holes(fd: int, offset: int, data: Buffer) -> None:
    """Writes `data` into a new file, leaving out blocks that are all zeros."""
    if _searchable(data).find(_ZERO_BLOCK) < 0:
        _write_all(fd, offset, memoryview(data))
        return
    view = memoryview(data)
    for start, end in _data_extents(view, offset):
        _write_all(fd, offset + start, view[start:end])


def _searchable(data: Buffer) -> bytes | bytearray:
    """The same bytes with a `find`, copied only where they are a part of something larger."""
    if isinstance(data, memoryview):
        return data.obj if isinstance(data.obj, bytearray) and len(data.obj) == len(data) else bytes(data)
    return data


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
