"""What a snapshot needs to be whole in another place: packs, and the index files that name them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Set
from dataclasses import dataclass, field

from appliance.errors import KurabakoError
from appliance.repository import BlobType, DamagedData, FileType, Node, Repository, Snapshot
from appliance.repository.errors import MissingData
from appliance.repository.ids import object_key
from appliance.repository.indexfile import decode_index
from appliance.repository.reader import blob_name
from appliance.repository.tree import Tree
from appliance.repository.trees import BATCH, load_trees
from appliance.storage.interface import ObjectInfo

_NONE: frozenset[str] = frozenset()


def pack_key(pack_id: bytes) -> str:
    """The storage key of a pack."""
    return object_key(FileType.PACK, pack_id.hex())


def snapshot_key(snapshot: Snapshot) -> str:
    """The storage key of a snapshot."""
    return object_key(FileType.SNAPSHOT, snapshot.id)


@dataclass
class IndexMap:
    """Which index file names which packs. Files are named by their keys."""

    packs: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    files: dict[bytes, list[str]] = field(default_factory=dict)

    def add(self, key: str, pack_ids: Iterable[bytes]) -> None:
        self.packs[key] = tuple(pack_ids)
        for pack_id in self.packs[key]:
            self.files.setdefault(pack_id, []).append(key)

    def naming(self, packs: Set[bytes]) -> frozenset[str]:
        """The index files that name any of these packs."""
        return frozenset(key for key, named in self.packs.items() if not packs.isdisjoint(named)) if packs else _NONE

    def name_of(self, pack_id: bytes, there: Container[str], avoid: Container[str] = _NONE) -> str:
        """The index file that names the pack: rather one that is `there`, then one that is not to be avoided."""
        names = self.files[pack_id]
        return next((name for name in names if name in there), None) or next(
            (name for name in names if name not in avoid), names[0]
        )


def read_index_map(
    repository: Repository, infos: Iterable[ObjectInfo], on_error: Callable[[str, KurabakoError], None]
) -> IndexMap:
    """Reads these index files into the repository's index; says which packs each names.

    One that cannot be read is told by its key and left out.
    """
    mapped = IndexMap()
    for info in sorted(infos, key=lambda info: info.key):
        try:
            packs = decode_index(repository.load_json(info))
        except KurabakoError as error:
            on_error(info.key, error.named(info.key) if isinstance(error, DamagedData) else error)
            continue
        mapped.add(info.key, (pack_id for pack_id, _ in packs))
        for pack_id, blobs in packs:
            repository.index.add_pack(pack_id, blobs)
    return mapped


def packs_of_snapshot(
    repository: Repository,
    root: bytes,
    base: bytes | None,
    index: IndexMap,
    there: Callable[[bytes], bool],
    cancelled: Callable[[], bool],
    seen: set[bytes] | None = None,
    kept: Container[bytes] = (),
) -> set[bytes]:
    """The packs that the tree `root` needs besides those of the tree `base`, which the other place has whole.

    Both trees are walked side by side, so only directories that differ are read; those `seen` are left out, and what is
    walked is added to them. Where a blob is in several packs, one that is `there` already is chosen, and one of those
    that are `kept` only when there is no other. Raises `DamagedData` or a storage's error when the tree is not whole;
    ends early when `cancelled`.
    """

    def pack(kind: BlobType, blob_id: bytes) -> bytes:
        holders = [each.pack_id for each in repository.index.locations(kind, blob_id) if each.pack_id in index.files]
        if not holders:
            raise MissingData(blob_name(kind, blob_id))
        return next(filter(there, holders), None) or next((each for each in holders if each not in kept), holders[0])

    packs: set[bytes] = set()
    seen = set() if seen is None else seen
    waiting: list[tuple[bytes, bytes | None]] = [(root, base)]
    while waiting and not cancelled():
        batch: dict[bytes, bytes | None] = {}
        while waiting and len(batch) < BATCH:
            tree_id, other = waiting.pop()
            if tree_id != other and tree_id not in seen:
                seen.add(tree_id)
                packs.add(pack(BlobType.TREE, tree_id))
                batch[tree_id] = other
        read = dict(load_trees(repository, [*batch, *filter(None, batch.values())]))
        for tree_id, other in batch.items():
            tree = read[tree_id]
            if isinstance(tree, KurabakoError):
                raise tree
            before = _nodes(read.get(other) if other else None)
            for node in tree.nodes:
                twin = before.get(node.name)
                if node.subtree:
                    waiting.append((node.subtree_id, twin.subtree_id if twin and twin.subtree else None))
                elif node.content and not (twin and twin.content == node.content):
                    packs.update(pack(BlobType.DATA, blob_id) for blob_id in node.content_ids)
    return packs


def _nodes(tree: Tree | KurabakoError | None) -> dict[str, Node]:
    """The nodes of the base's tree by name; none when it cannot be read, which only costs time."""
    return {node.name: node for node in tree.nodes} if isinstance(tree, Tree) else {}
