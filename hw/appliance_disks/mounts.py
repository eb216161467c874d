"""What is mounted, and what is swapped to, as the kernel tells it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Number = tuple[int, int]
"""A device by its major and minor number."""

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo: the directory `root` of a file system is seen at `point`.

    `device` is the file system's number; `source` the node it was mounted from, where there is one. For file
    systems with numbers of their own (btrfs), only `source` leads to the disk.
    """

    device: Number
    root: str
    point: str
    fs_type: str
    source: str


def parse_mountinfo(text: bytes) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo, see proc(5); lines that are none are left out."""
    mounts = []
    for line in text.split(b"\n"):
        before, found, after = line.partition(b" - ")
        fields, more = before.split(b" "), after.split(b" ")
        if not found or len(fields) < 6 or len(more) < 2:
            continue
        major, _, minor = fields[2].partition(b":")
        mounts.append(
            Mount(
                device=(int(major), int(minor)),
                root=_decode(fields[3]),
                point=_decode(fields[4]),
                fs_type=_decode(more[0]),
                source=_decode(more[1]),
            )
        )
    return mounts


def parse_swaps(text: bytes) -> list[str]:
    """The devices and files in the text of /proc/swaps."""
    return [_decode(re.split(rb"[ \t]", line, maxsplit=1)[0]) for line in text.split(b"\n")[1:] if line]


def current_mounts() -> list[Mount]:
    """What is mounted now, as this process sees it."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())


def current_swaps() -> list[str]:
    """What is swapped to now; nothing where the kernel has no swap."""
    try:
        return parse_swaps(Path("/proc/swaps").read_bytes())
    except FileNotFoundError:
        return []


def device_of_node(node: str) -> Number | None:
    """The number of the block device at the path `node`, or None when it is none."""
    try:
        found = Path(node).stat()
    except OSError:
        return None
    return (os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISBLK(found.st_mode) else None


def mount_below(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that `path` is on, there or not; None where `mounts` is not the whole table."""
    place = os.path.realpath(path)
    above = [mount for mount in mounts if place == mount.point or place.startswith(mount.point.rstrip("/") + "/")]
    # Of several mounts at one place, the last one hides the others.
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def _decode(field: bytes) -> str:
    """Spaces, tabs, line ends and backslashes in a name are written as three octal digits."""
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))
