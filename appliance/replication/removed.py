"""What the cloud once had and has no more, although this box deleted none of it.

A provider may remove an object, or replace the whole store, and may be right in doing so; then what is gone must not
come back by itself. An index file is sent after the packs it names and deleted before them, so the cloud had every pack
that an index file there names. Of snapshots it is remembered.
"""

from __future__ import annotations

from collections.abc import Collection

from appliance.errors import KurabakoError
from appliance.replication.apart import HeldBack
from appliance.replication.closure import pack_key, read_index_map
from appliance.repository import FileType, Repository
from appliance.repository.files import file_name
from appliance.repository.ids import CONFIG_KEY, object_key
from appliance.text import T

_NAMED = 3
"""Files that are named in a sentence; the evidence has more."""


class RemovedFromCloud(KurabakoError):
    """Files that this box had sent are gone from the cloud; they are not sent again by themselves."""

    code = "cloud.removed"

    def __init__(self, removed: HeldBack, clause: str) -> None:
        self.held = removed
        self.keys = sorted({*removed.keys, *(object_key(FileType.SNAPSHOT, one) for one in removed.snapshots)})
        named = ", ".join(self.keys[:_NAMED])
        super().__init__(
            T(
                "{count} file(s) that this box had sent are gone from the cloud: {files}.",
                count=len(self.keys),
                files=named,
            ),
            safe=T("They are in the vault, and are not sent again by themselves ({clause}).", clause=clause),
            todo=T("Ask your service provider why. To have them sent again, type: kurabako replicate --again"),
        )


class CloudReplaced(KurabakoError):
    """The cloud's place answers but has none of what it had: it may be another one."""

    code = "cloud.replaced"

    def __init__(self, location: str, clause: str) -> None:
        super().__init__(
            T("{location} holds nothing of what this box had sent: it may have been replaced.", location=location),
            safe=T("Nothing was sent ({clause}), and the vault has everything.", clause=clause),
            todo=T("Ask your service provider. If it is the right place, type: kurabako replicate --again"),
        )


def is_replaced(there: Collection[str], had: Collection[str]) -> bool:
    """Whether the place lost all that it `had`. `there` are the keys that are there now."""
    return bool(had) and CONFIG_KEY not in there and not any(key in there for key in had)


def removed_from(vault: Repository, there: Collection[str], had: Collection[str]) -> HeldBack:
    """What the vault has and the cloud had, to be kept back. `had` are keys of snapshots that were there."""
    # Another reader of the same place: `vault`'s own index is read later, and only once.
    index = read_index_map(vault.at(vault.storage), vault.list_files(FileType.INDEX), lambda *_: None)
    packs = {pack_id for key in index.files() if key in there for pack_id in index.packs_in(key)}
    snapshots = {info.key for info in vault.list_files(FileType.SNAPSHOT)} & set(had)
    return HeldBack(
        frozenset(file_name(key) for key in snapshots if key not in there),
        frozenset(pack_id for pack_id in packs if pack_key(pack_id) not in there),
    )
