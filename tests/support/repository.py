"""Repositories for tests: cheap keys, a fixed clock, and small trees in them."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.repository import (
    BlobType,
    KdfCost,
    Node,
    Repository,
    Snapshot,
    encode_tree,
    format_time,
    go_mode,
    quote_name,
)
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage

PASSWORD = "正しい password"
CHEAP = KdfCost(n=16, r=1, p=1)
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
TIME = format_time(1_772_357_400_123_456_789)


def new_repository(storage: Storage | None = None, password: str = PASSWORD) -> Repository:
    """An empty repository whose key costs nothing to try."""
    return Repository.create(
        storage or MemoryStorage(), password, hostname="box", username="kura", now=lambda: NOW, cost=CHEAP
    )


def reopen(repository: Repository, password: str = PASSWORD) -> Repository:
    """The same repository as another process sees it, its index loaded."""
    again = Repository.open(repository.storage, password)
    again.load_index()
    return again


def file_node(name: bytes, content: list[bytes], size: int) -> Node:
    return Node(
        name=quote_name(name),
        type="file",
        mode=go_mode("file", 0o644),
        mtime=TIME,
        atime=TIME,
        ctime=TIME,
        size=size,
        content=[blob_id.hex() for blob_id in content],
    )


def dir_node(name: bytes, subtree: bytes) -> Node:
    return Node(
        name=quote_name(name),
        type="dir",
        mode=go_mode("dir", 0o755),
        mtime=TIME,
        atime=TIME,
        ctime=TIME,
        subtree=subtree.hex(),
    )


def save_files(repository: Repository, files: dict[bytes, bytes], folder: bytes = b"folder") -> Snapshot:
    """A snapshot of one folder that holds these files, each a single blob."""
    with repository.writer() as writer:
        nodes = []
        for name, content in files.items():
            ids = [writer.save(BlobType.DATA, content).id] if content else []
            nodes.append(file_node(name, ids, len(content)))
        subtree = writer.save(BlobType.TREE, encode_tree(nodes)).id
        root = writer.save(BlobType.TREE, encode_tree([dir_node(folder, subtree)])).id
    return repository.save_snapshot(
        Snapshot(time=TIME, tree=root.hex(), paths=["/" + folder.decode()], hostname="box", username="kura")
    )
