"""What a repair is made of, as values. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import KurabakoError
from appliance.repository import Snapshot
from appliance.repository.pack import PackedBlob
from appliance.storage.interface import ObjectInfo
from appliance.text import T, Text

LISTED = 1000
"""Paths that are named of one snapshot; all are counted."""


class Remedy(StrEnum):
    """What a repair does about a damage."""

    COPY = "copy"
    """The file is taken whole from the other copy of the repository."""
    REBUILD = "rebuild"
    """It is made anew from what can be read here and there."""
    DELETE = "delete"
    """It holds nothing that anybody needs, and is in the way."""
    NONE = "none"
    """No place has what was in it. It stays as it is."""


class NotACopy(KurabakoError):
    """The place to repair from holds another repository."""

    code = "repair.not-a-copy"

    def __init__(self, place: str, other: str) -> None:
        super().__init__(
            T("{place} and {other} do not hold the same repository.", place=place, other=other),
            safe=T("Nothing was changed."),
            todo=T("Name a copy of the repository that is to be repaired."),
        )


class CannotOpen(KurabakoError):
    """What everything in a repository is opened with is damaged, and there is nothing to mend it with."""

    code = "repair.cannot-open"


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was written. `kind` is a stable word, `name` the file or blob, `what` a sentence."""

    kind: str
    name: str
    what: Text
    remedy: Remedy


@dataclass(frozen=True)
class Incomplete:
    """A snapshot that lost something no place has: `paths` (the first `LISTED` of `count`). It stays as it is."""

    snapshot: Snapshot
    paths: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Rescue:
    """A blob that can still be read in a pack which goes, or in the other copy (`from_other`)."""

    pack_id: bytes
    blob: PackedBlob
    from_other: bool


@dataclass(frozen=True)
class RepairPlan:
    """What is damaged, and what a repair writes, in order; then what it has replaced and deletes.

    It holds for as long as the exclusive lock under which it was made is held.
    """

    place: str
    other: str
    damages: tuple[Damage, ...]
    incomplete: tuple[Incomplete, ...]
    config: bytes | None
    """The sealed config to be written."""
    copies: tuple[ObjectInfo, ...]
    """Files to be taken from the other copy: keys, packs, index files, snapshots."""
    rescues: tuple[Rescue, ...]
    """Blobs to be stored in new packs."""
    index_packs: frozenset[bytes]
    """Packs that are whole, to be named in an index file as their headers say."""
    dropped: frozenset[bytes]
    """Packs that no index file is to name any more, but for `index_packs`."""
    damaged_index: tuple[ObjectInfo, ...]
    """Index files that nobody can read: what they named is named anew as far as it is there, then they go."""
    old_index: tuple[ObjectInfo, ...]
    """Index files that others replace."""
    old_packs: frozenset[bytes]
    """Damaged packs all of whose blobs are stored elsewhere by then."""
    blobs_named: int
    """Blobs that index files will name and do not name now, at most."""
    blobs_lost: int
    """Blobs that no place has; a backup stores them again when its source still has them."""
    sizes: dict[str, int]
    """The files that are there, by key."""
    bytes_read: int

    @property
    def nothing_to_do(self) -> bool:
        return not any((self.config, self.copies, self.rescues, self.changes_index, self.old_packs))

    @property
    def changes_index(self) -> bool:
        return bool(self.rescues or self.index_packs or self.dropped or self.old_index or self.damaged_index)

    @property
    def unrepaired(self) -> int:
        """Damages that stay."""
        return sum(damage.remedy is Remedy.NONE for damage in self.damages)

    @property
    def bytes_copied(self) -> int:
        return sum(info.size for info in self.copies)

    @property
    def bytes_rescued(self) -> int:
        """The new packs, at most: each blob as if it had a pack of its own."""
        return sum(rescue.blob.length + 80 for rescue in self.rescues)

    @property
    def scratch(self) -> int:
        """The most that may lie there, besides what lay there before, while it is executed.

        A file that is replaced counts twice while it is sent. The index is not known to the byte: it is taken to be as
        large as the present one, twice.
        """
        new = sum(info.size for info in self.copies if info.key not in self.sizes)
        over = sorted((info.size for info in self.copies if info.key in self.sizes), reverse=True)
        index = sum(size for key, size in self.sizes.items() if key.startswith("index/"))
        rewritten = 2 * index + 4096 + 100 * self.blobs_named if self.changes_index else 0
        return (
            new
            + sum(over[:4])
            + self.bytes_rescued
            + (rewritten if self.changes_index else 0)
            + len(self.config or b"")
        )


@dataclass(frozen=True)
class RepairReport:
    """What a repair did; sizes are bytes. `leftovers` are replaced files that could not be deleted."""

    copied: int = 0
    packs_written: int = 0
    bytes_written: int = 0
    leftovers: tuple[str, ...] = ()
    cancelled: bool = False
