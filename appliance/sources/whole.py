"""Small files of one directory read in as few calls as can be and with no care: what fails is left to who has it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from appliance.sources.interface import Entry, WholeFile

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def read_whole(directory: int, entries: Sequence[Entry]) -> list[WholeFile | None]:
    """Each file of the open `directory` as its entry says it is; None for one that is not, or cannot be read."""
    # All are opened first, so that a disk may fetch them in its own order.
    opened = [_open_quietly(entry.name, directory) for entry in entries]
    return [None if fd is None else _read_quietly(fd, entry) for fd, entry in zip(opened, entries, strict=True)]


def _open_quietly(name: bytes, directory: int) -> int | None:
    for flags in (_OPEN | os.O_NOATIME, _OPEN):  # O_NOATIME is for the owner and root only
        try:
            fd = os.open(name, flags, dir_fd=directory)
        except PermissionError:
            continue
        except OSError:
            return None
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        except OSError:  # a pipe
            os.close(fd)
            return None
        return fd
    return None


def _read_quietly(fd: int, entry: Entry) -> WholeFile | None:
    """The whole file, which is closed; None unless it is, now that it was read, still the one that was listed.

    That it is a regular file is seen here too, as reading what else might have taken its place waits for nobody.
    """
    try:
        content = os.read(fd, entry.size + 1)
        xattrs = _xattrs_of(fd)
        found = os.fstat(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    unchanged = found.st_mtime_ns == entry.mtime_ns and found.st_size == entry.size == len(content)
    return WholeFile(content, xattrs) if unchanged and stat.S_ISREG(found.st_mode) else None


def _xattrs_of(fd: int) -> tuple[tuple[bytes, bytes], ...]:
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple((os.fsencode(name), os.getxattr(fd, name)) for name in sorted(names)) if names else ()
