"""Mounting what the kernel has no driver for, with the programs that read it in user space (FUSE).

In a mount namespace of its own, so that nobody sees the mount before it is detached (open_tree(2)); then only the
descriptor leads to it. Closing the last one ends the program.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance_disks.mounting import NoDriver, damaged, detach_tree, unmount

log = logging.getLogger(__name__)

_OPTIONS = "ro,allow_other,nosuid,nodev,noexec,noatime"

PROGRAMS: Mapping[str, tuple[str, Callable[[str, str], list[str]]]] = {
    # Debian's ntfs-3g, exfat-fuse and grub-common. GRUB's own drivers only ever read; fusefat, which Debian has too,
    # tells months wrongly (0.1a). grub-mount cannot be told allow_other, so only a box that runs as root can use it.
    "ntfs": ("ntfs-3g", lambda node, place: ["-o", f"{_OPTIONS},no_detach", node, place]),
    "exfat": ("mount.exfat-fuse", lambda node, place: ["-o", _OPTIONS, node, place]),
    "vfat": ("grub-mount", lambda node, place: [node, place]),
    "hfsplus": ("grub-mount", lambda node, place: [node, place]),
    "udf": ("grub-mount", lambda node, place: [node, place]),
    "iso9660": ("grub-mount", lambda node, place: [node, place]),
    "f2fs": ("grub-mount", lambda node, place: [node, place]),
}
"""The program that reads a file system, by udev's name of it, and its arguments."""

_WHERE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CLONE_NEWNS = 0x20000
_PATIENCE = 30.0
"""Seconds within which a file system must be mounted, and its program end."""


@dataclass
class FuseMount:
    """A mounted file system and the program that serves it, which lives until the last descriptor is closed."""

    descriptor: int
    program: subprocess.Popen[bytes]

    def end(self) -> None:
        """Waits for the program, whose mount nobody holds any more; ends it if that takes too long."""
        try:
            self.program.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.program.kill()
            self.program.wait()


def program_for(fs_type: str) -> str | None:
    """The path of the program that reads a file system, if it is installed and would do it for the box."""
    name = PROGRAMS[fs_type][0] if fs_type in PROGRAMS else None
    if name is None or (name == "grub-mount" and os.geteuid() != 0):
        return None
    return shutil.which(name, path=_WHERE)


def mount_by_fuse(node: str, fs_type: str, time_offset: int = 0) -> FuseMount:
    """Mounts read-only what is on `node`, in this process's own mount namespace. Raises `CannotMount`.

    `time_offset` as for `mount_read_only`; exfat-fuse heeds it, GRUB takes FAT's times for UTC.
    """
    path = program_for(fs_type)
    if path is None:
        raise NoDriver.of(node, fs_type)
    name, arguments = PROGRAMS[fs_type]
    _leave_namespace()
    with tempfile.TemporaryDirectory(prefix="kurabako-") as place:
        program = subprocess.Popen(
            [path, *arguments(node, place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": _zone(time_offset)},
        )
        if not _is_mounted(place, program):
            program.kill()
            said = program.communicate()[1].decode("utf-8", "replace")
            log.warning("%s cannot mount %s: %s", name, node, said.strip()[-2000:])
            raise damaged(node, fs_type)
        try:
            return FuseMount(detach_tree(place), program)
        finally:
            unmount(place)


def _zone(ahead: int) -> str:
    """The zone that is so many minutes ahead of UTC, as TZ has it: with the sign turned round."""
    hours, minutes = divmod(abs(ahead), 60)
    return f"BOX{'-' if ahead > 0 else '+'}{hours}:{minutes:02}"


def _leave_namespace() -> None:
    """Lets this process mount without anybody else seeing it; what others unmount meanwhile is unmounted here too."""
    libc = ctypes.CDLL(None, use_errno=True)
    slave, recursive = 0x80000, 0x4000
    if libc.unshare(_CLONE_NEWNS) < 0 or libc.mount(b"none", b"/", None, ctypes.c_ulong(slave | recursive), None) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _is_mounted(place: str, program: subprocess.Popen[bytes]) -> bool:
    """Waits until something is mounted at `place`, or the program says with its end that nothing will be."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if f" {place} " in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"):
            return True
        if program.poll():
            return False
        time.sleep(0.02)
    return False
