"""Keeping in the vault what may not leave it: snapshots that are held back, and what only they need.

Packs and index files go to the cloud whole, so one that holds something of a snapshot that is held back must not go.
What other snapshots need of such a pack is stored once more in the vault, in a pack of its own, and the packs that may
go are named once more in index files that name no other. Nothing is taken away: a prune clears up when the hold ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.replication.closure import IndexMap, pack_key, read_index_map, snapshot_key
from appliance.repository import BlobLocation, BlobType, FileType, Repository, Snapshot, WantedBlob
from appliance.repository.files import file_name
from appliance.repository.indexfile import IndexFiles, PackContents, decode_index
from appliance.repository.trees import BATCH, load_trees

_Blob = tuple[BlobType, bytes]


@dataclass(frozen=True)
class HeldBack:
    """What stays in the vault: the ids of snapshots, and packs that hold something only they need."""

    snapshots: frozenset[str] = frozenset()
    packs: frozenset[bytes] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """The packs' storage keys."""
        return frozenset(map(pack_key, self.packs))

    def besides(self, other: HeldBack) -> HeldBack:
        """What both hold back."""
        return HeldBack(self.snapshots | other.snapshots, self.packs | other.packs)


NOTHING_HELD = HeldBack()


def too_large(vault: Repository, largest: int) -> HeldBack:
    """The packs of more than `largest` bytes, which the other place does not take."""
    packs = vault.list_files(FileType.PACK)
    return HeldBack(packs=frozenset(bytes.fromhex(file_name(info.key)) for info in packs if info.size > largest))


def set_apart(vault: Repository, there: Collection[str], stays: Callable[[Snapshot], bool]) -> HeldBack:
    """Sets apart in the vault what may go from what `stays`. `there` are the keys of what the cloud has.

    A snapshot that the cloud has is not held back any more. The caller holds the vault's lock. `vault`'s own index is
    neither used nor changed. Raises a storage's error, and `DamagedData` for what had to be copied.
    """
    snapshots = vault.snapshots(lambda _: None)
    held = [each for each in snapshots if snapshot_key(each) not in there and stays(each)]
    if not held:
        return NOTHING_HELD
    held_ids = frozenset(each.id for each in held)
    apart = _Apart(vault.at(vault.storage), there)
    packs = apart.packs_of(held)
    needed = apart.needed_of((each for each in snapshots if each.id not in held_ids), packs)
    whole = {pack_id for pack_id in packs if needed.get(pack_id, set()) >= apart.contents_of(pack_id)}
    kept = frozenset(packs - whole)
    apart.copy({blob for pack_id in kept for blob in needed.get(pack_id, ())}, kept)
    apart.name_again(kept)
    return HeldBack(held_ids, kept)


class _Apart:
    def __init__(self, vault: Repository, there: Collection[str]) -> None:
        self._vault = vault
        self._there = there
        self._infos = {info.key: info for info in vault.list_files(FileType.INDEX)}
        self._index: IndexMap = read_index_map(vault, self._infos.values(), lambda *_: None)
        self._read: dict[str, dict[bytes, PackContents]] = {}

    def packs_of(self, held: Iterable[Snapshot]) -> set[bytes]:
        """The packs that the cloud has not and that hold something of these snapshots.

        Where a tree of theirs cannot be read, nobody knows which; then every pack may.
        """
        found: set[bytes] = set()
        if not self._walk(held, lambda blob: found.update(each.pack_id for each in self._locations(blob))):
            found = set(self._index.packs())
        return {pack_id for pack_id in found if pack_key(pack_id) not in self._there}

    def needed_of(self, free: Iterable[Snapshot], packs: Collection[bytes]) -> dict[bytes, set[_Blob]]:
        """What these snapshots need, by those of `packs` that hold it."""
        needed: dict[bytes, set[_Blob]] = {}

        def note(blob: _Blob) -> None:
            for each in self._locations(blob):
                if each.pack_id in packs:
                    needed.setdefault(each.pack_id, set()).add(blob)

        # What cannot be read of them is found, and told, when they are to be sent.
        self._walk(free, note)
        return needed

    def contents_of(self, pack_id: bytes) -> set[_Blob]:
        """Every blob in a pack."""
        return {(blob.type, blob.id) for blob in self._contents(pack_id)[1]}

    def copy(self, blobs: Iterable[_Blob], kept: Collection[bytes]) -> None:
        """Stores once more what is in no pack but `kept` ones."""
        wanted: dict[bytes, list[WantedBlob]] = {}
        for kind, blob_id in blobs:
            locations = self._locations((kind, blob_id))
            if all(each.pack_id in kept for each in locations):
                wanted.setdefault(locations[0].pack_id, []).append(WantedBlob(kind, blob_id, locations[0]))
        # One that knows nothing of what is stored already, and so stores it again.
        with self._vault.at(self._vault.storage).writer() as writer:
            for pack_id in sorted(wanted):
                for blob, content in self._vault.read_pack_blobs(wanted[pack_id]):
                    if isinstance(content, KurabakoError):
                        raise content
                    writer.save(blob.type, content)

    def name_again(self, kept: frozenset[bytes]) -> None:
        """Names in further index files the packs that may go but are named only beside `kept` ones."""
        mixed = self._index.naming(kept)
        further = IndexFiles(self._vault.save_json)
        for pack_id in sorted(self._index.packs()):
            names = self._index.files_with(pack_id)
            if pack_id not in kept and all(name in mixed and name not in self._there for name in names):
                further.add(self._contents(pack_id))
        further.flush()

    def _contents(self, pack_id: bytes) -> PackContents:
        name = self._index.files_with(pack_id)[0]
        if name not in self._read:
            packs = decode_index(self._vault.load_json(self._infos[name]))
            self._read[name] = {each: (each, blobs) for each, blobs in packs}
        return self._read[name][pack_id]

    def _locations(self, blob: _Blob) -> list[BlobLocation]:
        return [each for each in self._vault.index.locations(*blob) if each.pack_id in self._index]

    def _walk(self, snapshots: Iterable[Snapshot], visit: Callable[[_Blob], object]) -> bool:
        """Visits everything that the snapshots need, each tree once; whether all of it could be read."""
        seen: set[bytes] = set()
        waiting = [each.tree_id for each in snapshots]
        whole = True
        while waiting:
            batch = [*dict.fromkeys(tree for tree in waiting[-BATCH:] if tree not in seen)]
            del waiting[-BATCH:]
            seen.update(batch)
            for tree_id, tree in load_trees(self._vault, batch):
                visit((BlobType.TREE, tree_id))
                if isinstance(tree, KurabakoError):
                    whole = False
                    continue
                for node in tree.nodes:
                    if node.subtree:
                        waiting.append(node.subtree_id)
                    for blob_id in node.content_ids:
                        visit((BlobType.DATA, blob_id))
        return whole
