"""Index files decoded by a second process (`appliance.repository.second`).

It is handed the JSON of an index file, and hands back what the index will hold of it. What is wrong with one that it
cannot decode, the first process finds out.
"""

from __future__ import annotations

import threading

import msgspec

from appliance.repository.errors import DamagedData
from appliance.repository.ids import ID_SIZE
from appliance.repository.indexcolumns import DRAWERS, RECORD, IndexColumns, index_columns, split
from appliance.repository.indexfile import read_index
from appliance.repository.second import Gone, SecondProcess, Work, serve
from appliance.storage.interface import Buffer


class _Head(msgspec.Struct, array_like=True):
    """Ids of packs, one after another, and the numbers of records; the records follow, type by type."""

    packs: bytes
    counts: list[list[int]]


_heads = msgspec.msgpack.Decoder(_Head)


class SecondIndexer:
    """The other process, as the first one sees it. One thread at a time uses it: the one that holds `turn`."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self._process = SecondProcess("appliance.repository.second_index", b"")

    def columns(self, json: Buffer) -> IndexColumns | None:
        """What the index file names; None when the other process does not say."""
        self._process.submit(b"", json)
        try:
            answer = self._process.collect(wait=True)
        except Gone:
            return None
        return _columns(*answer) if answer else None

    def close(self) -> None:
        """Ends the other process."""
        self._process.close()


def _columns(head: bytes, data: bytes) -> IndexColumns | None:
    """What an answer says; None when it makes no sense."""
    try:
        said = _heads.decode(head)
    except msgspec.MsgspecError:
        return None
    sizes = [sum(counts) * RECORD.size for counts in said.counts]
    if len(said.packs) % ID_SIZE or any(len(counts) != DRAWERS for counts in said.counts) or sum(sizes) != len(data):
        return None
    records, at = [], 0
    for size in sizes:
        records.append(bytearray(data[at : at + size]))
        at += size
    return IndexColumns(split(said.packs), said.counts, records)


def _work(_: bytes, json: bytes) -> tuple[bytes, Buffer]:
    try:
        columns = index_columns(read_index(json))
    except DamagedData:
        return b"", b""
    head = msgspec.msgpack.encode(_Head(b"".join(columns.packs), columns.counts))
    return head, b"".join(columns.records)


def _begin(_: bytes) -> Work:
    return _work


if __name__ == "__main__":
    serve(_begin)
