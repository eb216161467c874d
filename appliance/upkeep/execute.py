"""Executing a prune in the order that loses nothing wherever it ends (format 1.12).

1. Packs that no index names go. 2. Used blobs are copied into new packs, which are stored, then named in an index
file. 3. Index files that name a pack that is to go are written anew without it; only when all of them are stored, the
old ones go. 4. The packs go. Ended anywhere, it leaves blobs that are stored twice or packs that no index names,
which the next prune clears away, and never an index that names what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.repository import BlobType, FileType, Repository
from appliance.repository.errors import DamagedData
from appliance.repository.files import file_name
from appliance.repository.ids import object_key
from appliance.repository.indexfile import MAX_BLOBS, IndexFiles, PackContents, decode_index
from appliance.repository.overlap import overlapped
from appliance.repository.pack import PackedBlob, finish_pack
from appliance.repository.reader import blob_name, decode_blob
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo, StorageError
from appliance.text import T
from appliance.upkeep.prune import Filling, PrunePlan, needed_blobs

_HALF_FULL = MAX_BLOBS // 2
"""Index files with fewer blobs are merged when the index is rewritten anyway."""


class PlanOutdated(KurabakoError):
    """The repository is not what it was when the plan was made."""

    code = "upkeep.plan-outdated"

    def __init__(self) -> None:
        super().__init__(
            T("The repository has changed since the plan was made."),
            safe=T("Nothing was deleted."),
            todo=T("Start again."),
        )


@dataclass(frozen=True)
class PruneReport:
    """What a prune did; sizes are bytes of packs. `leftovers` could not be deleted: the next prune does."""

    packs_deleted: int = 0
    packs_written: int = 0
    bytes_freed: int = 0
    leftovers: tuple[str, ...] = ()


Together = Callable[[bytes, str], Hashable]
"""Of a pack, and of the key of the index file that named it: packs for which it says the same may share a new one."""


def all_together(pack_id: bytes, index_key: str) -> Hashable:  # noqa: ARG001
    """Any packs may share an index file."""
    return None


def execute_prune(
    repository: Repository,
    plan: PrunePlan,
    *,
    together: Together = all_together,
    on_progress: Callable[[Progress], None] | None = None,
) -> PruneReport:
    """Does what `plan` says. The exclusive lock under which it was planned is still held.

    `together` keeps packs apart in the index that another place does not both have: an index file goes there whole.

    What is stored in the process is upkeep: a gate in front of the storage lets it use the reserve. Raises
    `PlanOutdated` before anything changes; `DamagedData` or a storage's error with nothing lost. The repository object
    does not know its new index afterwards: open it again.
    """
    if plan.nothing_to_do:
        return PruneReport()
    if not _holds(repository, plan):
        raise PlanOutdated
    return _Prune(repository, plan, together, on_progress or _no_progress).run()


def _holds(repository: Repository, plan: PrunePlan) -> bool:
    snapshots = {file_name(info.key) for info in repository.list_files(FileType.SNAPSHOT)}
    return snapshots == set(plan.snapshots) and tuple(repository.list_files(FileType.INDEX)) == plan.index_files


class _Prune:
    def __init__(
        self, repository: Repository, plan: PrunePlan, together: Together, on_progress: Callable[[Progress], None]
    ) -> None:
        self.repository = repository
        self.plan = plan
        self.together = together
        self.on_progress = on_progress
        self.done = 0
        self.leftovers: list[str] = []
        self.packs_written = self.bytes_written = 0

    def run(self) -> PruneReport:
        plan = self.plan
        self.delete(file_name(info.key) for info in plan.unindexed)
        if plan.repack:
            self.repack()
        going = plan.delete | plan.repack
        if going:
            self.rewrite_index(going)
            self.delete(sorted(pack_id.hex() for pack_id in going))
        return PruneReport(
            packs_deleted=len(plan.unindexed) + len(going) - len(self.leftovers),
            packs_written=self.packs_written,
            bytes_freed=plan.bytes_unindexed + plan.bytes_deleted + plan.bytes_repacked - self.bytes_written,
            leftovers=tuple(self.leftovers),
        )

    def delete(self, names: Iterable[str]) -> None:
        """Deletes packs. One that cannot be deleted is left: no index names it any more."""

        def delete(name: str) -> bool:
            try:
                self.repository.delete_file(FileType.PACK, name)
            except StorageError:
                return False
            return True

        for name, deleted in overlapped(delete, names):
            if not deleted:
                self.leftovers.append(object_key(FileType.PACK, name))

    # --- new packs -------------------------------------------------------------------------------------------

    def repack(self) -> None:
        """Copies what is needed of the packs to be replaced, and names the copies in index files."""
        written: list[PackContents] = []
        for (blobs, _), (pack_id, size) in overlapped(self.store, self.new_packs()):
            written.append((pack_id, blobs))
            self.bytes_written += size
        self.packs_written = len(written)
        index = IndexFiles(self.repository.save_json)
        for pack in written:
            index.add(pack)
        index.flush()

    def store(self, pack: tuple[list[PackedBlob], bytearray]) -> tuple[bytes, int]:
        blobs, contents = pack
        contents += finish_pack(blobs, self.repository.sealer)
        return self.repository.save_file(FileType.PACK, contents), len(contents)

    def new_packs(self) -> Iterator[tuple[list[PackedBlob], bytearray]]:
        """The new packs without their headers, filled as the plan foretold."""
        filling = Filling()
        open_packs: dict[BlobType, tuple[list[PackedBlob], bytearray]] = {}
        wanted = needed_blobs(self.repository, self.plan.index_files, self.plan.repack, self.plan.live)
        for (_, blobs), sealed in overlapped(self.read, wanted, readers=2):
            for blob, content in zip(blobs, sealed, strict=True):
                if filling.begins_pack(blob.type, blob.length + blob.header_entry_size):
                    full = open_packs.pop(blob.type, None)
                    if full is not None:
                        yield full
                    open_packs[blob.type] = ([], bytearray())
                entries, contents = open_packs[blob.type]
                entries.append(blob._replace(offset=len(contents)))
                contents += content
            self.advance(sum(blob.length for blob in blobs))
        yield from open_packs.values()

    def read(self, pack: tuple[bytes, list[PackedBlob]]) -> list[memoryview]:
        """The sealed blobs of a pack, each proven to be what its id says. Raises `DamagedData`."""
        pack_id, blobs = pack
        start = blobs[0].offset
        data = memoryview(
            self.repository.storage.get(
                object_key(FileType.PACK, pack_id.hex()), start, blobs[-1].offset + blobs[-1].length - start
            )
        )
        sealed = [data[blob.offset - start :][: blob.length] for blob in blobs]
        for blob, content in zip(blobs, sealed, strict=True):
            try:
                decode_blob(self.repository.sealer, content, blob.id, blob.uncompressed_length or None)
            except DamagedData as damage:
                raise damage.named(blob_name(blob.type, blob.id)) from None
        return sealed

    def advance(self, size: int) -> None:
        self.done += size
        self.on_progress(
            Progress(T("Packing anew"), bytes_done=self.done, bytes_total=max(self.done, self.plan.bytes_rewritten))
        )

    # --- index -----------------------------------------------------------------------------------------------

    def rewrite_index(self, going: frozenset[bytes]) -> None:
        """Replaces the index files that name a pack that is to go, and merges those with little in them."""
        self.on_progress(Progress(T("Writing the index")))
        files: dict[Hashable, IndexFiles] = {}
        replaced: list[ObjectInfo] = []
        seen: set[bytes] = set()
        for info in self.plan.index_files:
            packs = decode_index(self.repository.load_json(info))
            if sum(len(each) for _, each in packs) >= _HALF_FULL and not any(pack_id in going for pack_id, _ in packs):
                continue
            replaced.append(info)
            for pack_id, contents in packs:
                if pack_id not in going and pack_id not in seen:
                    seen.add(pack_id)
                    group = self.together(pack_id, info.key)
                    files.setdefault(group, IndexFiles(self.repository.save_json)).add((pack_id, contents))
        for each in files.values():
            each.flush()
        for info in replaced:
            self.repository.delete_file(FileType.INDEX, file_name(info.key))


def _no_progress(_: Progress) -> None:
    """Nobody watches."""
