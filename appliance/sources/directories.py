"""Directories of this machine, each opened below its parent, so that nobody can bend a path while it is used.

With O_NOFOLLOW at every step a directory that is swapped for a symbolic link is refused, nothing outside the tree
is ever reached, and paths longer than PATH_MAX are no problem.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

Names: TypeAlias = tuple[bytes, ...]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED = 2**31 - 1
"""A number no descriptor ever has: using it fails with EBADF. Not -1: `os.scandir(-1)` lists the working folder."""


class OpenDirectory:
    """An open directory; closed by `close`, or when nobody uses it any more. `prefix` leads to what is in it."""

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


class Directories:
    """The directories below `top`, a descriptor that becomes this object's; `keep` of them stay open for a while.

    `on_open` is told of each that is opened, by path and descriptor, and may refuse it by raising. Any number of
    threads may use one object.
    """

    def __init__(self, top: int, keep: int, on_open: Callable[[Names, int], None] | None = None) -> None:
        self.top = OpenDirectory(top)
        self._keep = keep
        self._on_open = on_open
        self._open: OrderedDict[Names, OpenDirectory] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, path: Names) -> OpenDirectory:
        """The open directory at `path`, reached from its nearest open ancestor. Raises `OSError`."""
        if not path:
            return self.top
        with self._lock:
            found = self._open.get(path)
            if found is not None:
                self._open.move_to_end(path)
                return found
        parent = self.at(path[:-1])
        directory = OpenDirectory(os.open(path[-1], _OPEN, dir_fd=parent.fd))
        if self._on_open is not None:
            try:
                self._on_open(path, directory.fd)
            except BaseException:
                directory.close()  # not when the error's traceback is forgotten: somebody may want to unmount it
                raise
        with self._lock:
            self._open[path] = directory
            if len(self._open) > self._keep:
                self._open.popitem(last=False)
        return directory

    def close(self) -> None:
        """Closes every directory; nothing can be reached afterwards."""
        with self._lock:
            kept = [self.top, *self._open.values()]
            self._open.clear()
        for directory in kept:
            directory.close()
