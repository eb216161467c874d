"""The index in memory: where each blob lies, for repositories of many millions of blobs.

An entry is a record of 48 bytes (id, pack number, offset, length, uncompressed length). Records lie in drawers by the
first byte of the id. A drawer is a piece of memory from the kernel, to which records are added as they come, and which
is sorted when it is searched. What single packs add waits in a dictionary until there is enough to be worth sorting in.
So a blob is no Python object for long, and takes 50 bytes and its share of a pack's 44.
"""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, count, repeat
from typing import NamedTuple

from appliance.repository.crypto import OVERHEAD
from appliance.repository.errors import DamagedData
from appliance.repository.growing import GrowingMemory
from appliance.repository.ids import ID_SIZE, BlobType
from appliance.repository.indexfile import IndexedBlob, IndexedPack
from appliance.repository.pack import PackedBlob
from appliance.repository.packnumbers import PackNumbers
from appliance.storage.interface import Buffer
from appliance.text import T

_RECORD = struct.Struct(f"={ID_SIZE}sIIII")
_SIZE = _RECORD.size
_WHOLE = struct.Struct(f"{_SIZE}s")
_DRAWERS = 256
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

    def add(self, records: bytes) -> None:
        self._memory.add(records)

    def find(self, blob_id: bytes) -> Iterator[bytes]:
        """Every record with this id."""
        if self._sorted != self._memory.used:
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
        for at in range(low * _SIZE, self._sorted, _SIZE):
            if memory[at : at + ID_SIZE] != blob_id:
                break
            yield memory[at : at + _SIZE]

    def records(self) -> bytes:
        """All records, in no given order."""
        return self._memory.bytes[: self._memory.used]

    def _sort(self) -> None:
        records = b"".join(sorted(record for (record,) in _WHOLE.iter_unpack(self.records())))
        self._memory.bytes[: len(records)] = records
        heads = bytearray(2 * (len(records) // _SIZE))
        heads[::2], heads[1::2] = records[1::_SIZE], records[2::_SIZE]
        self._heads = array("H")
        self._heads.frombytes(heads)
        if sys.byteorder == "little":
            self._heads.byteswap()
        self._sorted = len(records)


def _ids(named: Iterable[IndexedBlob | IndexedPack]) -> bytes:
    """The ids of these blobs or packs, one after another. Raises `DamagedData` when a name is none."""
    names = "".join([each.id for each in named])
    try:
        ids = bytes.fromhex(names)
    except ValueError:
        ids = b""
    if ids.hex() != names:  # capitals and spaces, too, are read as hexadecimal
        raise DamagedData(T("A name in it is not an id."))
    return ids


def _split(ids: bytes) -> list[bytes]:
    return [ids[at : at + ID_SIZE] for at in range(0, len(ids), ID_SIZE)]


def _of_type(kind: BlobType, blobs: list[IndexedBlob], numbers: array[int]) -> tuple[list[IndexedBlob], array[int]]:
    """Those of the blobs that are of this type, and their packs' numbers."""
    types = [blob.type for blob in blobs]
    count = types.count(kind.word)  # type: ignore[arg-type]
    if count == len(blobs):
        return blobs, numbers
    mine = [type == kind.word for type in types] if count else []
    return list(compress(blobs, mine)), array("I", compress(numbers, mine))


def _records(ids: bytes, numbers: array[int], blobs: list[IndexedBlob]) -> bytearray:
    """A record for each blob: its id, its pack's number, and what the index file says of it.

    Column by column, which is several times faster than record by record.
    """
    records = bytearray(_SIZE * len(blobs))
    words, id_words = memoryview(records).cast("Q"), memoryview(ids).cast("Q")
    for word in range(ID_SIZE // 8):
        words[word :: _SIZE // 8] = id_words[word :: ID_SIZE // 8]
    columns = (
        numbers,
        array("I", [blob.offset for blob in blobs]),
        array("I", [blob.length for blob in blobs]),
        array("I", [blob.uncompressed_length for blob in blobs]),
    )
    fields = memoryview(records).cast("I")
    for field, column in enumerate(columns, ID_SIZE // 4):
        fields[field :: _SIZE // 4] = column
    return records


class _Blobs:
    """The blobs of one type."""

    def __init__(self) -> None:
        self.count = 0
        self._drawers: list[_Drawer | None] = [None] * _DRAWERS
        self._few: dict[bytes, bytes] = {}
        """Records by id, one after another, that are in no drawer yet."""

    def add(self, blob_id: bytes, record: bytes) -> None:
        self._few[blob_id] = self._few.get(blob_id, b"") + record
        self.count += 1
        if len(self._few) > max(_FEW, self.count // 32):
            self.put_away()

    def add_many(self, ids: bytes, records: Buffer) -> None:
        """Adds records; `ids` are theirs, one after another."""
        self._into_drawers(zip(ids[::ID_SIZE], chain.from_iterable(_WHOLE.iter_unpack(records)), strict=True))
        self.count += len(records) // _SIZE

    def put_away(self) -> None:
        """Puts all records into drawers."""
        self._into_drawers((blob_id[0], records) for blob_id, records in self._few.items())
        self._few = {}

    def find(self, blob_id: bytes) -> Iterator[bytes]:
        """Every record with this id."""
        if records := self._few.get(blob_id):
            yield from (records[at : at + _SIZE] for at in range(0, len(records), _SIZE))
        if drawer := self._drawers[blob_id[0]]:
            yield from drawer.find(blob_id)

    def drawers(self) -> Iterator[_Drawer]:
        return filter(None, self._drawers)

    def _into_drawers(self, records: Iterable[tuple[int, bytes]]) -> None:
        """Adds records, each given with the first byte of its id."""
        portions: list[list[bytes]] = [[] for _ in range(_DRAWERS)]
        for first, record in records:
            portions[first].append(record)
        for first, portion in enumerate(portions):
            if portion:
                drawer = self._drawers[first] = self._drawers[first] or _Drawer()
                drawer.add(b"".join(portion))


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
            pack = _RECORD.pack
            for kind, blob_id, offset, length, uncompressed in blobs:
                self._blobs[kind].add(blob_id, pack(blob_id, number, offset, length, uncompressed))

    def add_indexed(self, packs: Sequence[IndexedPack]) -> None:
        """Makes the packs of an index file known, as `add_pack` does each.

        Raises `DamagedData`, and then knows no more than before.
        """
        with self._lock:
            fresh: dict[bytes, list[IndexedBlob]] = {}
            for pack_id, pack in zip(_split(_ids(packs)), packs, strict=True):
                if pack_id in fresh or pack_id in self._packs:
                    _ids(pack.blobs)  # a name that is none is refused, needed or not
                else:
                    fresh[pack_id] = pack.blobs
            blobs = list(chain.from_iterable(fresh.values()))
            numbers = array("I", chain.from_iterable(map(repeat, count(len(self._packs)), map(len, fresh.values()))))
            columns = []
            for kind in BlobType:
                mine, mine_numbers = _of_type(kind, blobs, numbers)
                columns.append((kind, _ids(mine), mine, mine_numbers))
            for kind, ids, mine, mine_numbers in columns:
                self._blobs[kind].add_many(ids, _records(ids, mine_numbers, mine))
            self._packs.add_all(list(fresh))

    def has(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether a copy of this blob is stored."""
        with self._lock:
            return any(self._blobs[kind].find(blob_id))

    def locations(self, kind: BlobType, blob_id: bytes) -> Sequence[BlobLocation]:
        """Every stored copy of this blob; empty when there is none."""
        with self._lock:
            return [self._location(*_RECORD.unpack(record)) for record in self._blobs[kind].find(blob_id)]

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
            for record in _RECORD.iter_unpack(records):
                yield record[0], self._location(*record)

    def _location(self, _: bytes, number: int, offset: int, length: int, uncompressed: int) -> BlobLocation:
        return BlobLocation(self._packs[number], offset, length, uncompressed or None)
