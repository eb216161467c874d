"""Making room: which snapshots to forget, the oldest first, so that a prune frees so many bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from appliance.repository import FileType, Repository, Snapshot
from appliance.repository.files import file_name
from appliance.repository.index import Index
from appliance.upkeep.blobs import UNUSED, BlobMarks, mark_first
from appliance.upkeep.forget import bytes_by_mark
from appliance.upkeep.retention import DEFAULT_GROUPS, GroupBy, Policy, retain


@dataclass(frozen=True)
class RoomPlan:
    """What to forget for `wanted` bytes. Figures are bytes in packs, after deduplication and compression.

    They are freed by a prune that tolerates no waste.
    """

    wanted: int
    already_free: int
    """What a prune frees without anything being forgotten."""
    forget: tuple[tuple[Snapshot, int], ...]
    """The snapshots to forget, the oldest first, each with what it frees once those before it are gone."""
    most: int
    """What would be free if all that the rules let go were forgotten."""

    @property
    def freed(self) -> int:
        return self.already_free + sum(size for _, size in self.forget)

    @property
    def enough(self) -> bool:
        return self.freed >= self.wanted


def plan_make_room(
    repository: Repository,
    wanted: int,
    policy: Policy,
    *,
    now: datetime,
    zone: tzinfo | None,
    by: Sequence[GroupBy] = DEFAULT_GROUPS,
    staying: Collection[str] = (),
) -> RoomPlan:
    """The fewest of the oldest snapshots that `policy` does not keep whose going makes `wanted` bytes free.

    Those `staying`, by id, are never named.

    Not enough where the rules keep too much: then all are named that they let go (`RoomPlan.enough`). The index is
    loaded afresh. Raises `EmptiesGroup` and `DamagedData`.
    """
    snapshots = repository.snapshots()
    groups = retain(snapshots, policy, now=now, zone=zone, by=by)
    removed = {snapshot.id for group in groups for snapshot in group.remove} - set(staying)
    candidates = [snapshot for snapshot in snapshots if snapshot.id in removed]
    repository.index = Index()
    repository.load_index()
    marks = BlobMarks(repository)
    kept = len(candidates) + 1
    # From the last that would go to the first: a blob goes with the last snapshot that needs it.
    order = [(snapshot.tree_id, kept) for snapshot in snapshots if snapshot.id not in removed]
    order += [(snapshot.tree_id, mark) for mark, snapshot in reversed(list(enumerate(candidates, start=1)))]
    mark_first(repository, marks, order)
    held = bytes_by_mark(repository, marks)
    indexed = {pack_id.hex() for pack_id in repository.index.packs()}
    packs = repository.list_files(FileType.PACK)
    already_free = held[UNUSED] + sum(info.size for info in packs if file_name(info.key) not in indexed)
    forget: list[tuple[Snapshot, int]] = []
    free = already_free
    for mark, snapshot in enumerate(candidates, start=1):
        if free >= wanted:
            break
        forget.append((snapshot, held.get(mark, 0)))
        free += held.get(mark, 0)
    most = already_free + sum(held.get(mark, 0) for mark in range(1, kept))
    return RoomPlan(wanted, already_free, tuple(forget), most)
