"""Memory that grows by the megabyte without leaving holes behind."""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

from appliance.storage.interface import Buffer


class GrowingMemory:
    """Bytes that are added at the end. `bytes` is what holds them, from its beginning; `used` is how many they are.

    They lie in the kernel's own pages, not in Python's heap, where what grows is copied again and again, and what it
    leaves is too small for what comes next. Pages that are not used yet take no memory.
    """

    __slots__ = ("bytes", "used")

    def __init__(self) -> None:
        self.bytes = mmap(-1, PAGESIZE, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        self.used = 0

    def add(self, data: Buffer) -> None:
        end = self.used + len(data)
        if end > len(self.bytes):
            self.bytes.resize(-(-end * 9 // 8 // PAGESIZE) * PAGESIZE)
        self.bytes[self.used : end] = data
        self.used = end
