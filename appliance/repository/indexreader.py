"""Reading index files ahead, and decoding them in two processes where there is much to decode."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from appliance.errors import KurabakoError
from appliance.repository.errors import DamagedData
from appliance.repository.indexcolumns import IndexColumns, index_columns
from appliance.repository.indexfile import read_index
from appliance.repository.overlap import overlapped
from appliance.repository.second import started
from appliance.repository.second_index import SecondIndexer
from appliance.storage.interface import Buffer, ObjectInfo

WORTH_A_PROCESS = 16 << 20
"""Bytes of index files from which on a second process earns its start."""

_READERS = 2
"""What one makes of a file, 8 MB of JSON, takes longer to take in than to read."""


def read_index_files(
    load: Callable[[ObjectInfo], Buffer], infos: Sequence[ObjectInfo]
) -> Generator[tuple[ObjectInfo, IndexColumns | KurabakoError], None, None]:
    """Each file and what it names, in order, or why it cannot be read; `load` gets the JSON."""
    is_much = sum(info.size for info in infos) >= WORTH_A_PROCESS
    second = started(SecondIndexer) if is_much else None

    def read(info: ObjectInfo) -> IndexColumns | Buffer | KurabakoError:
        try:
            json = load(info)
        except KurabakoError as error:
            return error
        if second is not None and second.turn.acquire(blocking=False):
            try:
                return second.columns(json) or json
            finally:
                second.turn.release()
        return json

    try:
        for info, found in overlapped(read, infos, _READERS):
            if isinstance(found, IndexColumns | KurabakoError):
                yield info, found
                continue
            try:
                yield info, index_columns(read_index(found))
            except DamagedData as damage:
                yield info, damage.named(info.key)
    finally:
        if second is not None:
            second.close()
