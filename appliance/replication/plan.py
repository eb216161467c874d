"""The plan of a replication: compares names and sizes, and says to the byte what each snapshot needs in the cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from appliance.capacity import Ledger, Limits, Purpose, decide
from appliance.errors import KurabakoError
from appliance.replication.apart import NOTHING_HELD, HeldBack
from appliance.replication.closure import IndexMap, pack_key, packs_of_snapshot, read_index_map, snapshot_key
from appliance.replication.model import Finding, OtherRepository, Refusal, ReplicationPlan, Step
from appliance.repository import DamagedData, FileType, Repository, Snapshot
from appliance.repository.config import decode_config
from appliance.repository.ids import CONFIG_KEY
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo, ObjectNotFound, Storage
from appliance.text import T

_NOTHING: Mapping[str, Finding] = {}


def _silent(_: Progress) -> None:
    """For who does not want to know."""


def _never() -> bool:
    return False


def plan_replication(
    vault: Repository,
    cloud: Storage,
    ledger: Ledger,
    *,
    held: HeldBack = NOTHING_HELD,
    damaged: Mapping[str, Finding] = _NOTHING,
    on_progress: Callable[[Progress], None] = _silent,
    cancelled: Callable[[], bool] = _never,
) -> ReplicationPlan:
    """What of `vault` the cloud lacks, snapshot by snapshot in the order of time, and what of it fits.

    `ledger` was measured on `cloud` a moment ago: it also is the list of what the cloud has. `vault` was just opened;
    its index is read here, after its snapshots. A snapshot fits when all it lacks fits beside what is stored and what
    was planned before it, without the reserve; a later one that fits may go when an earlier one does not.
    What is `held` back was set apart before and stays here. `damaged` are files of the vault, by key, that an earlier
    try found to be so.

    Raises `OtherRepository`, `StorageError`. What cannot be read is a finding; snapshots that need it are left out.
    """
    return _Planner(vault, cloud, ledger, held, damaged, on_progress, cancelled).plan()


class _Planner:
    def __init__(
        self,
        vault: Repository,
        cloud: Storage,
        ledger: Ledger,
        held: HeldBack,
        damaged: Mapping[str, Finding],
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._vault = vault
        self._cloud = cloud
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._held = held
        self._kept = held.keys
        self._damaged = damaged
        self._findings = list(damaged.values())
        self._steps: list[Step] = []
        self._refused: list[Refusal] = []
        usage = ledger.usage
        self._stored = usage.used + usage.claimed
        self._limits: Limits = usage.limits
        self._cloud_sizes = {key: size for key, size in ledger.objects().items() if not key.startswith("locks/")}
        # The vault's snapshots before its index, so that the index knows all they need (format 1.12).
        self._snapshot_files = vault.list_files(FileType.SNAPSHOT)
        self._index_files = vault.list_files(FileType.INDEX)
        self._vault_sizes = {
            info.key: info.size
            for infos in (
                self._snapshot_files,
                self._index_files,
                vault.list_files(FileType.KEY),
                vault.list_files(FileType.PACK),
                [vault.storage.stat(CONFIG_KEY)],
            )
            for info in infos
        }
        self._there: set[str] = set()
        """Keys that the cloud has, or will have once the steps planned so far are done."""

    def plan(self) -> ReplicationPlan:
        self._refuse_another_repository()
        self._compare_sizes()
        index = read_index_map(self._vault, self._index_files, self._note)
        only_in_cloud = sorted(self._cloud_sizes.keys() - self._vault_sizes.keys())
        begun = self._plan_step(self._missing(self._own_files()), None, Purpose.UPKEEP)
        there_before = self._there.copy()
        snapshots = self._snapshots()
        if begun:
            packs, index_files = self._lost_files(index)
            self._plan_step(self._missing(packs), None, Purpose.DATA)
            self._plan_step(self._missing(index_files), None, Purpose.UPKEEP)
        for snapshot in snapshots:
            if self._cancelled():
                break
            self._on_progress(Progress(T("Comparing the vault with the cloud"), item=snapshot.short_id))
            if not self._is_there(snapshot) and snapshot.id not in self._held.snapshots:
                self._plan_snapshot(snapshot, snapshots, index, begun)
        return ReplicationPlan(
            vault=self._vault.storage.location,
            cloud=self._cloud.location,
            steps=tuple(self._steps),
            refused=tuple(self._refused),
            findings=tuple(self._findings),
            only_in_cloud=tuple(only_in_cloud),
            snapshots_there=sum(snapshot_key(snapshot) in there_before for snapshot in snapshots),
            held=self._held,
            cut_short=self._cancelled(),
        )

    def _refuse_another_repository(self) -> None:
        """The cloud's config must be this repository's, or there must be nothing yet that needs one.

        It is read twice before the cloud is called another's, as the way from there can err too.
        """
        try:
            if self._is_ours(self._cloud.get(CONFIG_KEY)) or self._is_ours(self._cloud.get(CONFIG_KEY)):
                return
        except ObjectNotFound:
            foreign = self._cloud_sizes.keys() - self._vault_sizes.keys()
            if any(key.startswith(("snapshots/", "index/")) for key in foreign):
                raise OtherRepository(self._cloud.location) from None
            return
        raise OtherRepository(self._cloud.location)

    def _is_ours(self, sealed: bytes) -> bool:
        try:
            return decode_config(self._vault.sealer.open(sealed)) == self._vault.config
        except DamagedData:
            return False

    def _compare_sizes(self) -> None:
        for key in sorted(self._vault_sizes.keys() & self._cloud_sizes.keys()):
            here, there = self._vault_sizes[key], self._cloud_sizes[key]
            # A config may have been sealed anew; that it is the same was seen in its content.
            if here == there or key == CONFIG_KEY:
                self._there.add(key)
            else:
                self._findings.append(
                    Finding(
                        key,
                        T(
                            "The file {key} has {there} bytes in the cloud, but {here} in the vault. "
                            "It is not replaced: please check both.",
                            key=key,
                            there=there,
                            here=here,
                        ),
                    )
                )

    def _note(self, key: str, error: KurabakoError) -> None:
        self._findings.append(Finding(key, error.what))

    def _own_files(self) -> list[str]:
        """The keys and the config: keys first, as when a repository is made (format 1.1)."""
        keys = sorted(key for key in self._vault_sizes if key.startswith("keys/") and key not in self._damaged)
        return [*keys, CONFIG_KEY]

    def _lost_files(self, index: IndexMap) -> tuple[list[str], list[str]]:
        """What the cloud once had and lost: packs its index files name, and index files all of whose packs it has.

        The latter may also be new: a prune of the vault writes the index anew.
        """
        lost_packs: list[str] = []
        lost_index_files: list[str] = []
        for key in index.files():
            packs = [pack_key(pack_id) for pack_id in index.packs_in(key)]
            if key in self._there:
                lost_packs.extend(pack for pack in packs if self._can_go(pack))
            elif packs and self._can_go(key) and all(pack in self._there for pack in packs):
                lost_index_files.append(key)
        return [*dict.fromkeys(lost_packs)], lost_index_files

    def _can_go(self, key: str) -> bool:
        """Whether the vault has this file whole, as far as is known, may give it, and the cloud has none so called."""
        if key in self._kept:
            return False
        return key in self._vault_sizes and key not in self._cloud_sizes and key not in self._damaged

    def _snapshots(self) -> list[Snapshot]:
        """The vault's snapshots that can be read, the oldest first."""
        found: list[Snapshot] = []
        for info in self._snapshot_files:
            try:
                found.append(self._vault.load_snapshot(info))
            except KurabakoError as error:
                self._note(info.key, error)
        return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id))

    def _is_there(self, snapshot: Snapshot) -> bool:
        return snapshot_key(snapshot) in self._there

    def _plan_snapshot(self, snapshot: Snapshot, snapshots: list[Snapshot], index: IndexMap, begun: bool) -> None:
        base = self._base(snapshot, snapshots)
        try:
            packs = packs_of_snapshot(
                self._vault,
                snapshot.tree_id,
                base.tree_id if base else None,
                index,
                lambda pack_id: pack_key(pack_id) in self._there,
                self._cancelled,
                kept=self._held.packs,
            )
        except KurabakoError as error:
            self._findings.append(
                Finding(
                    snapshot.id,
                    T(
                        "Snapshot {snapshot} is not whole in the vault. {why}",
                        snapshot=snapshot.short_id,
                        why=error.what,
                    ),
                )
            )
            return
        if self._cancelled():
            return
        files = self._missing([*self._packs_and_index(packs, index), snapshot_key(snapshot)])
        if self._is_sound(snapshot, files):
            self._plan_step(files, snapshot, Purpose.DATA, begun)

    def _base(self, snapshot: Snapshot, snapshots: Iterable[Snapshot]) -> Snapshot | None:
        """The snapshot most like this one of those the cloud has: its parent, or the newest of the same paths."""
        there = [each for each in snapshots if self._is_there(each)]
        alike = [each for each in there if (each.hostname, each.paths) == (snapshot.hostname, snapshot.paths)]
        parent = [each for each in there if each.id == snapshot.parent]
        return next(iter(parent or alike[-1:] or there[-1:]), None)

    def _packs_and_index(self, packs: Iterable[bytes], index: IndexMap) -> list[str]:
        """Keys of these packs, of the index files that name them, and of all packs those index files name."""
        needed: dict[str, None] = {}
        index_keys: dict[str, None] = {}
        avoid = index.naming(self._held.packs)
        for pack_id in sorted(packs):
            needed[pack_key(pack_id)] = None
            index_keys[index.name_of(pack_id, self._there, avoid)] = None
        for key in index_keys:
            if key not in self._there:
                needed.update(dict.fromkeys(pack_key(pack_id) for pack_id in index.packs_in(key)))
        return [*needed, *index_keys]

    def _missing(self, keys: Iterable[str]) -> list[ObjectInfo]:
        """Those the cloud has not, with the vault's sizes; size -1 for what the vault has not either."""
        return [ObjectInfo(key, self._vault_sizes.get(key, -1)) for key in keys if key not in self._there]

    def _is_sound(self, snapshot: Snapshot, files: list[ObjectInfo]) -> bool:
        """Whether every file can be sent. One that cannot is a finding, told here if not before."""
        for file in files:
            if file.size < 0:
                self._findings.append(
                    Finding(
                        file.key,
                        T(
                            "The file {key}, which snapshot {snapshot} needs, is missing in the vault.",
                            key=file.key,
                            snapshot=snapshot.short_id,
                        ),
                    )
                )
            if file.key in self._kept:
                what = T("Snapshot {snapshot} needs what has to stay in the vault.", snapshot=snapshot.short_id)
                self._findings.append(Finding(snapshot.id, what, kept=True))
            if not self._can_go(file.key):
                return False
        return True

    def _plan_step(
        self, files: list[ObjectInfo], snapshot: Snapshot | None, purpose: Purpose, begun: bool = True
    ) -> bool:
        """Adds a step when it fits; whether it did."""
        if not files:
            return True
        step = Step(tuple(files), snapshot)
        decision = decide(self._stored, 0, step.size, self._limits, purpose)
        if not (decision.allowed and begun):
            self._refused.append(Refusal(snapshot, step.size, decision.left or 0))
            return False
        self._steps.append(step)
        self._stored += step.size
        self._there.update(file.key for file in files)
        return True
