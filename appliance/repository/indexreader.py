"""Reading index files ahead, and decoding them in two processes where there is much to decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from appliance.errors import KurabakoError
from appliance.repository.crypto import Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.files import file_name, load_json
from appliance.repository.indexcolumns import IndexColumns, index_columns
from appliance.repository.indexfile import read_index
from appliance.repository.overlap import overlapped
from appliance.repository.second import started
from appliance.repository.second_index import SecondIndexer, columns_of
from appliance.repository.unpacked import MAX_FILE
from appliance.storage.interface import Buffer, ObjectInfo, Storage

WORTH_A_PROCESS = 16 << 20
"""Bytes of index files from which on a second process earns its start."""

_READERS = 2
"""What one makes of a file takes longer than to read it."""

_AHEAD = 6
"""Files that are done, or being done, before the first of them is."""

_Found: TypeAlias = IndexColumns | KurabakoError


@dataclass
class _File:
    info: ObjectInfo
    found: _Found | None = None


def read_index_files(
    storage: Storage, sealer: Sealer, infos: Sequence[ObjectInfo]
) -> Generator[tuple[ObjectInfo, _Found], None, None]:
    """Each file and what it names, in order, or why it cannot be read."""
    is_much = sum(info.size for info in infos) >= WORTH_A_PROCESS
    second = started(lambda: SecondIndexer(sealer)) if is_much else None
    try:
        yield from _Reader(storage, sealer, second).read(infos)
    finally:
        if second is not None:
            second.close()


class _Reader:
    def __init__(self, storage: Storage, sealer: Sealer, second: SecondIndexer | None) -> None:
        self._storage = storage
        self._sealer = sealer
        self._second = second
        self._files: deque[_File] = deque()
        """In order."""
        self._handed: deque[_File] = deque()
        """Those of them that the second process has."""

    def read(self, infos: Sequence[ObjectInfo]) -> Iterator[tuple[ObjectInfo, _Found]]:
        for info, sealed in overlapped(self._fetch, infos, _READERS):
            self._collect(wait=len(self._files) >= _AHEAD)
            yield from self._ready()
            file = _File(info)
            self._files.append(file)
            if isinstance(sealed, KurabakoError):
                file.found = sealed
            elif self._second is not None and self._second.has_room:
                self._second.submit(file_name(info.key), sealed)
                self._handed.append(file)
            else:
                file.found = self._decoded(info, sealed)
        while self._files:
            yield from self._ready()
            self._collect(wait=True)

    def _fetch(self, info: ObjectInfo) -> Buffer | KurabakoError:
        try:
            return self._storage.get(info.key) if info.size <= MAX_FILE else b""
        except KurabakoError as error:
            return error

    def _ready(self) -> Iterator[tuple[ObjectInfo, _Found]]:
        while self._files and (found := self._files[0].found):
            yield self._files.popleft().info, found

    def _collect(self, *, wait: bool) -> None:
        """Takes what the second process has done; with `wait`, at least one file if it has any."""
        while self._handed and self._second is not None and (answer := self._second.collect(wait=wait)) is not None:
            wait = False
            file = self._handed.popleft()
            (columns,) = answer
            file.found = columns or self._loaded(file.info)

    def _decoded(self, info: ObjectInfo, sealed: Buffer) -> _Found:
        try:
            return columns_of(self._sealer, file_name(info.key), sealed)
        except DamagedData:
            return self._loaded(info)

    def _loaded(self, info: ObjectInfo) -> _Found:
        """What the file names, read again with all care."""
        try:
            return index_columns(read_index(load_json(self._storage, self._sealer, info)))
        except DamagedData as damage:
            return damage.named(info.key)
        except KurabakoError as error:
            return error
