"""The index in memory: where each blob lies, for repositories of many millions of blobs.

An entry is a record of 48 bytes (id, pack number, offset, length, uncompressed length). Records lie in buckets
by the first 12 bits of the id. A bucket is one byte string: a sorted part, searched by bisection, and a short
unsorted tail, searched as text; when the tail grows past an eighth of the bucket, all is sorted. So loading is
appending, adding costs little, and nothing is ever a Python object per blob: about 55 bytes each.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, count, repeat
from typing import NamedTuple

from appliance.repository.crypto import OVERHEAD
from appliance.repository.errors import DamagedData
from appliance.repository.ids import ID_SIZE, BlobType, parse_id
from appliance.repository.indexfile import IndexedBlob, IndexedPack
from appliance.repository.pack import PackedBlob
from appliance.text import T

_RECORD = struct.Struct(f"<{ID_SIZE}sIIII")
_SIZE = _RECORD.size
_BUCKETS = 1 << 12
_SHORT_TAIL = 32 * _SIZE


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


class _Bucket:
    """Records with the same first bits of the id."""

    __slots__ = ("records", "sorted_size")

    def __init__(self) -> None:
        self.records = bytearray()
        self.sorted_size = 0

    def find(self, blob_id: bytes) -> int:
        """The offset of the first record with this id, or -1."""
        tail = len(self.records) - self.sorted_size
        if tail > _SHORT_TAIL and tail * 8 > len(self.records):
            self._sort()
        records = self.records
        low, high = 0, self.sorted_size // _SIZE
        while low < high:
            middle = (low + high) // 2
            at = middle * _SIZE
            if records[at : at + ID_SIZE] < blob_id:
                low = middle + 1
            else:
                high = middle
        at = low * _SIZE
        if at < self.sorted_size and records[at : at + ID_SIZE] == blob_id:
            return at
        return self._find_in_tail(blob_id, self.sorted_size)

    def find_next(self, blob_id: bytes, at: int) -> int:
        """The offset of the record with the same id that follows the one at `at`, or -1."""
        at += _SIZE
        if at < self.sorted_size:
            if self.records[at : at + ID_SIZE] == blob_id:
                return at
            at = self.sorted_size
        return self._find_in_tail(blob_id, at)

    def _find_in_tail(self, blob_id: bytes, start: int) -> int:
        at = self.records.find(blob_id, start)
        while at >= 0 and at % _SIZE:
            at = self.records.find(blob_id, at + 1)
        return at

    def _sort(self) -> None:
        records = self.records
        ordered = sorted(bytes(records[at : at + _SIZE]) for at in range(0, len(records), _SIZE))
        # Rebuilt, not changed in place: the new array has no spare room.
        self.records = bytearray(b"".join(ordered))
        self.sorted_size = len(self.records)


def _ids(blobs: Iterable[IndexedBlob]) -> bytes:
    """The ids of all blobs, one after another. Raises `DamagedData` when a name is none."""
    names = "".join([blob.id for blob in blobs])
    try:
        ids = bytes.fromhex(names)
    except ValueError:
        ids = b""
    if ids.hex() != names:  # capitals and spaces, too, are read as hexadecimal
        raise DamagedData(T("A name in it is not an id."))
    return ids


class Index:
    """The known blobs of a repository. Any number of threads may use one object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets = tuple([_Bucket() for _ in range(_BUCKETS)] for _ in BlobType)
        self._counts = [0 for _ in BlobType]
        self._pack_ids: list[bytes] = []
        self._pack_numbers: dict[bytes, int] = {}

    def add_pack(self, pack_id: bytes, blobs: Iterable[PackedBlob]) -> None:
        """Makes the blobs of a stored pack known; a pack that is known already is ignored."""
        with self._lock:
            if pack_id in self._pack_numbers:
                return
            number = len(self._pack_ids)
            self._pack_ids.append(pack_id)
            self._pack_numbers[pack_id] = number
            pack = _RECORD.pack
            for kind, blob_id, offset, length, uncompressed in blobs:
                bucket = self._buckets[kind][blob_id[0] << 4 | blob_id[1] >> 4]
                bucket.records += pack(blob_id, number, offset, length, uncompressed)
                self._counts[kind] += 1

    def add_indexed(self, packs: Iterable[IndexedPack]) -> None:
        """Makes the packs of an index file known, as `add_pack` does each, column by column rather than blob by blob.

        Raises `DamagedData`, and then knows no more than before.
        """
        named = {parse_id(pack.id): pack.blobs for pack in packs}
        with self._lock:
            fresh = {pack_id: blobs for pack_id, blobs in named.items() if pack_id not in self._pack_numbers}
            first = len(self._pack_ids)
            blobs = list(chain.from_iterable(fresh.values()))
            numbers = list(chain.from_iterable(map(repeat, count(first), map(len, fresh.values()))))
            columns = []
            for kind in BlobType:
                mine = [blob.type == kind.word for blob in blobs]
                chosen = list(compress(blobs, mine))
                columns.append((kind, _ids(chosen), list(compress(numbers, mine)), chosen))
            for kind, ids, pack_numbers, chosen in columns:
                self._add_records(kind, ids, pack_numbers, chosen)
            self._pack_ids.extend(fresh)
            self._pack_numbers.update(zip(fresh, count(first), strict=False))

    def _add_records(self, kind: BlobType, ids: bytes, numbers: list[int], blobs: list[IndexedBlob]) -> None:
        records = map(
            _RECORD.pack,
            [ids[at : at + ID_SIZE] for at in range(0, len(ids), ID_SIZE)],
            numbers,
            [blob.offset for blob in blobs],
            [blob.length for blob in blobs],
            [blob.uncompressed_length for blob in blobs],
        )
        portions: list[list[bytes]] = [[] for _ in range(_BUCKETS)]
        appends = [portion.append for portion in portions]
        for first, second, record in zip(ids[::ID_SIZE], ids[1::ID_SIZE], records, strict=True):
            appends[first << 4 | second >> 4](record)
        for bucket, portion in zip(self._buckets[kind], portions, strict=True):
            bucket.records += b"".join(portion)
        self._counts[kind] += len(blobs)

    def has(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether a copy of this blob is stored."""
        bucket = self._buckets[kind][blob_id[0] << 4 | blob_id[1] >> 4]
        with self._lock:
            return bucket.find(blob_id) >= 0

    def locations(self, kind: BlobType, blob_id: bytes) -> Sequence[BlobLocation]:
        """Every stored copy of this blob; empty when there is none."""
        bucket = self._buckets[kind][blob_id[0] << 4 | blob_id[1] >> 4]
        found: list[BlobLocation] = []
        with self._lock:
            at = bucket.find(blob_id)
            while at >= 0:
                _, number, offset, length, uncompressed = _RECORD.unpack_from(bucket.records, at)
                found.append(BlobLocation(self._pack_ids[number], offset, length, uncompressed or None))
                at = bucket.find_next(blob_id, at)
        return found

    def count(self, kind: BlobType) -> int:
        """Entries of this type; a blob with two copies counts twice."""
        return self._counts[kind]

    def packs(self) -> Sequence[bytes]:
        """The ids of all known packs."""
        with self._lock:
            return tuple(self._pack_ids)

    def blobs(self, kind: BlobType) -> Iterator[tuple[bytes, BlobLocation]]:
        """Every entry of this type as (blob id, location), copies included, in no given order.

        Entries added while iterating may or may not be seen.
        """
        for bucket in self._buckets[kind]:
            with self._lock:
                records = bytes(bucket.records)
            for blob_id, number, offset, length, uncompressed in _RECORD.iter_unpack(records):
                yield blob_id, BlobLocation(self._pack_ids[number], offset, length, uncompressed or None)
