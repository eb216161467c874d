"""The index in memory: where each blob lies, for repositories of many millions of blobs.

An entry is a record of 48 bytes (id, pack number, offset, length, uncompressed length). Records lie in drawers by the
first byte of the id. A drawer is a piece of memory from the kernel, to which records are added as they come, and which
is sorted when it is searched. What single packs add waits in a dictionary until there is enough to be worth sorting in.
So a blob is no Python object for long, and takes 50 bytes and its share of a pack's 44.
"""

from __future__ import annotations

import sys
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from appliance.repository.crypto import OVERHEAD
from appliance.repository.growing import GrowingMemory
from appliance.repository.ids import ID_SIZE, BlobType
from appliance.repository.indexcolumns import DRAWERS, RECORD, IndexColumns, each_record
from appliance.repository.pack import PackedBlob
from appliance.repository.packnumbers import PackNumbers
from appliance.storage.interface import Buffer

_SIZE = RECORD.size
_FEW = 4096
"""Blobs that may wait in the dictionary however few there are in all; of many, it is every 32nd."""


class BlobLocation(NamedTuple):
    """Where one copy of a blob is stored; sizes are bytes, `length` is that of the sealed form.

    `uncompressed_length` is None for a blob that is stored without compression.
    """

    pack_id: bytes
    offset: int
    length: int
    uncompressed_length: int | None

    @property
    def plain_length(self) -> int:
        """The size of the blob's content."""
        return self.length - OVERHEAD if self.uncompressed_length is None else self.uncompressed_length


class _Drawer:
    """Records whose ids begin with the same byte: sorted when they are first searched."""

    __slots__ = ("_heads", "_memory", "_sorted")

    def __init__(self) -> None:
        self._memory = GrowingMemory()
        self._sorted = 0
        """Bytes that were there when all was sorted."""
        self._heads = array("H")
        """The second and third byte of each sorted id."""

    def add(self, records: Buffer) -> None:
        self._memory.add(records)

    def has(self, blob_id: bytes) -> bool:
        """Whether there is a record with this id."""
        self._sort()
        # Few ids begin alike, so that the first that begins so is mostly the one.
        at = bisect_left(self._heads, blob_id[1] << 8 | blob_id[2]) * _SIZE
        if self._memory.bytes[at : at + ID_SIZE] != blob_id:
            at = self._position(blob_id)
        return at < self._sorted and self._memory.bytes[at : at + ID_SIZE] == blob_id

    def find(self, blob_id: bytes) -> Iterator[bytes]:
        """Every record with this id."""
        memory = self._memory.bytes
        for at in range(self._position(blob_id), self._sorted, _SIZE):
            if memory[at : at + ID_SIZE] != blob_id:
                break
            yield memory[at : at + _SIZE]

    def _position(self, blob_id: bytes) -> int:
        """Where the first record with this id lies, if there is one."""
        self._sort()
        head = blob_id[1] << 8 | blob_id[2]
        low = bisect_left(self._heads, head)
        high = bisect_right(self._heads, head, low)
        memory = self._memory.bytes
        while low < high:
            middle = (low + high) // 2
            at = middle * _SIZE
            if memory[at : at + ID_SIZE] < blob_id:
                low = middle + 1
            else:
                high = middle
        return low * _SIZE

    def records(self) -> bytes:
        """All records, in no given order."""
        return self._memory.bytes[: self._memory.used]

    def _sort(self) -> None:
        """Puts what has been added since the last time in its place."""
        if self._sorted == self._memory.used:
            return
        records = b"".join(sorted(each_record(self.records())))
        self._memory.bytes[: len(records)] = records
        heads = bytearray(2 * (len(records) // _SIZE))
        heads[::2], heads[1::2] = records[1::_SIZE], records[2::_SIZE]
        self._heads = array("H")
        self._heads.frombytes(heads)
        if sys.byteorder == "little":
            self._heads.byteswap()
        self._sorted = len(records)


class _Blobs:
    """The blobs of one type."""

    def __init__(self) -> None:
        self.count = 0
        self._drawers: list[_Drawer | None] = [None] * DRAWERS
        self._few: dict[bytes, bytes] = {}
        """Records by id, one after another, that are in no drawer yet."""
        self._waiting = 0
        """How many records these are; any number of them may have the same id."""

    def add(self, blob_id: bytes, record: bytes) -> None:
        self._few[blob_id] = self._few.get(blob_id, b"") + record
        self._waiting += 1
        self.count += 1
        if self._waiting > max(_FEW, self.count // 32):
            self.put_away()

    def add_many(self, counts: Iterable[int], records: Buffer) -> None:
        """Adds records that lie by the first byte of the id, of which so many begin with each."""
        view = memoryview(records)
        ends = accumulate(count * _SIZE for count in counts)
        start = 0
        for first, end in enumerate(ends):
            if end > start:
                self._drawer(first).add(view[start:end])
            start = end
        self.count += len(records) // _SIZE

    def put_away(self) -> None:
        """Puts all records into drawers."""
        portions: defaultdict[int, list[bytes]] = defaultdict(list)
        for blob_id, records in self._few.items():
            portions[blob_id[0]].append(records)
        for first, portion in portions.items():
            self._drawer(first).add(b"".join(portion))
        self._few = {}
        self._waiting = 0

    def unknown(self, blob_ids: Iterable[bytes]) -> list[bytes]:
        """Those ids that no record has."""
        few, drawers = self._few, self._drawers
        return [
            blob_id
            for blob_id in blob_ids
            if blob_id not in few and not ((drawer := drawers[blob_id[0]]) and drawer.has(blob_id))
        ]

    def find(self, blob_id: bytes) -> Iterator[bytes]:
        """Every record with this id."""
        if records := self._few.get(blob_id):
            yield from (records[at : at + _SIZE] for at in range(0, len(records), _SIZE))
        if drawer := self._drawers[blob_id[0]]:
            yield from drawer.find(blob_id)

    def drawers(self) -> Iterator[_Drawer]:
        return filter(None, self._drawers)

    def _drawer(self, first: int) -> _Drawer:
        drawer = self._drawers[first] = self._drawers[first] or _Drawer()
        return drawer


class Index:
    """The known blobs of a repository. Any number of threads may use one object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs = tuple(_Blobs() for _ in BlobType)
        self._packs = PackNumbers()

    def add_pack(self, pack_id: bytes, blobs: Iterable[PackedBlob]) -> None:
        """Makes the blobs of a stored pack known; a pack that is known already is ignored."""
        with self._lock:
            if pack_id in self._packs:
                return
            number = self._packs.add(pack_id)
            pack = RECORD.pack
            for kind, blob_id, offset, length, uncompressed in blobs:
                self._blobs[kind].add(blob_id, pack(blob_id, number, offset, length, uncompressed))

    def add_columns(self, columns: IndexColumns) -> None:
        """Makes the packs of an index file known, as `add_pack` does each. The columns are used up."""
        with self._lock:
            first = len(self._packs)
            if known := self._packs.add_all(columns.packs):
                columns = columns.without(known)
            columns.number_from(first)
            for blobs, counts, records in zip(self._blobs, columns.counts, columns.records, strict=True):
                blobs.add_many(counts, records)

    def has(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether a copy of this blob is stored."""
        return not self.unknown(kind, (blob_id,))

    def unknown(self, kind: BlobType, blob_ids: Iterable[bytes]) -> list[bytes]:
        """Those of these blobs of which no copy is stored."""
        with self._lock:
            return self._blobs[kind].unknown(blob_ids)

    def locations(self, kind: BlobType, blob_id: bytes) -> Sequence[BlobLocation]:
        """Every stored copy of this blob; empty when there is none."""
        with self._lock:
            return [self._location(*RECORD.unpack(record)) for record in self._blobs[kind].find(blob_id)]

    def location(self, kind: BlobType, blob_id: bytes) -> BlobLocation | None:
        """A stored copy of this blob; None when there is none."""
        with self._lock:
            for record in self._blobs[kind].find(blob_id):
                return self._location(*RECORD.unpack(record))
        return None

    def count(self, kind: BlobType) -> int:
        """Entries of this type; a blob with two copies counts twice."""
        return self._blobs[kind].count

    def packs(self) -> Sequence[bytes]:
        """The ids of all known packs."""
        with self._lock:
            return tuple(self._packs)

    def blobs(self, kind: BlobType) -> Iterator[tuple[bytes, BlobLocation]]:
        """Every entry of this type as (blob id, location), copies included, in no given order.

        Entries added while iterating may or may not be seen.
        """
        with self._lock:
            self._blobs[kind].put_away()
        for drawer in self._blobs[kind].drawers():
            with self._lock:
                records = drawer.records()
            for record in RECORD.iter_unpack(records):
                yield record[0], self._location(*record)

    def _location(self, _: bytes, number: int, offset: int, length: int, uncompressed: int) -> BlobLocation:
        return BlobLocation(self._packs[number], offset, length, uncompressed or None)
