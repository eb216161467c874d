"""Large files reach the disk while the next pieces are still being decoded, and leave the page cache again.

Otherwise a restore fills all memory with pages that nobody reads again. They push out what others need, and the kernel,
on a virtual machine also its host, must first find them: that took two thirds of a large restore's processor time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque

from appliance.targets.opened import Opened

LEAST = 256 << 10
"""Bytes of a piece that is worth a call of its own."""

_BEHIND = 64 << 20
"""Bytes that the disk gets time for before their pages are let go. What is not yet written by then stays."""

_SYNC_FILE_RANGE_WRITE = 2


class WriteBehind:
    """Told of pieces as they are written. Any number of threads may use one object; it holds files open."""

    def __init__(self) -> None:
        self._begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
        if self._begin is not None:
            self._begin.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        self._lock = threading.Lock()
        self._pieces: deque[tuple[Opened, int, int]] = deque()
        self._behind = 0

    def wrote(self, opened: Opened, offset: int, size: int) -> None:
        """`size` bytes from `offset` were written into `opened`. Only ever a hint: no error of it matters."""
        if self._begin is None or size < LEAST:
            return
        self._begin(opened.fd, offset, size, _SYNC_FILE_RANGE_WRITE)
        done = []
        with self._lock:
            self._pieces.append((opened, offset, size))
            self._behind += size
            while self._behind > _BEHIND:
                done.append(self._pieces.popleft())
                self._behind -= done[-1][2]
        for opened, offset, size in done:
            try:
                os.posix_fadvise(opened.fd, offset, size, os.POSIX_FADV_DONTNEED)
            except OSError:
                pass

    def end(self) -> None:
        """Lets go of the files."""
        with self._lock:
            self._pieces.clear()
