"""Executing a repair in the order that loses nothing wherever it ends.

1. The config and keys. 2. Packs that the other copy has whole, in their own places. 3. Blobs that can still be read,
in new packs. 4. Index files: those of the other copy, then new ones that name what is there; only when all are stored,
the ones they replace go. 5. Snapshots. 6. Damaged packs all of whose blobs are stored elsewhere. Ended anywhere,
whatever could be read before can be read, and the next repair completes the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from appliance.repair.model import RepairPlan, RepairReport, Rescue
from appliance.repair.packs import load_pack_header, pack_key
from appliance.repository import BlobType, DamagedData, FileType, Repository
from appliance.repository.files import file_name, load_file
from appliance.repository.ids import CONFIG_KEY
from appliance.repository.indexfile import IndexFiles, PackContents, decode_index
from appliance.repository.overlap import overlapped
from appliance.repository.pack import TARGET_SIZE, PackedBlob, finish_pack
from appliance.repository.reader import blob_name, decode_blob
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo, StorageError
from appliance.text import T


def _silent(_: Progress) -> None:
    """For who does not want to know."""


def _never() -> bool:
    return False


def execute_repair(
    repository: Repository,
    plan: RepairPlan,
    other: Repository | None = None,
    *,
    on_progress: Callable[[Progress], None] = _silent,
    cancelled: Callable[[], bool] = _never,
) -> RepairReport:
    """Does what `plan` says. The exclusive lock under which it was planned is still held.

    What is stored in the process is upkeep: a gate in front of the storage lets it use the reserve. Raises
    `DamagedData` or a storage's error with nothing lost. The repository object does not know its new index afterwards:
    open it again.
    """
    return _Repair(repository, plan, other, on_progress, cancelled).run()


class _Cancelled(Exception):
    """Ends a repair that is no longer wanted, between two files."""


class _Repair:
    def __init__(
        self,
        repository: Repository,
        plan: RepairPlan,
        other: Repository | None,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.repository = repository
        self.plan = plan
        self.other = other
        self.on_progress = on_progress
        self.cancelled = cancelled
        self.copied = self.packs_written = self.bytes_written = 0
        self.leftovers: list[str] = []

    def run(self) -> RepairReport:
        plan = self.plan
        was_cancelled = False
        try:
            if plan.config is not None:
                self.repository.storage.put(CONFIG_KEY, plan.config)
            self.copy(FileType.KEY)
            self.copy(FileType.PACK)
            new_packs = self.store_rescued()
            self.copy(FileType.INDEX)
            self.rewrite_index(new_packs)
            self.copy(FileType.SNAPSHOT)
            for pack_id in sorted(plan.old_packs):
                self.delete_pack(pack_id)
        except _Cancelled:
            was_cancelled = True
        return RepairReport(
            self.copied, self.packs_written, self.bytes_written, tuple(self.leftovers), cancelled=was_cancelled
        )

    def advance(self, size: int) -> None:
        self.bytes_written += size
        total = self.plan.bytes_copied + self.plan.bytes_rescued
        self.on_progress(
            Progress(T("Repairing"), bytes_done=self.bytes_written, bytes_total=max(self.bytes_written, total))
        )
        if self.cancelled():
            raise _Cancelled

    def copy(self, kind: FileType) -> None:
        """Takes files of this kind from the other copy, each into its own place."""
        for info, _ in overlapped(self.copy_file, [info for info in self.plan.copies if _is(info, kind)]):
            self.copied += 1
            self.advance(info.size)

    def copy_file(self, info: ObjectInfo) -> None:
        assert self.other is not None
        self.repository.storage.put(info.key, load_file(self.other.storage, info))

    def delete_pack(self, pack_id: bytes) -> None:
        """One that cannot be deleted is left: no index names it any more."""
        try:
            self.repository.delete_file(FileType.PACK, pack_id.hex())
        except StorageError:
            self.leftovers.append(pack_key(pack_id))

    # --- new packs -------------------------------------------------------------------------------------------

    def store_rescued(self) -> list[PackContents]:
        """Stores rescued blobs in new packs; what is in them."""
        written: list[PackContents] = []
        for (blobs, contents), pack_id in overlapped(self.store, self.new_packs(), readers=2):
            written.append((pack_id, blobs))
            self.packs_written += 1
            self.advance(len(contents))
        return written

    def store(self, pack: tuple[list[PackedBlob], bytearray]) -> bytes:
        blobs, contents = pack
        contents += finish_pack(blobs, self.repository.sealer)
        return self.repository.save_file(FileType.PACK, contents)

    def new_packs(self) -> Iterator[tuple[list[PackedBlob], bytearray]]:
        """The new packs without their headers: data and trees apart (format 1.5)."""
        for kind in BlobType:
            blobs: list[PackedBlob] = []
            contents = bytearray()
            for rescue in self.rescues_of(kind):
                if blobs and len(contents) + rescue.blob.length > TARGET_SIZE:
                    yield blobs, contents
                    blobs, contents = [], bytearray()
                sealed = self.read(rescue)
                blobs.append(rescue.blob._replace(offset=len(contents)))
                contents += sealed
            if blobs:
                yield blobs, contents

    def rescues_of(self, kind: BlobType) -> Iterable[Rescue]:
        wanted = (rescue for rescue in self.plan.rescues if rescue.blob.type is kind)
        return sorted(wanted, key=lambda rescue: (rescue.from_other, rescue.pack_id, rescue.blob.offset))

    def read(self, rescue: Rescue) -> bytes:
        """The sealed blob, proven once more to be what its id says. Raises `DamagedData`."""
        place = self.other if rescue.from_other and self.other is not None else self.repository
        blob = rescue.blob
        sealed = place.storage.get(pack_key(rescue.pack_id), blob.offset, blob.length)
        try:
            decode_blob(place.sealer, sealed, blob.id, blob.uncompressed_length or None)
        except DamagedData as damage:
            raise damage.named(blob_name(blob.type, blob.id)) from None
        return sealed

    # --- index -----------------------------------------------------------------------------------------------

    def rewrite_index(self, new_packs: Iterable[PackContents]) -> None:
        """Names what is there and was not named, and replaces the index files that tell what is not so."""
        if not self.plan.changes_index:
            return
        self.on_progress(Progress(T("Writing the index")))
        index = IndexFiles(self.repository.save_json)
        for pack in new_packs:
            index.add(pack)
        sizes = self.plan.sizes | {info.key: info.size for info in self.plan.copies}
        for pack_id in sorted(self.plan.index_packs):
            index.add((pack_id, load_pack_header(self.repository, pack_id, sizes[pack_key(pack_id)])))
        gone = self.plan.dropped | self.plan.index_packs
        seen: set[bytes] = set()
        for info in self.plan.old_index:
            for pack_id, blobs in decode_index(self.repository.load_json(info)):
                if pack_id not in gone and pack_id not in seen:
                    seen.add(pack_id)
                    index.add((pack_id, blobs))
        index.flush()
        for info in (*self.plan.old_index, *self.plan.damaged_index):
            self.repository.delete_file(FileType.INDEX, file_name(info.key))


def _is(info: ObjectInfo, kind: FileType) -> bool:
    return info.key.startswith(f"{kind}/")
