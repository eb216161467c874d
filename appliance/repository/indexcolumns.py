"""What an index file names, as the index in memory will hold it: made at once, column by column, in any process."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, compress, count, repeat
from typing import NamedTuple

from appliance.repository.ids import ID_SIZE, BlobType
from appliance.repository.indexfile import IndexedBlob, IndexedPack, ids_of, split
from appliance.storage.interface import Buffer

RECORD = struct.Struct(f"={ID_SIZE}sIIII")
"""A blob: its id, its pack's number, offset, length, uncompressed length (0: not compressed)."""

DRAWERS = 256
"""Records are kept by the first byte of the id."""

_WHOLE = struct.Struct(f"{RECORD.size}s")
_AT_ONCE = 256
_MANY = struct.Struct(f"{RECORD.size}s" * _AT_ONCE)

_PACK = ID_SIZE // 4
"""Where in a record, as words of 4 bytes, the pack's number is."""
_WORDS = RECORD.size // 4


class IndexColumns(NamedTuple):
    """The packs that an index file names, once each, and their blobs.

    `records` holds, per type of blob, all records by the first byte of the id, and `counts` how many there are with
    each; a record's pack is its place in `packs`.
    """

    packs: list[bytes]
    counts: list[list[int]]
    records: list[bytearray | memoryview]

    def number_from(self, first: int) -> None:
        """Changes the records: their packs are numbered from `first`, not from 0.

        All numbers of a type are added to at once, as one: none of them reaches 2^32, so none changes its neighbour.
        """
        for records in self.records:
            numbers = memoryview(records).cast("I")[_PACK::_WORDS]
            each = int.from_bytes(first.to_bytes(4, sys.byteorder) * len(numbers), sys.byteorder)
            changed = int.from_bytes(numbers.tobytes(), sys.byteorder) + each
            numbers[:] = memoryview(changed.to_bytes(4 * len(numbers), sys.byteorder)).cast("I")

    def without(self, known: Collection[bytes]) -> IndexColumns:
        """These columns less the packs that are `known`."""
        packs = [pack_id for pack_id in self.packs if pack_id not in known]
        places = {pack_id: place for place, pack_id in enumerate(packs)}
        portions = [_by_drawer(b"", ()) for _ in BlobType]
        for portion, records in zip(portions, self.records, strict=True):
            for blob_id, number, *place in RECORD.iter_unpack(records):
                if self.packs[number] in places:
                    portion[blob_id[0]].append(RECORD.pack(blob_id, places[self.packs[number]], *place))
        return _columns(packs, portions)


def index_columns(packs: Sequence[IndexedPack]) -> IndexColumns:
    """What the index will hold of these packs; of one that is named twice the first counts. Raises `DamagedData`."""
    named: dict[bytes, list[IndexedBlob]] = {}
    for pack_id, pack in zip(split(ids_of(packs)), packs, strict=True):
        if named.setdefault(pack_id, pack.blobs) is not pack.blobs:
            ids_of(pack.blobs)  # a name that is none is refused, needed or not
    blobs = list(chain.from_iterable(named.values()))
    numbers = array("I", chain.from_iterable(map(repeat, count(), map(len, named.values()))))
    portions = []
    for kind in BlobType:
        mine, mine_numbers = _of_type(kind, blobs, numbers)
        ids = ids_of(mine)
        portions.append(_by_drawer(ids[::ID_SIZE], each_record(_records(ids, mine_numbers, mine))))
    return _columns(list(named), portions)


def each_record(records: Buffer) -> Iterator[bytes]:
    """The records that stand one after another. To unpack many at once is the fastest way to have them one by one."""
    view = memoryview(records)
    many = len(view) // _MANY.size * _MANY.size
    return chain(
        chain.from_iterable(_MANY.iter_unpack(view[:many])), chain.from_iterable(_WHOLE.iter_unpack(view[many:]))
    )


def _of_type(kind: BlobType, blobs: list[IndexedBlob], numbers: array[int]) -> tuple[list[IndexedBlob], array[int]]:
    """Those of the blobs that are of this type, and their packs' numbers."""
    types = [blob.type for blob in blobs]
    count = types.count(kind.word)  # type: ignore[arg-type]
    if count == len(blobs):
        return blobs, numbers
    mine = [type == kind.word for type in types] if count else []
    return list(compress(blobs, mine)), array("I", compress(numbers, mine))


def _records(ids: bytes, numbers: array[int], blobs: list[IndexedBlob]) -> bytearray:
    """A record for each blob. Column by column, which is several times faster than record by record."""
    records = bytearray(RECORD.size * len(blobs))
    words, id_words = memoryview(records).cast("Q"), memoryview(ids).cast("Q")
    for word in range(ID_SIZE // 8):
        words[word :: RECORD.size // 8] = id_words[word :: ID_SIZE // 8]
    columns = (
        numbers,
        array("I", [blob.offset for blob in blobs]),
        array("I", [blob.length for blob in blobs]),
        array("I", [blob.uncompressed_length for blob in blobs]),
    )
    fields = memoryview(records).cast("I")
    for field, column in enumerate(columns, _PACK):
        fields[field::_WORDS] = column
    return records


def _by_drawer(firsts: bytes, records: Iterable[bytes]) -> list[list[bytes]]:
    """Records, each with the first byte of its id, by that byte."""
    portions: list[list[bytes]] = [[] for _ in range(DRAWERS)]
    for portion, record in zip(map(portions.__getitem__, firsts), records, strict=True):
        portion.append(record)
    return portions


def _columns(packs: list[bytes], portions: list[list[list[bytes]]]) -> IndexColumns:
    return IndexColumns(
        packs,
        [[len(portion) for portion in of_type] for of_type in portions],
        [bytearray(b"".join(chain.from_iterable(of_type))) for of_type in portions],
    )
