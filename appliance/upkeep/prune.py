"""What a prune would do: which packs go, which are packed anew, which stay, to the byte. Nothing is written here.

A pack without any used blob goes. Of the packs that hold used and unused blobs, those with the most waste are packed
anew until no more than `max_unused` of what stays is waste; packs of trees, packs that mix trees and data, and small
packs once there are many always are. `max_repack_bytes` bounds the packs that are read for it, and so both traffic and
scratch space. With 0, only whole packs go.

Used blobs are copied as they lie, sealed; and which blobs share a new pack follows from their sizes alone. So the
plan knows every new pack's size.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from appliance.errors import KurabakoError
from appliance.repository import BlobLocation, BlobType, FileType, Repository
from appliance.repository.crypto import OVERHEAD
from appliance.repository.files import file_name
from appliance.repository.index import Index
from appliance.repository.indexfile import decode_index
from appliance.repository.pack import LENGTH_SIZE, TARGET_SIZE, PackedBlob
from appliance.storage.interface import ObjectInfo
from appliance.text import T
from appliance.units import parse_size
from appliance.upkeep.blobs import UNUSED, BlobMarks, mark_first, stored_size

PACK_OVERHEAD = OVERHEAD + LENGTH_SIZE
"""What a pack takes besides its blobs and their header entries."""

MAX_UNUSED = Fraction(5, 100)
"""Waste that is tolerated, as a part of all that stays; restic's default."""

SMALL_PACK = TARGET_SIZE // 5
MANY_SMALL_PACKS = 10
"""Packs below this size are merged once there are so many of one type."""

_USED = 1
_BOTH = 2
"""The type of a pack that holds trees and data."""


class NeededPackGone(KurabakoError):
    """A pack that snapshots need is not there, or is not what the index tells."""

    code = "upkeep.pack-missing"

    def __init__(self, pack_id: bytes) -> None:
        super().__init__(
            T("Pack {pack}, which snapshots need, is missing or has the wrong size.", pack=pack_id.hex()),
            safe=T("Nothing was deleted."),
            todo=T("Run a check, and repair the repository before anything is deleted from it."),
        )


_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")


def parse_max_unused(text: str) -> Fraction | int:
    """The waste that may stay: `5%` of all that stays, `unlimited`, or a size in bytes. Raises `ValueError`."""
    if text == "unlimited":
        return Fraction(1)
    match = _PERCENTAGE.fullmatch(text.strip())
    if match is None:
        if text.strip().isdecimal():  # 5 % are meant, perhaps: five bytes would have everything packed anew
            raise ValueError(f"{text!r} lacks a unit; write for example 5% or 2 GB")
        return parse_size(text)
    part = Fraction(match[1]) / 100
    if part > 1:
        raise ValueError(f"{text!r} is more than 100%")
    return part


@dataclass(frozen=True)
class PruneLimits:
    """What a prune may leave and cost.

    `max_unused` is the waste that may stay: a `Fraction` of all that stays, or an int, which is bytes.
    `max_repack_bytes` bounds what is packed anew; None: no limit.
    """

    max_unused: Fraction | int = MAX_UNUSED
    max_repack_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_unused < 0 or (isinstance(self.max_unused, Fraction) and self.max_unused > 1):
            raise ValueError("max_unused is a part between 0 and 1, or bytes")
        if (self.max_repack_bytes or 0) < 0:
            raise ValueError("max_repack_bytes is not negative")

    def within(self, room: int, index_bytes: int) -> PruneLimits:
        """These limits, tightened so that the prune's `scratch` stays within `room` bytes beside what is there."""
        most = max(0, room - scratch_for_index(index_bytes))
        return replace(
            self, max_repack_bytes=most if self.max_repack_bytes is None else min(most, self.max_repack_bytes)
        )

    def tolerated(self, used: int, waste: int) -> int:
        """Bytes of waste that may stay beside `used` bytes, of `waste`."""
        if not isinstance(self.max_unused, Fraction):
            return self.max_unused
        return waste if self.max_unused == 1 else int(used * self.max_unused / (1 - self.max_unused))


def scratch_for_index(index_bytes: int) -> int:
    """The room a new index may need, as it is not known to the byte: the present one's size, twice.

    Twice, since new packs are named in an index file of their own first.
    """
    return 2 * index_bytes + 4096


@dataclass(frozen=True)
class PrunePlan:
    """What is to go. Sizes are bytes of pack files, exact; index files come on top.

    It holds for the snapshots and index files that it names: `execute_prune` refuses it when there are others.
    """

    snapshots: tuple[str, ...]
    index_files: tuple[ObjectInfo, ...]
    unindexed: tuple[ObjectInfo, ...]
    """Packs that no index names: what an interrupted run left."""
    delete: frozenset[bytes]
    """Packs of the index that hold nothing used; they may be missing."""
    repack: frozenset[bytes]
    """Packs whose used blobs are copied into new ones."""
    blobs_used: int
    blobs_unused: int
    """Among them the further copies of used ones."""
    bytes_before: int
    """All packs now."""
    bytes_unindexed: int
    bytes_deleted: int
    """Packs of the index that go whole."""
    bytes_repacked: int
    """Packs that are read and replaced."""
    bytes_rewritten: int
    """The new packs: what must be stored before anything of the index goes."""
    bytes_unused_after: int
    """Waste that stays."""
    live: LiveBlobs = field(repr=False, compare=False)

    @property
    def bytes_after(self) -> int:
        """All packs afterwards."""
        return self.bytes_before - self.bytes_freed

    @property
    def bytes_freed(self) -> int:
        return self.bytes_unindexed + self.bytes_deleted + self.bytes_repacked - self.bytes_rewritten

    @property
    def scratch(self) -> int:
        """The most that may lie there, besides what lay there before, while it is executed: new packs and a new index.

        What goes at the very beginning (`bytes_unindexed`) is not set off against it.
        """
        index = scratch_for_index(sum(info.size for info in self.index_files))
        return self.bytes_rewritten + (index if self.delete or self.repack else 0)

    @property
    def nothing_to_do(self) -> bool:
        return not (self.unindexed or self.delete or self.repack)


class _PackTallies:
    """Bytes of blobs in each pack, by the pack's number: all that the index names, used and unused ones.

    Used blobs of which there are several copies are in the first figure only.
    """

    def __init__(self, count: int) -> None:
        self.indexed = array("Q", bytes(8 * count))
        self.used = array("Q", bytes(8 * count))
        self.unused = array("Q", bytes(8 * count))
        self.kind = array("b", [-1]) * count


class LiveBlobs:
    """Which stored copies of blobs are needed: of each used blob exactly one.

    Knows of each pack how much of it is used. Of several copies the one in the pack that is needed anyway stays.
    """

    def __init__(self, repository: Repository, marks: BlobMarks, pack_sizes: dict[bytes, int]) -> None:
        self._index = repository.index
        self._marks = marks
        self.pack_ids = repository.index.packs()
        self._numbers = {pack_id: number for number, pack_id in enumerate(self.pack_ids)}
        self._packs = _PackTallies(len(self.pack_ids))
        self.blobs_used = self.blobs_unused = 0
        self._tally()
        self._whole = [
            pack_sizes.get(pack_id) == self._packs.indexed[number] + PACK_OVERHEAD
            for number, pack_id in enumerate(self.pack_ids)
        ]
        self._tally_copies()

    def _tally(self) -> None:
        packs = self._packs
        for kind in BlobType:
            for blob_id, location in self._index.blobs(kind):
                number = self._numbers[location.pack_id]
                size = stored_size(location)
                packs.indexed[number] += size
                packs.kind[number] = kind if packs.kind[number] in (-1, kind) else _BOTH
                if self._marks.get(kind, blob_id) == UNUSED:
                    packs.unused[number] += size
                    self.blobs_unused += 1
                elif not self._marks.is_copied(kind, blob_id):
                    packs.used[number] += size
                    self.blobs_used += 1

    def _tally_copies(self) -> None:
        """After all others, since they decide which copy stays; the choice is not swayed by itself."""
        chosen = Counter[int]()
        for kind in BlobType:
            for blob_id, location in self._index.blobs(kind):
                if self._marks.is_copied(kind, blob_id) and self._marks.get(kind, blob_id) != UNUSED:
                    if self._copy_to_keep(kind, blob_id) == location:
                        chosen[self._numbers[location.pack_id]] += stored_size(location)
                        self.blobs_used += 1
                    else:
                        self.blobs_unused += 1
        self.used_copies = chosen

    def _copy_to_keep(self, kind: BlobType, blob_id: bytes) -> BlobLocation:
        return min(self._index.locations(kind, blob_id), key=self._rank)

    def _rank(self, location: BlobLocation) -> tuple[bool, int, int, bytes, int]:
        number = self._numbers[location.pack_id]
        packs = self._packs
        return not self._whole[number], -packs.used[number], packs.unused[number], location.pack_id, location.offset

    def is_needed(self, kind: BlobType, blob_id: bytes, pack_id: bytes, offset: int) -> bool:
        """Whether this very copy must stay."""
        if self._marks.get(kind, blob_id) == UNUSED:
            return False
        if not self._marks.is_copied(kind, blob_id):
            return True
        keep = self._copy_to_keep(kind, blob_id)
        return (keep.pack_id, keep.offset) == (pack_id, offset)

    def used(self, number: int) -> int:
        """Bytes of the pack that must stay."""
        return self._packs.used[number] + self.used_copies[number]

    def wasted(self, number: int) -> int:
        """Bytes of the pack that nobody needs."""
        return self._packs.indexed[number] - self.used(number)

    def size(self, number: int) -> int:
        """The pack's size by the index."""
        return self._packs.indexed[number] + PACK_OVERHEAD

    def is_whole(self, number: int) -> bool:
        """Whether the pack is there in the size that the index tells."""
        return self._whole[number]

    def kind(self, number: int) -> int:
        """A `BlobType`, or something else for a pack that mixes them."""
        return self._packs.kind[number]


class Filling:
    """Which blobs share a new pack, decided by their sizes in the order they come."""

    def __init__(self) -> None:
        self._sizes = [0 for _ in BlobType]

    def begins_pack(self, kind: BlobType, size: int) -> bool:
        """Whether the next blob, of `size` bytes in a pack, begins a new pack of its type."""
        total = self._sizes[kind] + size
        begins = not self._sizes[kind] or total > TARGET_SIZE
        self._sizes[kind] = PACK_OVERHEAD + size if begins else total
        return begins


def plan_prune(
    repository: Repository, limits: PruneLimits = PruneLimits(), *, without: Collection[str] = ()
) -> PrunePlan:
    """Plans a prune; the index is loaded afresh. `without` names snapshots that are taken to be gone already.

    Only under an exclusive lock, which is held until the plan is executed, is the plan of any use: a backup that runs
    meanwhile has packs that no index names yet. Raises `MissingData` or `DamagedData` when a used blob is not in the
    index or what leads to it cannot be read, and `NeededPackGone`.
    """
    # Snapshots before the index: so the index knows all that they need (format 1.12).
    snapshots = [snapshot for snapshot in repository.snapshots() if snapshot.id not in without]
    index_files = tuple(repository.list_files(FileType.INDEX))
    repository.index = Index()
    repository.load_index()
    packs = {bytes.fromhex(file_name(info.key)): info for info in repository.list_files(FileType.PACK)}
    marks = BlobMarks(repository)
    mark_first(repository, marks, ((snapshot.tree_id, _USED) for snapshot in snapshots))
    live = LiveBlobs(repository, marks, {pack_id: info.size for pack_id, info in packs.items()})
    numbers = range(len(live.pack_ids))
    for number in numbers:
        if live.used(number) and not live.is_whole(number):
            raise NeededPackGone(live.pack_ids[number])
    repack = _to_repack(live, limits)
    delete = [number for number in numbers if not live.used(number)]
    going = {live.pack_ids[number] for number in repack}
    unindexed = tuple(packs[pack_id] for pack_id in sorted(packs.keys() - set(live.pack_ids)))
    return PrunePlan(
        snapshots=tuple(snapshot.id for snapshot in snapshots),
        index_files=index_files,
        unindexed=unindexed,
        delete=frozenset(live.pack_ids[number] for number in delete),
        repack=frozenset(going),
        blobs_used=live.blobs_used,
        blobs_unused=live.blobs_unused,
        bytes_before=sum(info.size for info in packs.values()),
        bytes_unindexed=sum(info.size for info in unindexed),
        bytes_deleted=sum(packs[live.pack_ids[number]].size for number in delete if live.pack_ids[number] in packs),
        bytes_repacked=sum(live.size(number) for number in repack),
        bytes_rewritten=_rewritten(repository, index_files, going, live) if going else 0,
        bytes_unused_after=sum(live.wasted(number) for number in numbers if live.used(number) and number not in repack),
        live=live,
    )


def _to_repack(live: LiveBlobs, limits: PruneLimits) -> set[int]:
    """The numbers of the packs to be packed anew."""
    needed = [number for number in range(len(live.pack_ids)) if live.used(number)]
    waste = sum(live.wasted(number) for number in needed)
    used = sum(live.used(number) for number in needed)
    tolerated = limits.tolerated(used, waste)
    small = Counter(live.kind(number) for number in needed if live.size(number) < SMALL_PACK)

    def is_many_small(number: int) -> bool:
        return live.size(number) < SMALL_PACK and small[live.kind(number)] >= MANY_SMALL_PACKS

    def urgency(number: int) -> tuple[bool, bool, Fraction]:
        return (
            live.kind(number) == BlobType.DATA,
            not is_many_small(number),
            -Fraction(live.wasted(number), live.used(number)),
        )

    chosen: set[int] = set()
    read = 0
    for number in sorted(needed, key=urgency):
        wasted = live.wasted(number)
        always = live.kind(number) not in tuple(BlobType) or is_many_small(number)
        worthwhile = wasted and (live.kind(number) == BlobType.TREE or waste > tolerated)
        if not (always or worthwhile):
            continue
        if limits.max_repack_bytes is not None and read + live.size(number) > limits.max_repack_bytes:
            continue
        chosen.add(number)
        read += live.size(number)
        waste -= wasted
    return chosen


def needed_blobs(
    repository: Repository, index_files: tuple[ObjectInfo, ...], packs: Collection[bytes], live: LiveBlobs
) -> Iterator[tuple[bytes, list[PackedBlob]]]:
    """Each of `packs` with its needed blobs in the pack's order; one index file at a time is held."""
    seen: set[bytes] = set()
    for info in index_files:
        for pack_id, blobs in decode_index(repository.load_json(info)):
            if pack_id in packs and pack_id not in seen:
                seen.add(pack_id)
                needed = [blob for blob in blobs if live.is_needed(blob.type, blob.id, pack_id, blob.offset)]
                yield pack_id, sorted(needed, key=lambda blob: blob.offset)


def _rewritten(
    repository: Repository, index_files: tuple[ObjectInfo, ...], packs: Collection[bytes], live: LiveBlobs
) -> int:
    """The size of the packs that the needed blobs of `packs` will fill."""
    filling = Filling()
    total = 0
    for _, blobs in needed_blobs(repository, index_files, packs, live):
        for blob in blobs:
            size = blob.length + blob.header_entry_size
            total += size + (PACK_OVERHEAD if filling.begins_pack(blob.type, size) else 0)
    return total
