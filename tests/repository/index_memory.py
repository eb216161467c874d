"""`python -m tests.repository.index_memory`: prints what each further blob takes in the index: bytes of memory.

Half a million blobs, twelve to a pack, as index files name them; then all are searched.
"""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

from appliance.repository import BlobType
from appliance.repository.index import Index
from appliance.repository.indexcolumns import index_columns
from appliance.repository.indexfile import MAX_BLOBS, IndexedBlob, IndexedPack

BLOBS = 500_000
_PER_PACK = 12


def resident() -> int:
    """Bytes of this process's own memory, when the kernel has back what is free."""
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def index_file(chance: random.Random, number: int) -> list[IndexedPack]:
    def blob(at: int) -> IndexedBlob:
        return IndexedBlob(chance.randbytes(32).hex(), "tree" if number == 0 else "data", at << 20, 1 << 20, 1 << 21)

    return [
        IndexedPack(chance.randbytes(32).hex(), [blob(at) for at in range(_PER_PACK)])
        for _ in range(MAX_BLOBS // _PER_PACK)
    ]


def fill(index: Index, chance: random.Random, files: int) -> None:
    for number in range(files):
        index.add_columns(index_columns(index_file(chance, number)))
    for first in range(256):
        for kind in BlobType:
            assert not index.has(kind, bytes([first]) * 32)


def main() -> None:
    chance = random.Random(2)
    index = Index()
    fill(index, chance, 2)  # what taking in a file needs for a moment, Python keeps for the next one
    counted, taken = blobs_in(index), resident()
    fill(index, chance, BLOBS // MAX_BLOBS)
    print((resident() - taken) / (blobs_in(index) - counted))


def blobs_in(index: Index) -> int:
    return sum(index.count(kind) for kind in BlobType)


if __name__ == "__main__":
    main()
