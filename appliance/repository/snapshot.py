"""Snapshots: what was backed up, when and from where, and the tree that holds it (format 1.9)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from appliance.repository.errors import UNDECODABLE, DamagedData
from appliance.repository.ids import is_hex_id
from appliance.repository.timestamps import parse_time, to_datetime
from appliance.storage.interface import Buffer
from appliance.text import T

_Count = Annotated[int, msgspec.Meta(ge=0)]


class SnapshotSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the run that wrote a snapshot did; sizes are bytes.

    `data_added` counts new blobs as they are read, `data_added_packed` as they are stored.
    """

    backup_start: str
    backup_end: str
    files_new: _Count = msgspec.field(default=0)
    files_changed: _Count = msgspec.field(default=0)
    files_unmodified: _Count = msgspec.field(default=0)
    dirs_new: _Count = msgspec.field(default=0)
    dirs_changed: _Count = msgspec.field(default=0)
    dirs_unmodified: _Count = msgspec.field(default=0)
    data_blobs: _Count = msgspec.field(default=0)
    tree_blobs: _Count = msgspec.field(default=0)
    data_added: _Count = msgspec.field(default=0)
    data_added_packed: _Count = msgspec.field(default=0)
    total_files_processed: _Count = msgspec.field(default=0)
    total_bytes_processed: _Count = msgspec.field(default=0)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One snapshot. Times are RFC 3339; `tree`, `parent` and `original` are hexadecimal ids.

    `id` is the snapshot's own hexadecimal id. It is not in the file but its name: empty until it is saved.
    """

    time: str
    parent: str | None = None
    tree: str
    paths: list[str] = msgspec.field(default_factory=list)
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: list[str] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    original: str | None = None
    program_version: str = ""
    summary: SnapshotSummary | None = None
    id: str = ""

    @property
    def time_ns(self) -> int:
        return parse_time(self.time)

    @property
    def moment(self) -> datetime:
        """The snapshot's time in UTC, to the microsecond."""
        return to_datetime(self.time)

    @property
    def short_id(self) -> str:
        """The eight letters by which people call a snapshot."""
        return self.id[:8]

    @property
    def tree_id(self) -> bytes:
        return bytes.fromhex(self.tree)


_decoder = msgspec.json.Decoder(Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The JSON of a snapshot file."""
    return msgspec.json.encode(msgspec.structs.replace(snapshot, id=""))


def decode_snapshot(json: Buffer, name: str) -> Snapshot:
    """The snapshot in a file called `name`. Raises `DamagedData`."""
    try:
        snapshot = msgspec.structs.replace(_decoder.decode(json), id=name)
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None
    if not is_hex_id(snapshot.tree):
        raise DamagedData(T("A name in it is not an id."))
    parse_time(snapshot.time)
    return snapshot
