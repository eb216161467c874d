"""Settings of this process's memory for work that moves much data through it.

Packs, chunks and their compressed and sealed forms come and go by the megabyte. glibc gives such blocks back to the
kernel at once and asks for new ones, which the kernel clears first and maps page by page: that took a fifth of a
backup's processor time. Likewise Python's collector of cycles walks over everything imported, time and again, though
none of the values that come by the hundred thousand (nodes, places of blobs) is ever part of a cycle.
"""

from __future__ import annotations

import ctypes
import gc

# malloc.h, mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGEST_BLOCK = 32 << 20
"""The largest that glibc accepts: half of an arena."""
_KEPT = 128 << 20
_COLLECT_AFTER = 50_000


def prepare_process() -> None:
    """For a process that will back up, restore or check, once, when all is imported; changes no behaviour."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none, and no such habit
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_M_ARENA_MAX, 1)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
