"""Index files decoded by a second process (`appliance.repository.second`).

It is handed index files as they are stored, and hands back what the index will hold of each. What is wrong with one
that it cannot decode, the first process finds out.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import msgspec

from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import ID_SIZE, content_id
from appliance.repository.indexcolumns import DRAWERS, RECORD, IndexColumns, index_columns
from appliance.repository.indexfile import read_index, split
from appliance.repository.second import Gone, SecondProcess, Work, serve
from appliance.repository.unpacked import decode_unpacked
from appliance.storage.interface import Buffer
from appliance.text import T

_AT_ONCE = 2
"""Files: one being decoded, and one waiting, so that the process never is."""


class _Head(msgspec.Struct, array_like=True):
    """Ids of packs, one after another, and the numbers of records; the records follow, type by type."""

    packs: bytes
    counts: list[list[int]]


_heads = msgspec.msgpack.Decoder(_Head)


class SecondIndexer:
    """The other process, as the first one sees it, for one thread."""

    def __init__(self, sealer: Sealer) -> None:
        self._process = SecondProcess("appliance.repository.second_index", sealer.export())

    @property
    def has_room(self) -> bool:
        """Whether it can be given a file."""
        return self._process.waiting < _AT_ONCE and not self._process.is_gone

    def submit(self, name: str, sealed: Buffer) -> None:
        """Hands over the index file of this name."""
        self._process.submit(name.encode(), sealed)

    def collect(self, *, wait: bool) -> tuple[IndexColumns | None] | None:
        """What the oldest file names, inside None when the other process does not say; None: it is not there yet."""
        try:
            answer = self._process.collect(wait=wait)
        except Gone:
            return (None,)
        return answer and (_columns(*answer),)

    def close(self) -> None:
        """Ends the other process."""
        self._process.close()


def columns_of(sealer: Sealer, name: str, sealed: Buffer) -> IndexColumns:
    """What the index will hold of the index file of this name, in either process. Raises `DamagedData`."""
    if content_id(sealed).hex() != name:
        raise DamagedData(T("Its content does not match its name."))
    return index_columns(read_index(decode_unpacked(sealer.open(sealed))))


def _columns(head: bytes, data: Buffer) -> IndexColumns | None:
    """What an answer says; None when it makes no sense."""
    try:
        said = _heads.decode(head)
    except msgspec.MsgspecError:
        return None
    sizes = [sum(counts) * RECORD.size for counts in said.counts]
    if len(said.packs) % ID_SIZE or any(len(counts) != DRAWERS for counts in said.counts) or sum(sizes) != len(data):
        return None
    view = memoryview(data)
    ends = list(accumulate(sizes, initial=0))
    return IndexColumns(split(said.packs), said.counts, [view[start:end] for start, end in pairwise(ends)])


def _begin(greeting: bytes) -> Work:
    sealer = Sealer(MasterKey.from_json(greeting))

    def work(name: bytes, sealed: Buffer) -> tuple[bytes, Buffer]:
        try:
            columns = columns_of(sealer, name.decode(), sealed)
        except DamagedData:
            return b"", b""
        head = msgspec.msgpack.encode(_Head(b"".join(columns.packs), columns.counts))
        return head, b"".join(columns.records)

    return work


if __name__ == "__main__":
    serve(_begin)
