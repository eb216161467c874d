"""Where one file system ends and another begins, as the kernel tells it of an open directory."""

from __future__ import annotations

from pathlib import Path

PSEUDO = frozenset(
    {
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"),
        *("fusectl", "hugetlbfs", "mqueue", "proc", "pstore", "rpc_pipefs", "securityfs", "sysfs", "tracefs"),
    }
)
"""File systems that hold no files of anybody: the kernel makes them up."""


def mount_id(fd: int) -> int:
    """The mount an open file is seen through (proc(5), fdinfo). A Btrfs subvolume, with a device number of its own,
    belongs to the mount around it; whatever was mounted has a mount of its own."""
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text("ascii").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    raise OSError(f"no mnt_id of descriptor {fd}")


def is_pseudo(mount: int) -> bool:
    """Whether the mount is of a file system that the kernel makes up."""
    for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n"):
        fields, _, more = line.partition(b" - ")
        if fields.split(b" ", 1)[0] == b"%d" % mount:
            return more.split(b" ", 1)[0].decode("ascii", "replace") in PSEUDO
    return False
