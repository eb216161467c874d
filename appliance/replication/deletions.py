"""Carrying deletions to the cloud: last, in the reverse of the order in which files depend on each other.

A snapshot goes from the cloud only when it was forgotten on purpose. That the vault has it no more is no reason: a
vault that was lost, emptied or swapped must not empty the cloud. Packs and index files go when the vault's own, which
the cloud has by then, hold all that the snapshots need which stay there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from appliance.capacity import GatedStorage, Ledger, Purpose, decide
from appliance.errors import KurabakoError
from appliance.replication.apart import NOTHING_HELD, HeldBack
from appliance.replication.closure import IndexMap, pack_key, packs_of_snapshot, read_index_map
from appliance.replication.files import read_whole
from appliance.replication.model import Refusal
from appliance.repository import FileType, Repository
from appliance.repository.ids import is_hex_id
from appliance.repository.overlap import overlapped
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo, ObjectNotFound
from appliance.text import T

_KINDS = (FileType.SNAPSHOT, FileType.INDEX, FileType.PACK)
"""What is deleted, in this order: nothing that is there ever names what is gone."""


class VaultLacks(KurabakoError):
    """The cloud has snapshots that the vault has not, and nobody forgot them. `snapshots` are their ids."""

    code = "replication.vault-lacks"

    def __init__(self, snapshots: Collection[str]) -> None:
        self.snapshots = tuple(sorted(snapshots))
        super().__init__(
            T(
                "The cloud has {count} snapshots that the vault has not, though nobody forgot them ({first} …).",
                count=len(self.snapshots),
                first=self.snapshots[0][:8],
            ),
            safe=T("Nothing is deleted in the cloud."),
            todo=T(
                "Check whether the vault's disk is the right one and whole. To bring them back, type: kurabako repair. "
                "To let snapshots go that are no longer wanted, name them: kurabako forget ID…"
            ),
        )


class VaultNotWhole(KurabakoError):
    """A file that snapshots need is not the same here and there: the vault is no measure of what the cloud may lose."""

    code = "replication.vault-not-whole"

    def __init__(self, key: str) -> None:
        super().__init__(
            T("{key}, which snapshots need, is missing in the vault, or has another size in the cloud.", key=key),
            safe=T("Nothing is deleted in the cloud."),
            todo=T("Run a check of the vault and of the cloud."),
        )


@dataclass(frozen=True)
class DeletionPlan:
    """What goes from the cloud, in order, and what is sent there first so that it can: packs, then index files.

    `refusal`: what would have to be sent does not fit, so nothing goes.
    """

    carry: tuple[ObjectInfo, ...] = ()
    delete: tuple[ObjectInfo, ...] = ()
    refusal: Refusal | None = None

    @property
    def bytes_freed(self) -> int:
        """What the cloud holds less afterwards."""
        return sum(info.size for info in self.delete) - sum(info.size for info in self.carry)


def plan_deletions(
    vault: Repository,
    ledger: Ledger,
    forgotten: Collection[str],
    *,
    held: HeldBack = NOTHING_HELD,
    cancelled: Callable[[], bool] = lambda: False,
) -> DeletionPlan:
    """What of the cloud the vault no longer has, and may go. `forgotten` are ids of snapshots that a person or the
    rules let go; what is `held` back stays in the vault.

    `ledger` knows what the cloud has; both places are locked for sole use until the plan is executed. `vault` was just
    opened: its index is read here. Raises `VaultLacks`, `VaultNotWhole`, `DamagedData` and storage errors; then nothing
    may be deleted.
    """
    there = ledger.objects()
    infos = {kind: vault.list_files(kind) for kind in _KINDS}
    here = {info.key: info.size for files in infos.values() for info in files}
    gone = {kind: sorted(key for key in there if _is(key, kind) and key not in here) for kind in _KINDS}
    unknown = [_name(key) for key in gone[FileType.SNAPSHOT] if _name(key) not in forgotten]
    if unknown:
        raise VaultLacks(unknown)
    if not any(gone.values()):
        return DeletionPlan()
    index = read_index_map(vault, infos[FileType.INDEX], _raise)
    staying = [info for info in infos[FileType.SNAPSHOT] if info.key in there]
    try:
        needed = _needed_packs(vault, staying, index, lambda pack_id: pack_key(pack_id) in there, held, cancelled)
    except ObjectNotFound as error:
        raise VaultNotWhole(error.key) from error
    if cancelled():
        return DeletionPlan()
    avoid = index.naming(held.packs)
    index_keys = {index.name_of(pack_id, there, avoid) for pack_id in needed}
    packs = {pack_key(pack_id) for pack_id in needed}
    packs |= {pack_key(pack_id) for key in index_keys for pack_id in index.packs_in(key)}
    for key in sorted(packs):
        if key not in here or there.get(key, here[key]) != here[key] or key in held.keys:
            raise VaultNotWhole(key)
    carry = tuple(ObjectInfo(key, here[key]) for key in (*sorted(packs), *sorted(index_keys)) if key not in there)
    named = {pack_key(pack_id) for key in index.files() if key in there for pack_id in index.packs_in(key)}
    delete = tuple(ObjectInfo(key, there[key]) for kind in _KINDS for key in gone[kind] if key not in named)
    usage = ledger.usage
    size = sum(info.size for info in carry)
    decision = decide(usage.used, usage.claimed, size, usage.limits, Purpose.UPKEEP)
    if not decision.allowed:
        return DeletionPlan(refusal=Refusal(None, size, decision.left or 0))
    return DeletionPlan(carry, delete)


def execute_deletions(
    plan: DeletionPlan,
    vault: Repository,
    cloud: GatedStorage,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Sends and deletes what `plan` says; how many files went. Both places are locked as when it was planned.

    What is sent may use the reserve: packs that a prune wrote anew hold nothing that was not there. Ended anywhere, the
    cloud is a complete repository of the snapshots it has; the next run goes on. Raises `DamagedData`, storage errors.
    """
    upkeep = cloud.for_upkeep()
    total = sum(info.size for info in plan.carry)
    done = 0
    for kind in reversed(_KINDS):
        files = (info for info in plan.carry if _is(info.key, kind))
        for info, _ in overlapped(lambda info: upkeep.put(info.key, read_whole(vault, info.key)), files):
            done += info.size
            on_progress(Progress(T("Replicating to the cloud"), bytes_done=done, bytes_total=total, item=info.key))
            if cancelled():
                return 0
    deleted = 0
    for kind in _KINDS:
        keys = (info.key for info in plan.delete if _is(info.key, kind))
        for key, _ in overlapped(cloud.delete, keys):
            deleted += 1
            on_progress(
                Progress(
                    T("Deleting in the cloud what the vault has no more"),
                    bytes_done=done,
                    files_done=deleted,
                    files_total=len(plan.delete),
                    item=key,
                )
            )
            if cancelled():
                return deleted
    return deleted


def _needed_packs(
    vault: Repository,
    snapshots: Collection[ObjectInfo],
    index: IndexMap,
    there: Callable[[bytes], bool],
    held: HeldBack,
    cancelled: Callable[[], bool],
) -> set[bytes]:
    needed: set[bytes] = set()
    seen: set[bytes] = set()
    for info in snapshots:
        root = vault.load_snapshot(info).tree_id
        needed |= packs_of_snapshot(vault, root, None, index, there, cancelled, seen, held.packs)
    return needed


def _is(key: str, kind: FileType) -> bool:
    """Whether the key is that of a repository's file of this kind; what else lies there is somebody else's."""
    return key.startswith(f"{kind}/") and is_hex_id(_name(key))


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _raise(_: str, error: KurabakoError) -> None:
    raise error
