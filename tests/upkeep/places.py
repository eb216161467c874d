"""Repositories with a past: snapshots that share, and packs in which some is used and some is not."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from appliance.repository import BlobType, Repository, Snapshot, encode_tree, from_datetime
from appliance.repository.check import check
from appliance.storage.interface import Storage
from tests.support.repository import PASSWORD, dir_node, file_node

BEGIN = datetime(2026, 11, 1, 2, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def noise(seed: int, size: int = 20_000) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def back_up(repository: Repository, day: int, files: dict[str, bytes], path: str = "/share") -> Snapshot:
    """A snapshot of one folder, each file a blob."""
    with repository.writer() as writer:
        nodes = [
            file_node(name.encode(), [writer.save(BlobType.DATA, content).id], len(content))
            for name, content in files.items()
        ]
        inner = writer.save(BlobType.TREE, encode_tree(nodes)).id
        root = writer.save(BlobType.TREE, encode_tree([dir_node(path.strip("/").encode(), inner)])).id
    return repository.save_snapshot(
        Snapshot(
            time=from_datetime(BEGIN + timedelta(days=day)),
            tree=root.hex(),
            paths=[path],
            hostname="box",
            username="kura",
        )
    )


def fresh(storage: Storage) -> Repository:
    """The repository as another process opens it."""
    return Repository.open(storage, PASSWORD)


def contents(storage: Storage) -> dict[str, dict[str, bytes]]:
    """The files of every snapshot by the snapshot's id, each byte read and verified; and check finds no error."""
    report = check(fresh(storage), read_data=True)
    assert report.errors == []
    repository = fresh(storage)
    snapshots = repository.snapshots()
    repository.load_index()
    return {snapshot.id: _files(repository, snapshot.tree_id, "") for snapshot in snapshots}


def _files(repository: Repository, tree: bytes, path: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for node in repository.load_tree(tree).nodes:
        if node.subtree:
            files |= _files(repository, node.subtree_id, f"{path}/{node.name}")
        else:
            blobs = (repository.load_blob(BlobType.DATA, blob_id) for blob_id in node.content_ids)
            files[f"{path}/{node.name}"] = b"".join(map(bytes, blobs))
    return files


def pack_bytes(storage: Storage) -> int:
    return sum(info.size for info in storage.list("data"))


def total(storage: Storage) -> int:
    return sum(info.size for info in storage.list())
