"""Filling packs: threads seal their blobs straight into the pack's memory (format 1.5).

An `OpenPack` hands out places under the packer's lock; the sealing itself, into a place nobody else touches,
happens outside of it. Each type of blob has two open packs, and chance says which takes the next one, so that
neighbours in a file are not neighbours in a pack (eprint 2025/532). Left-overs are merged at the end.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Iterable, Sequence

from appliance.repository.crypto import OVERHEAD, Entropy
from appliance.repository.ids import BlobType
from appliance.repository.pack import MAX_PACK_ENTRIES, TARGET_SIZE, PackedBlob

OPEN_PACKS = 2


class OpenPack:
    """A pack being filled, in memory that costs only what has been written to it."""

    __slots__ = ("blobs", "closed", "memory", "used", "writing")

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        self.blobs: list[PackedBlob] = []
        self.used = 0
        self.writing = 0
        self.closed = False

    def fits(self, length: int) -> bool:
        return self.used + length <= len(self.memory)

    def place(self, kind: BlobType, blob_id: bytes, length: int, uncompressed_length: int) -> memoryview:
        """The place for a sealed blob of `length` bytes, behind the others."""
        start = self.used
        self.used += length
        self.blobs.append(PackedBlob(kind, blob_id, start, length, uncompressed_length))
        return memoryview(self.memory)[start : self.used]

    def contents(self, tail: bytes) -> memoryview:
        """The whole pack: all blobs, then `tail`, which must fit."""
        end = self.used + len(tail)
        view = memoryview(self.memory)
        view[self.used : end] = tail
        return view[:end]

    def take_over(self, other: OpenPack) -> None:
        """Moves the blobs of `other` behind its own."""
        source = memoryview(other.memory)
        for blob in other.blobs:
            place = self.place(blob.type, blob.id, blob.length, blob.uncompressed_length)
            place[:] = source[blob.offset : blob.offset + blob.length]


_HEADER_ENTRY = 41
_HEADER_ROOM = OVERHEAD + 4
"""What the header takes: per blob at most, and in any case."""


class Packer:
    """The open packs of a writer. `on_full` gets each pack that is ready to be stored; it may block.

    `place` reserves room; `done` says that it has been filled, and must follow. `reuse` gives a pack's memory to the
    next ones once it is stored: fresh memory would have to be cleared by the kernel, page by page.
    """

    def __init__(self, on_full: Callable[[OpenPack], None], entropy: Entropy, target_size: int = TARGET_SIZE) -> None:
        self._on_full = on_full
        self._entropy = entropy
        self._target = target_size
        self._lock = threading.Lock()
        self._free: list[mmap.mmap] = []
        self._open: tuple[list[OpenPack | None], ...] = tuple([None] * OPEN_PACKS for _ in BlobType)

    def place(self, kind: BlobType, wanted: Sequence[tuple[bytes, int, int]]) -> list[tuple[OpenPack, memoryview]]:
        """For each (id, sealed length, uncompressed length): room for it, and the pack that `done` must be told of."""
        places: list[tuple[OpenPack, memoryview]] = []
        ready: list[OpenPack] = []
        chances = self._entropy(len(wanted))
        open_packs = self._open[kind]
        with self._lock:
            for (blob_id, length, uncompressed_length), chance in zip(wanted, chances, strict=True):
                if length + _HEADER_ENTRY + _HEADER_ROOM > self._target:
                    pack = OpenPack(_fresh_memory(length + _HEADER_ENTRY + _HEADER_ROOM))
                    pack.closed = True
                else:
                    number = chance % OPEN_PACKS
                    current = open_packs[number]
                    if current is not None and not self._has_room(current, length):
                        current.closed = True
                        if not current.writing:
                            ready.append(current)
                        current = None
                    pack = open_packs[number] = current or OpenPack(self._memory())
                pack.writing += 1
                places.append((pack, pack.place(kind, blob_id, length, uncompressed_length)))
        for full in ready:
            self._on_full(full)
        return places

    def _memory(self) -> mmap.mmap:
        return self._free.pop() if self._free else _fresh_memory(self._target)

    def reuse(self, pack: OpenPack) -> None:
        """Nobody looks at this pack's content any more."""
        with self._lock:
            if len(pack.memory) == self._target:
                self._free.append(pack.memory)

    def done(self, packs: Iterable[OpenPack]) -> None:
        """These packs' places, one for each time a pack is named, have been filled."""
        ready: list[OpenPack] = []
        with self._lock:
            for pack in packs:
                pack.writing -= 1
                if pack.closed and not pack.writing:
                    ready.append(pack)
        for full in ready:
            self._on_full(full)

    def finish(self) -> None:
        """Hands over all open packs, merged where they fit. No other thread may be saving meanwhile."""
        for open_packs in self._open:
            left = sorted((pack for pack in open_packs if pack is not None), key=lambda pack: pack.used, reverse=True)
            open_packs[:] = [None] * OPEN_PACKS
            merged: list[OpenPack] = []
            for pack in left:
                if merged and self._has_room(merged[-1], pack.used, len(pack.blobs)):
                    merged[-1].take_over(pack)
                else:
                    merged.append(pack)
            for pack in merged:
                self._on_full(pack)

    def _has_room(self, pack: OpenPack, length: int, count: int = 1) -> bool:
        entries = len(pack.blobs) + count
        return entries <= MAX_PACK_ENTRIES and pack.fits(length + entries * _HEADER_ENTRY + _HEADER_ROOM)


def _fresh_memory(size: int) -> mmap.mmap:
    """So much memory, in large pages where the kernel has some: it clears and finds them faster."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel without them
        pass
    return memory
