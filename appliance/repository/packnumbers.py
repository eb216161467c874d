"""The packs that an index knows: their ids by number, and their numbers by id.

A list and a dictionary would take 160 bytes a pack. This takes 32 for the id and, as a table of numbers that is
searched from the place which the id's hash says, 8 to 16 more.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence

from appliance.repository.growing import GrowingMemory
from appliance.repository.ids import ID_SIZE

_ID = struct.Struct(f"{ID_SIZE}s")


class PackNumbers:
    """Pack ids, numbered from 0 in the order in which they were added."""

    def __init__(self) -> None:
        self._ids = GrowingMemory()
        self._table = array("I", bytes(4 * 64))
        """Numbers, counted from 1; 0 is a free place. At least half of them are free."""

    def __len__(self) -> int:
        return self._ids.used // ID_SIZE

    def __getitem__(self, number: int) -> bytes:
        return self._ids.bytes[number * ID_SIZE : (number + 1) * ID_SIZE]

    def __iter__(self) -> Iterator[bytes]:
        return map(self.__getitem__, range(len(self)))

    def __contains__(self, pack_id: bytes) -> bool:
        return self._table[self._place(pack_id)] != 0

    def add(self, pack_id: bytes) -> int:
        """The number of a pack that is not known yet."""
        self.add_all((pack_id,))
        return len(self) - 1

    def add_all(self, pack_ids: Sequence[bytes]) -> set[bytes]:
        """Adds packs that differ, in their order, but for those that are known already: these are returned."""
        before = len(self)
        self._make_room(before + len(pack_ids))
        known: set[bytes] = set()
        table, ids = self._table, self._ids.bytes
        last = len(table) - 1
        next_number = before + 1
        for pack_id in pack_ids:
            place = hash(pack_id) & last
            while number := table[place]:
                if number <= before and ids[(number - 1) * ID_SIZE : number * ID_SIZE] == pack_id:
                    known.add(pack_id)
                    break
                place = (place + 1) & last
            else:
                table[place] = next_number
                next_number += 1
        self._ids.add(b"".join([pack_id for pack_id in pack_ids if pack_id not in known] if known else pack_ids))
        return known

    def _make_room(self, count: int) -> None:
        """Makes the table large enough for so many packs."""
        size = len(self._table)
        while size < 2 * count:
            size *= 2
        if size == len(self._table):
            return
        self._table = table = array("I", bytes(4 * size))
        last = size - 1
        for number, (pack_id,) in enumerate(_ID.iter_unpack(self._ids.bytes[: self._ids.used]), 1):
            place = hash(pack_id) & last
            while table[place]:
                place = (place + 1) & last
            table[place] = number

    def number(self, pack_id: bytes) -> int | None:
        """The number of this pack; None when it is not known."""
        return self._table[self._place(pack_id)] - 1 if pack_id in self else None

    def _place(self, pack_id: bytes) -> int:
        """Where the table holds this pack, or would.

        Python's hash says where to begin, which nobody outside this process can foresee.
        """
        table, ids = self._table, self._ids.bytes
        last = len(table) - 1
        place = hash(pack_id) & last
        while number := table[place]:
            if ids[(number - 1) * ID_SIZE : number * ID_SIZE] == pack_id:
                break
            place = (place + 1) & last
        return place
