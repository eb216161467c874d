"""Which file systems this machine can read: with the kernel's drivers, or with programs that read them for it."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from appliance_disks.fuse import program_for
from appliance_disks.mounting import driver_of


def is_readable(fs_type: str) -> bool:
    """Whether something here reads the file system of this name (udev's)."""
    driver = driver_of(fs_type)
    return driver in _loaded() or driver in _loadable() or program_for(fs_type) is not None


def _loaded() -> set[str]:
    """The drivers that the kernel has now, proc(5)."""
    return {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines() if line}


@lru_cache(maxsize=1)
def _loadable() -> frozenset[str]:
    """The drivers that the kernel loads when they are asked for: it asks for a module of the name `fs-…`."""
    try:
        aliases = Path("/lib/modules", os.uname().release, "modules.alias").read_text()
    except OSError:
        return frozenset()
    return frozenset(re.findall(r"^alias fs-(\S+) ", aliases, re.MULTILINE))
