"""Content-defined chunking: FastCDC with borders that only this repository's secret predicts (format 1.6).

Nothing in the format prescribes the borders. The sizes are near restic's (at least 512 KiB, at most 8 MiB, about
1.2 MiB on average), so that a repository behaves as its tools expect. The gear table is seeded from the
config's polynomial, which is stored encrypted: with a public table, the sizes of chunks alone would tell which
known files a repository holds.

Data that is all zeros is cut into chunks of `MAX_CHUNK`, whatever the seed, as long as it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

from pyfastcdc import FastCDC

MIN_CHUNK = 512 << 10
AVERAGE_CHUNK = 768 << 10
MAX_CHUNK = 8 << 20

_SEGMENT = 2 << 20
"""Bytes read at a time: few, so that what was just read is in the processor's cache when it is cut and hashed."""


class Readable(Protocol):
    """What is cut: anything that reads into a buffer, 0 bytes at its end."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Chunker:
    """Cuts streams into chunks. Any number of threads may use one object."""

    def __init__(self, polynomial: int) -> None:
        digest = sha256(b"kurabako gear seed" + polynomial.to_bytes(8, "big")).digest()
        # pyfastcdc doubles the seed within 64 bits; 0 would be its public table.
        self._seed = int.from_bytes(digest[:8], "big") >> 1 or 1

    def chunks(self, source: Readable, size_hint: int | None = None) -> Iterator[memoryview]:
        """The chunks of everything `source` still has, in order; none for an empty one.

        A chunk stays valid for as long as it is kept; chunks that lie together share their memory. `size_hint`
        is the expected size in bytes: right, it saves memory and a copy, and wrong, it does no harm.
        """
        size = _SEGMENT if size_hint is None else max(1, min(size_hint + 1, _SEGMENT))
        cutter: FastCDC | None = None
        rest = memoryview(b"")
        while True:
            segment = memoryview(bytearray(size + len(rest)))
            segment[: len(rest)] = rest
            filled, ended = _fill(source, segment, len(rest))
            view = segment[:filled]
            if ended and filled <= MIN_CHUNK:
                if filled:
                    yield view
                return
            # A FastCDC object must not be used by two threads at once; the table costs little to make.
            cutter = cutter or FastCDC(
                AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK, normalized_chunking=1, seed=self._seed
            )
            used = 0
            for chunk in cutter.cut_buf(view):
                end = chunk.offset + chunk.length
                # The last chunk ends where the segment does, not where its content says.
                if end == filled and not ended:
                    break
                yield view[chunk.offset : end]
                used = end
            rest = view[used:]
            if ended:
                return
            size = _SEGMENT


def _fill(source: Readable, segment: memoryview, at: int) -> tuple[int, bool]:
    """Reads until the segment is full or the source ends: (bytes filled, whether it ended)."""
    while at < len(segment):
        count = source.readinto(segment[at:])
        if not count:
            return at, True
        at += count
    return at, False
