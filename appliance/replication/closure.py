"""What a snapshot needs to be whole in another place: packs, and the index files that name them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from appliance.errors import KurabakoError
from appliance.repository import BlobType, FileType, Node, Repository, Snapshot
from appliance.repository.errors import MissingData
from appliance.repository.ids import object_key
from appliance.repository.packnumbers import PackNumbers
from appliance.repository.reader import blob_name
from appliance.repository.tree import Tree
from appliance.repository.trees import BATCH, load_trees
from appliance.storage.interface import ObjectInfo


def pack_key(pack_id: bytes) -> str:
    """The storage key of a pack."""
    return object_key(FileType.PACK, pack_id.hex())


def snapshot_key(snapshot: Snapshot) -> str:
    """The storage key of a snapshot."""
    return object_key(FileType.SNAPSHOT, snapshot.id)


class IndexMap:
    """Which index file names which packs. Files are named by their keys.

    Compact, since there are as many packs as the repository has 16 MiB.
    """

    def __init__(self) -> None:
        self._packs = PackNumbers()
        self._named: dict[str, array[int]] = {}
        """By index file, the numbers of the packs it names."""
        self._files: list[str] = []
        self._first_file = array("I")
        """By pack, the number of the first file that names it."""
        self._other_files: dict[int, list[str]] = {}
        """By pack, further files that name it, too."""

    def add(self, key: str, pack_ids: Iterable[bytes]) -> None:
        """Notes what the file `key`, which was not added before, names."""
        named = self._named[key] = array("I")
        for pack_id in dict.fromkeys(pack_ids):
            number = self._packs.number(pack_id)
            if number is None:
                number = self._packs.add(pack_id)
                self._first_file.append(len(self._files))
            else:
                self._other_files.setdefault(number, []).append(key)
            named.append(number)
        self._files.append(key)

    def files(self) -> Iterable[str]:
        return self._files

    def packs(self) -> Iterator[bytes]:
        return iter(self._packs)

    def packs_in(self, key: str) -> Iterator[bytes]:
        """The packs that this file names."""
        return map(self._packs.__getitem__, self._named[key])

    def files_with(self, pack_id: bytes) -> Sequence[str]:
        """The files that name this pack, the first one first; raises `KeyError` when none does."""
        number = self._packs.number(pack_id)
        if number is None:
            raise KeyError(pack_id)
        return [self._files[self._first_file[number]], *self._other_files.get(number, ())]

    def naming(self, packs: Iterable[bytes]) -> frozenset[str]:
        """The index files that name any of these packs."""
        return frozenset(key for pack_id in packs if pack_id in self for key in self.files_with(pack_id))

    def name_of(self, pack_id: bytes, there: Container[str], avoid: Container[str] = ()) -> str:
        """The index file that names the pack: rather one that is `there`, then one that is not to be avoided."""
        names = self.files_with(pack_id)
        return next((name for name in names if name in there), None) or next(
            (name for name in names if name not in avoid), names[0]
        )

    def __contains__(self, pack_id: object) -> bool:
        return isinstance(pack_id, bytes) and pack_id in self._packs


def read_index_map(
    repository: Repository, infos: Iterable[ObjectInfo], on_error: Callable[[str, KurabakoError], None]
) -> IndexMap:
    """Reads these index files into the repository's index; says which packs each names.

    One that cannot be read is told by its key and left out.
    """
    mapped = IndexMap()
    for info, packs in repository.take_in(sorted(infos, key=lambda info: info.key)):
        if isinstance(packs, KurabakoError):
            on_error(info.key, packs)
        else:
            mapped.add(info.key, packs)
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
        holders = [each.pack_id for each in repository.index.locations(kind, blob_id) if each.pack_id in index]
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
