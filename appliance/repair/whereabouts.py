"""Where each blob can be had: in whole packs, in packs that no index names, in damaged ones, in the other copy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from appliance.errors import KurabakoError
from appliance.repair.losses import Lost
from appliance.repair.model import Damage, Remedy, Rescue
from appliance.repair.opening import is_damage
from appliance.repair.packs import inspect_pack, load_pack_header, pack_key, readable_copy
from appliance.repository import BlobType, FileType, Repository, Tree, decode_tree
from appliance.repository.index import BlobLocation, Index
from appliance.repository.pack import PackedBlob
from appliance.repository.reader import WantedBlob, read_blob
from appliance.storage.interface import ObjectInfo
from appliance.text import T


class Whereabouts:
    """Blobs of `repository` and where they can be had; what must be done to have them is noted here.

    `copies` are files to be taken from `other`, by key; the planner adds to them too. `unindexed` are the packs, with
    their sizes, that no index file names; of those only the headers are read if `headers_only`.
    """

    def __init__(self, repository: Repository, other: Repository | None, suspects: Collection[bytes]) -> None:
        self.repository = repository
        self.other = other
        self.suspects = suspects
        self.unindexed: Mapping[bytes, int] = {}
        self.headers_only = False
        self.good = Index()
        """Blobs in packs that are whole, or will be."""
        self.copies: dict[str, ObjectInfo] = {}
        self.rescues: dict[tuple[BlobType, bytes], Rescue] = {}
        self.index_packs: set[bytes] = set()
        self.damages: list[Damage] = []
        self.late_suspects: set[bytes] = set()
        """Packs that seemed whole until a directory was read from them."""
        self.bytes_read = 0
        self._loose: dict[tuple[BlobType, bytes], Rescue] = {}

    def place_of(self, key: str) -> Repository:
        """Where this file is to be read now."""
        return self.other if self.other is not None and key in self.copies else self.repository

    def has(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether the repository will have this blob after what is planned so far."""
        return self.good.has(kind, blob_id) or (kind, blob_id) in self.rescues

    def rescue_readable(self, pack_id: bytes, blobs: Sequence[PackedBlob]) -> None:
        """Has those blobs of a pack that goes stored anew that are nowhere else."""
        for blob in blobs:
            if not self.has(blob.type, blob.id):
                self.rescues[blob.type, blob.id] = Rescue(pack_id, blob, from_other=False)

    def find(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether the repository will have this blob; if it is in no index, it is looked for everywhere else."""
        if self.has(kind, blob_id):
            return True
        for location in self.spare.locations(kind, blob_id)[:1]:
            if location.pack_id not in self.index_packs:
                self.index_packs.add(location.pack_id)
                what = T("Snapshots need the pack, but no index file names it.")
                self.damages.append(Damage("pack-not-indexed", location.pack_id.hex(), what, Remedy.REBUILD))
            return True
        rescue = self._loose.get((kind, blob_id))
        if rescue is None and self.other is not None and self._other_index is not None:
            found = readable_copy(self.other, kind, blob_id)
            rescue = Rescue(*found, from_other=True) if found else None
        if rescue is not None:
            self.rescues[kind, blob_id] = rescue
        return rescue is not None

    @cached_property
    def spare(self) -> Index:
        """What lies in whole packs that no index file names.

        When index files are damaged, these packs may be nearly all, and only their headers are read.
        """
        index = Index()
        for pack_id, size in sorted(self.unindexed.items()):
            if self.headers_only and pack_id not in self.suspects:
                blobs = self._header_of(pack_id, size)
            else:
                inspected = inspect_pack(self.repository, pack_id, ())
                self.bytes_read += inspected.size
                blobs = inspected.header if inspected.is_whole else None
                for blob in inspected.readable if blobs is None else ():
                    self._loose[blob.type, blob.id] = Rescue(pack_id, blob, from_other=False)
            index.add_pack(pack_id, blobs or ())
        return index

    def _header_of(self, pack_id: bytes, size: int) -> Sequence[PackedBlob] | None:
        """What a pack that no index names holds; if it is damaged, by the other copy of it, which is to be copied."""
        try:
            return load_pack_header(self.repository, pack_id, size)
        except KurabakoError as error:
            if not is_damage(error):
                raise
            found = inspect_pack(self.other, pack_id, ()) if self.other is not None else None
            if found is None or not found.is_whole:
                return None
            self.copies[pack_key(pack_id)] = ObjectInfo(pack_key(pack_id), found.size)
            return found.header

    @cached_property
    def _other_index(self) -> Index | None:
        """What the other copy has, as far as its index can be read."""
        if self.other is None:
            return None
        self.other.index = Index()
        for _, packs in self.other.take_in(self.other.list_files(FileType.INDEX)):
            if isinstance(packs, KurabakoError) and not is_damage(packs):
                raise packs
        return self.other.index

    def load_tree(self, tree_id: bytes) -> Tree | Lost:
        """A directory that cannot simply be read here, from wherever it is."""
        kind = BlobType.TREE
        if self.good.has(kind, tree_id):
            here = [each.pack_id for each in self.good.locations(kind, tree_id)]
            unseen = {pack for pack in here if pack_key(pack) not in self.copies and pack not in self.suspects}
            self.late_suspects.update(unseen)
            return self._tree_from(self.other, tree_id) or Lost()
        if not self.find(kind, tree_id):
            return Lost()
        rescue = self.rescues.get((kind, tree_id))
        if rescue is None:
            location = self.spare.locations(kind, tree_id)[0]
            return self._tree_at(self.place_of(pack_key(location.pack_id)), tree_id, location) or Lost()
        place = self.other if rescue.from_other else self.repository
        blob = rescue.blob
        location = BlobLocation(rescue.pack_id, blob.offset, blob.length, blob.uncompressed_length or None)
        return (self._tree_at(place, tree_id, location) if place else None) or Lost()

    def _tree_from(self, place: Repository | None, tree_id: bytes) -> Tree | None:
        if place is None or self._other_index is None:
            return None
        for location in place.index.locations(BlobType.TREE, tree_id):
            tree = self._tree_at(place, tree_id, location)
            if tree is not None:
                return tree
        return None

    def _tree_at(self, place: Repository, tree_id: bytes, location: BlobLocation) -> Tree | None:
        try:
            return decode_tree(read_blob(place.storage, place.sealer, WantedBlob(BlobType.TREE, tree_id, location)))
        except KurabakoError as error:
            if not is_damage(error):
                raise
            return None
