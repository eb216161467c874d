"""Forgetting snapshots: which go, why the others stay, and what each snapshot alone holds.

Forgetting deletes snapshot files and nothing else; their bytes become free when a prune follows. Until then a
forgotten snapshot has lost its name, but none of its data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from appliance.repository import BlobType, FileType, Repository, Snapshot
from appliance.repository.index import Index
from appliance.upkeep.blobs import SEVERAL, UNUSED, BlobMarks, mark_owners, stored_size
from appliance.upkeep.retention import DEFAULT_GROUPS, GroupBy, Policy, Reason, Retained, retain


@dataclass(frozen=True)
class SnapshotFilter:
    """Lets through the snapshots of one of the hosts, with all tags of one set, and with all of the paths.

    What is empty lets everything through. As `--host`, `--tag` and `--path` of restic.
    """

    hosts: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    paths: tuple[str, ...] = ()

    def __call__(self, snapshot: Snapshot) -> bool:
        return (
            (not self.hosts or snapshot.hostname in self.hosts)
            and (not self.tags or any(set(wanted) <= set(snapshot.tags) for wanted in self.tags))
            and set(self.paths) <= set(snapshot.paths)
        )


@dataclass(frozen=True)
class ForgetPlan:
    """Which snapshots go. `groups` tells why others stay; it is empty where snapshots were named one by one."""

    forget: tuple[Snapshot, ...]
    groups: tuple[Retained, ...] = ()
    unique_bytes: dict[str, int] = field(default_factory=dict)
    """What each snapshot alone holds, by its id: bytes in packs, after deduplication and compression, that nobody
    would need if just this snapshot were gone. What several snapshots share is in none of these figures."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(snapshot.id for snapshot in self.forget)


def plan_forget(
    repository: Repository,
    policy: Policy,
    *,
    now: datetime,
    zone: tzinfo | None,
    by: Sequence[GroupBy] = DEFAULT_GROUPS,
    may_empty: bool = False,
    measure: bool = False,
    only: SnapshotFilter = SnapshotFilter(),
) -> ForgetPlan:
    """What `policy` lets go; with `measure`, what each snapshot alone holds, for which all trees are read.

    The rules look at the snapshots that `only` lets through, and at no others. Raises `EmptiesGroup`, unless
    `may_empty`, and `DamagedData`.
    """
    snapshots = repository.snapshots()
    groups = retain(filter(only, snapshots), policy, now=now, zone=zone, by=by, may_empty=may_empty)
    return forget_plan(snapshots, groups, unique_bytes(repository, snapshots) if measure else {})


def forget_plan(
    snapshots: Sequence[Snapshot], groups: Sequence[Retained], unique: Mapping[str, int] | None = None
) -> ForgetPlan:
    """The plan that the policies' word on `groups` comes to."""
    removed = {snapshot.id for group in groups for snapshot in group.remove}
    forget = tuple(snapshot for snapshot in snapshots if snapshot.id in removed)
    return ForgetPlan(forget, tuple(groups), dict(unique or {}))


def hold(groups: Sequence[Retained], held: Mapping[str, Reason]) -> tuple[Retained, ...]:
    """The same word, but the snapshots in `held` (by id, each with why) stay, whatever the policy says."""
    return tuple(
        replace(
            group,
            keep=(*group.keep, *((each, (held[each.id],)) for each in group.remove if each.id in held)),
            remove=tuple(each for each in group.remove if each.id not in held),
        )
        for group in groups
    )


def plan_forget_named(repository: Repository, names: Collection[str], *, measure: bool = False) -> ForgetPlan:
    """The snapshots with these names go. Raises `SnapshotNotFound`, `AmbiguousSnapshot`, `DamagedData`."""
    named = {snapshot.id: snapshot for snapshot in map(repository.find_snapshot, names)}
    forget = tuple(sorted(named.values(), key=lambda snapshot: (snapshot.time_ns, snapshot.id)))
    return ForgetPlan(forget, unique_bytes=unique_bytes(repository, repository.snapshots()) if measure else {})


def execute_forget(
    repository: Repository, plan: ForgetPlan, *, on_forgotten: Callable[[Snapshot], None] | None = None
) -> None:
    """Deletes the snapshots of `plan`, under an exclusive lock that the caller holds. The index is not touched."""
    for snapshot in plan.forget:
        repository.delete_file(FileType.SNAPSHOT, snapshot.id)
        if on_forgotten is not None:
            on_forgotten(snapshot)


def unique_bytes(repository: Repository, snapshots: Sequence[Snapshot]) -> dict[str, int]:
    """What each of all `snapshots` alone holds, by its id (see `ForgetPlan`). The index is loaded afresh."""
    repository.index = Index()
    repository.load_index()
    marks = BlobMarks(repository)
    mark_owners(repository, marks, ((snapshot.tree_id, mark) for mark, snapshot in enumerate(snapshots, start=1)))
    held = bytes_by_mark(repository, marks)
    return {snapshot.id: held.get(mark, 0) for mark, snapshot in enumerate(snapshots, start=1)}


def bytes_by_mark(repository: Repository, marks: BlobMarks) -> dict[int, int]:
    """How many bytes of packs the blobs of each mark take, one copy of each; without those of `SEVERAL`.

    Under `UNUSED` stand all copies of blobs that nobody uses, and the further copies of those that somebody does.
    """
    held = {UNUSED: 0}
    counted: set[tuple[BlobType, bytes]] = set()
    for kind in BlobType:
        for blob_id, location in repository.index.blobs(kind):
            mark = marks.get(kind, blob_id)
            if mark != UNUSED and marks.is_copied(kind, blob_id):
                if (kind, blob_id) in counted:
                    mark = UNUSED
                counted.add((kind, blob_id))
            if mark != SEVERAL:
                held[mark] = held.get(mark, 0) + stored_size(location)
    return held
