"""Mounting a disk so that nothing can be written to it and nobody else sees it.

The mount is detached (fsopen(2), fsmount(2), Linux 5.2): it belongs to a file descriptor and stands nowhere in the
tree of directories. It ends with the descriptor, and so with the process, however that ends: there is no folder
to tidy up and no stale mount after a crash. A box without the right to mount is handed the descriptor by
`appliance_disks.helper`.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os

from appliance.sources.interface import SourceNotFound
from appliance.text import T

log = logging.getLogger(__name__)

# The numbers of the newer system calls are the same on every architecture.
_OPEN_TREE, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 430, 431, 432
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC, _NO_ATIME = 0x01, 0x02, 0x04, 0x08, 0x10

_HERE = -100  # AT_FDCWD
_CLONE, _CLONE_CLOEXEC = 1, os.O_CLOEXEC
_DETACH, _NO_FOLLOW = 0x02, 0x08

_DRIVERS = {"ntfs": "ntfs3", "hfs+": "hfsplus"}
"""Linux' drivers, where they are not called like udev calls the file system."""

_LOCAL_TIMES = frozenset({"vfat", "exfat"})
"""File systems whose times are those of the clock on the wall of the computer that wrote them."""

_OPTIONS: dict[str, tuple[tuple[str, str | None], ...]] = {
    # A journal is not replayed: that would write to somebody else's disk.
    "ext3": (("noload", None),),
    "ext4": (("noload", None),),
    "xfs": (("norecovery", None), ("nouuid", None)),
    "btrfs": (("rescue", "nologreplay"),),
    "f2fs": (("norecovery", None),),
    # Names are UTF-16 on these; the kernel's default character set is a matter of how it was built.
    "vfat": (("utf8", None),),
    "exfat": (("iocharset", "utf8"),),
    "ntfs3": (("iocharset", "utf8"),),
    "hfsplus": (("nls", "utf8"),),
    "iso9660": (("utf8", None),),
    "udf": (("iocharset", "utf8"),),
}

UNSTABLE_INODES = frozenset({"vfat", "msdos", "exfat", "fuseblk", "hfsplus", "iso9660", "udf"})
"""File systems whose inode numbers a driver makes up, here the kernel's or there a program's."""


class CannotMount(SourceNotFound):
    """A disk is there, but its file system cannot be mounted."""

    code = "source.cannot-mount"


class NoDriver(CannotMount):
    """The kernel does not know the file system."""

    @classmethod
    def of(cls, node: str, fs_type: str) -> NoDriver:
        return cls(
            T("This machine cannot read the file system on {device} ({kind}).", device=node, kind=fs_type),
            todo=T("Connect the disk to a computer that can read it and share it from there."),
        )


def driver_of(fs_type: str) -> str:
    """Linux' driver for what udev calls `fs_type`."""
    return _DRIVERS.get(fs_type, fs_type)


def mount_read_only(node: str, fs_type: str, time_offset: int = 0) -> int:
    """A descriptor of the file system on `node`, mounted read-only, without devices, programs or set-uid.

    The tree is at `/proc/self/fd/<descriptor>/`; closing the descriptor unmounts it. `time_offset` says how many
    minutes local time is ahead of UTC, for file systems that tell times by the clock on the wall. Raises `CannotMount`.
    """
    driver = driver_of(fs_type)
    try:
        context = _call(_FSOPEN, driver.encode(), _CLOEXEC)
    except OSError as error:
        raise _told(node, fs_type, error) from error
    try:
        _call(_FSCONFIG, context, _SET_STRING, b"source", os.fsencode(node), 0)
        _call(_FSCONFIG, context, _SET_FLAG, b"ro", None, 0)
        for key, value in _OPTIONS.get(driver, ()):
            if value is None:
                _call(_FSCONFIG, context, _SET_FLAG, key.encode(), None, 0)
            else:
                _call(_FSCONFIG, context, _SET_STRING, key.encode(), value.encode(), 0)
        if driver in _LOCAL_TIMES:
            _call(_FSCONFIG, context, _SET_STRING, b"time_offset", str(time_offset).encode(), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _CLOEXEC, _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC | _NO_ATIME)
    except OSError as error:
        log.warning("mounting %s (%s): %s; the kernel says: %s", node, driver, error, _messages(context))
        raise _told(node, fs_type, error) from error
    finally:
        os.close(context)


def detach_tree(folder: str) -> int:
    """A descriptor of what is mounted at `folder`, as a mount of its own that stands nowhere. Raises `OSError`."""
    return _call(_OPEN_TREE, _HERE, os.fsencode(folder), _CLONE | _CLONE_CLOEXEC)


def damaged(node: str, fs_type: str) -> CannotMount:
    """What is told of a file system whose driver does not want it."""
    return CannotMount(
        T("The file system on {device} ({kind}) cannot be mounted, perhaps damaged.", device=node, kind=fs_type),
        safe=T("Nothing was written to the disk. Everything that was backed up before is safe."),
        todo=T("Have the disk checked on the computer it comes from."),
    )


def unmount(folder: str) -> None:
    """Takes the mount at `folder` out of the tree at once; it ends when nobody reads it any more. Raises `OSError`.

    That nothing is mounted there is no error.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(folder), _DETACH | _NO_FOLLOW) < 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOENT):
            raise OSError(code, os.strerror(code), folder)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call; raises `OSError` like the functions of `os`."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _messages(context: int) -> str:
    """What the kernel has to say about a mount, one message per read(2)."""
    lines = []
    while True:
        try:
            lines.append(os.read(context, 8192).decode("utf-8", "replace").strip())
        except OSError:
            return "; ".join(lines)


def _told(node: str, fs_type: str, error: OSError) -> CannotMount:
    match error.errno:
        case errno.EPERM | errno.EACCES:
            return CannotMount(
                T("{device} is not mounted, and the box has no right to mount it.", device=node),
                todo=T("Install the box with its system units, which mount disks for it, or mount the disk read-only."),
            )
        case errno.ENODEV:
            return NoDriver.of(node, fs_type)
        case errno.ENOENT | errno.ENXIO | errno.ENOTBLK:
            return CannotMount(
                T("{device} is no longer connected.", device=node),
                todo=T("Connect it again and start the backup once more."),
            )
        case errno.EBUSY:
            return CannotMount(
                T("{device} is in use by something else and cannot be mounted.", device=node),
                todo=T("End what uses it, or mount the disk where the box can read it."),
            )
        case _:
            return damaged(node, fs_type)
