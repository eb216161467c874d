"""Vaults with snapshots, clouds that fail, and a reader that leaves nothing unread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from appliance.capacity import GatedStorage, Ledger
from appliance.replication import ReplicationPlan, ReplicationReport, execute_replication, plan_replication
from appliance.repository import BlobType, Repository, Snapshot, encode_tree, from_datetime
from appliance.storage import MemoryStorage, StorageWrapper
from appliance.storage.interface import Buffer, Storage
from tests.support.repository import PASSWORD, dir_node, file_node

BEGIN = datetime(2026, 11, 1, 2, tzinfo=UTC)


def back_up(vault: Repository, day: int, files: dict[bytes, bytes], folder: bytes = b"share") -> Snapshot:
    """A snapshot of `/<folder>` with one subfolder for each letter that names begin with."""
    letters: dict[bytes, list[bytes]] = {}
    for name in sorted(files):
        letters.setdefault(name[:1], []).append(name)
    with vault.writer() as writer:
        subfolders = []
        for letter, names in letters.items():
            nodes = [file_node(name, [writer.save(BlobType.DATA, files[name]).id], len(files[name])) for name in names]
            subfolders.append(dir_node(letter, writer.save(BlobType.TREE, encode_tree(nodes)).id))
        inner = writer.save(BlobType.TREE, encode_tree(subfolders)).id
        root = writer.save(BlobType.TREE, encode_tree([dir_node(folder, inner)])).id
    return vault.save_snapshot(
        Snapshot(
            time=from_datetime(BEGIN + timedelta(days=day)),
            tree=root.hex(),
            paths=["/" + folder.decode()],
            hostname="box",
            username="kura",
        )
    )


def same_vault(vault: Repository) -> Repository:
    """The vault as a job opens it: nothing of its index known yet."""
    return Repository.open(vault.storage, PASSWORD)


def gate(cloud: Storage, capacity: int | None, reserve: int = 0) -> GatedStorage:
    return GatedStorage(cloud, Ledger.measure(cloud, capacity=capacity, reserve=reserve))


def plan_for(vault: Repository, cloud: Storage, capacity: int | None = None, reserve: int = 0) -> ReplicationPlan:
    gated = gate(cloud, capacity, reserve)
    return plan_replication(same_vault(vault), gated, gated.ledger)


def replicate(
    vault: Repository,
    cloud: Storage,
    capacity: int | None = None,
    *,
    reserve: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
) -> ReplicationReport:
    gated = gate(cloud, capacity, reserve)
    opened = same_vault(vault)
    plan = plan_replication(opened, gated, gated.ledger)
    return execute_replication(plan, opened, gated, cancelled=cancelled)


def total(storage: Storage) -> int:
    return sum(info.size for info in storage.list())


def snapshots_of(storage: Storage) -> set[str]:
    return {info.key.partition("/")[2] for info in storage.list("snapshots")}


def read_everything(storage: Storage) -> dict[str, dict[bytes, bytes]]:
    """The files of every snapshot by its id, each blob read and verified; every pack an index names is there."""
    repository = Repository.open(storage, PASSWORD)
    snapshots = repository.snapshots()
    repository.load_index()
    packs = {info.key.rpartition("/")[2] for info in storage.list("data")}
    assert {pack_id.hex() for pack_id in repository.index.packs()} <= packs
    read: dict[str, dict[bytes, bytes]] = {}
    for snapshot in snapshots:
        files = read[snapshot.id] = {}
        waiting = [snapshot.tree_id]
        while waiting:
            for node in repository.load_tree(waiting.pop()).nodes:
                if node.subtree:
                    waiting.append(node.subtree_id)
                else:
                    content = b"".join(
                        bytes(repository.load_blob(BlobType.DATA, blob_id)) for blob_id in node.content_ids
                    )
                    files[node.raw_name] = content
    return read


class FailingStorage(StorageWrapper):
    """Raises `error` at the put number `at` (from 0) and every later one; counts and keeps the order of puts."""

    def __init__(self, inner: Storage, at: int | None, error: Exception) -> None:
        super().__init__(inner)
        self.keys: list[str] = []
        self._at = at
        self._error = error
        self._lock = threading.Lock()

    def put(self, key: str, data: Buffer) -> None:
        with self._lock:
            if self._at is not None and len(self.keys) >= self._at:
                raise self._error
            self.keys.append(key)
            self.inner.put(key, data)


def copy_of(storage: Storage) -> MemoryStorage:
    """Another place with the same objects."""
    copy = MemoryStorage()
    for info in storage.list():
        copy.put(info.key, storage.get(info.key))
    return copy
