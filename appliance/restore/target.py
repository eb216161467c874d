"""The directory into which files are restored, and never a step out of it.

Every directory is opened below its parent with O_NOFOLLOW, and everything is named relative to its directory. A
symbolic link that is in the way is replaced, never followed, whoever put it there and whenever.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path

from appliance.repository import Node
from appliance.repository.tree import BLOCK_DEVICE, CHAR_DEVICE, FIFO, SOCKET, SYMLINK
from appliance.restore.plan import Names

_KEPT_DIRECTORIES = 256
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o600
_ACCESS_ACL = "system.posix_acl_access"
_DEFAULT_ACL = "system.posix_acl_default"
_DEVICE_TYPES = {
    BLOCK_DEVICE: stat.S_IFBLK,
    CHAR_DEVICE: stat.S_IFCHR,
    FIFO: stat.S_IFIFO,
    SOCKET: stat.S_IFSOCK,
}


class Opened:
    """An open directory, or whatever else is held on to; closed when nobody uses it any more."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Target:
    """The tree below `root`, which is made if need be. Any number of threads may use one object."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = Opened(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._open: OrderedDict[Names, Opened] = OrderedDict()
        self._lock = threading.Lock()
        self._is_root = os.geteuid() == 0
        self._inherits_acl = _has_xattr(self._root.fd, _DEFAULT_ACL)

    def directory(self, path: Names) -> Opened:
        """The open directory at `path`, reached from its nearest open ancestor."""
        if not path:
            return self._root
        with self._lock:
            found = self._open.get(path)
            if found is not None:
                self._open.move_to_end(path)
                return found
        parent = self.directory(path[:-1])
        directory = Opened(os.open(path[-1], _OPEN_DIRECTORY, dir_fd=parent.fd))
        with self._lock:
            self._open[path] = directory
            if len(self._open) > _KEPT_DIRECTORIES:
                self._open.popitem(last=False)
        return directory

    def make_directory(self, path: Names) -> None:
        """Makes the directory unless it is there; anything else that has its name makes way."""
        if not path:
            return
        parent = self.directory(path[:-1])
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

    def _drop_acls(self, path: Names) -> None:
        """Removes the directory's access lists, so that what is made in it inherits none.

        Its own come with `describe`.
        """
        fd = self.directory(path).fd
        _remove_xattr(fd, _ACCESS_ACL)
        _remove_xattr(fd, _DEFAULT_ACL)

    def create_file(self, path: Names) -> int:
        """A new file for reading and writing, as a descriptor. Raises `FileExistsError`."""
        return os.open(path[-1], _CREATE, _PRIVATE, dir_fd=self.directory(path[:-1]).fd)

    def reopen_file(self, path: Names) -> int:
        return os.open(path[-1], os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory(path[:-1]).fd)

    def move_into_place(self, staged: Names, path: Names) -> None:
        """Gives a finished file its name; what had it until then is replaced in the same instant."""
        fd = self.directory(path[:-1]).fd
        try:
            os.rename(staged[-1], path[-1], src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError:
            os.rmdir(path[-1], dir_fd=fd)
            os.rename(staged[-1], path[-1], src_dir_fd=fd, dst_dir_fd=fd)

    def remove(self, path: Names) -> None:
        """Removes whatever is at `path` (a directory only when empty), if anything is."""
        fd = self.directory(path[:-1]).fd
        try:
            os.unlink(path[-1], dir_fd=fd)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):  # Linux says EISDIR, other systems EPERM
            os.rmdir(path[-1], dir_fd=fd)

    def make_link(self, path: Names, existing: Names) -> None:
        """Another name for a file that is restored."""
        self.remove(path)
        os.link(
            existing[-1],
            path[-1],
            src_dir_fd=self.directory(existing[:-1]).fd,
            dst_dir_fd=self.directory(path[:-1]).fd,
            follow_symlinks=False,
        )

    def make_other(self, path: Names, node: Node) -> bool:
        """A symbolic link, device, pipe or socket, with its metadata; False when some attributes cannot be set here."""
        fd = self.directory(path[:-1]).fd
        self.remove(path)
        if node.type == SYMLINK:
            os.symlink(node.link_target, path[-1], dir_fd=fd)
        else:
            os.mknod(path[-1], _PRIVATE | _DEVICE_TYPES[node.type], node.device, dir_fd=fd)
        if self._is_root:
            os.chown(path[-1], node.uid, node.gid, dir_fd=fd, follow_symlinks=False)
        if node.type == SYMLINK:
            complete = _set_xattrs(b"/proc/self/fd/%d/%s" % (fd, path[-1]), node, follow_symlinks=False)
        else:
            # O_PATH pins the thing itself, so that a link put in its place now is not followed
            pinned = Opened(os.open(path[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd))
            full = b"/proc/self/fd/%d" % pinned.fd
            if self._inherits_acl:
                _remove_xattr(full, _ACCESS_ACL)
            complete = _set_xattrs(full, node)
            os.chmod(full, node.permissions)  # noqa: PTH101 - a pathlib path is text, this is not
        os.utime(path[-1], ns=(node.atime_ns, node.mtime_ns), dir_fd=fd, follow_symlinks=False)
        return complete

    def describe(self, fd: int, node: Node) -> bool:
        """Gives an open file or directory its owner, extended attributes, mode and times.

        In this order: changing the owner takes setuid bits and capabilities away, and attributes may need the
        write permission that the mode takes. False when some attributes cannot be set here.
        """
        if self._is_root:
            os.fchown(fd, node.uid, node.gid)
        if self._inherits_acl:
            _remove_xattr(fd, _ACCESS_ACL)
        complete = not node.extended_attributes or _set_xattrs(fd, node)
        os.fchmod(fd, node.permissions)
        mtime = node.mtime_ns
        os.utime(fd, ns=(mtime if node.atime == node.mtime else node.atime_ns, mtime))
        return complete


def _set_xattrs(place: int | bytes, node: Node, *, follow_symlinks: bool = True) -> bool:
    """Whether the file system and this user's rights allow all of them."""
    complete = True
    for attribute in node.extended_attributes or ():
        try:
            os.setxattr(place, attribute.name.encode(), attribute.value or b"", follow_symlinks=follow_symlinks)
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
