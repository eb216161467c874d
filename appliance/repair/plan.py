"""The plan of a repair: what is damaged, and from where each thing can be had. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import sha256

from appliance.errors import KurabakoError
from appliance.repair.losses import find_losses
from appliance.repair.model import Damage, Remedy, RepairPlan
from appliance.repair.opening import Patient, is_damage
from appliance.repair.packs import Inspected, inspect_pack, pack_key
from appliance.repair.whereabouts import Whereabouts
from appliance.repository import BlobType, DamagedData, FileType, Repository
from appliance.repository.files import file_name, load_file
from appliance.repository.ids import CONFIG_KEY
from appliance.repository.indexfile import decode_index
from appliance.repository.keys import describe_key
from appliance.repository.overlap import overlapped
from appliance.repository.pack import PackedBlob, encode_header, pack_size
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo
from appliance.text import T


def _silent(_: Progress) -> None:
    """For who does not want to know."""


def _never(_: str) -> bool:
    return False


class _MoreSuspects(Exception):
    """Packs that were taken for whole are not."""

    def __init__(self, packs: set[bytes]) -> None:
        super().__init__()
        self.packs = packs


def plan_repair(
    patient: Patient,
    other: Repository | None = None,
    *,
    read_data: bool = False,
    suspects: Collection[bytes] = (),
    returns: Callable[[str], bool] = _never,
    on_progress: Callable[[Progress], None] = _silent,
) -> RepairPlan:
    """What is damaged in the patient's repository and how it is repaired, with the help of another copy of it.

    Names, sizes, index files, snapshots and directories are looked at; with `read_data` every byte of every pack too,
    otherwise only that of packs something is wrong with and of `suspects`. `returns` says by key of a snapshot or key
    file that only the other copy has whether it was lost here, and is to come back, or was let go. Only under an
    exclusive lock that is held until the plan is executed is it of any use. Raises a storage's error that tells of no
    damage.
    """
    found = set(suspects)
    while True:
        try:
            return _Planner(patient, other, read_data, found, returns, on_progress).plan()
        except _MoreSuspects as more:
            found |= more.packs


class _Planner:
    def __init__(
        self,
        patient: Patient,
        other: Repository | None,
        read_data: bool,
        suspects: Collection[bytes],
        returns: Callable[[str], bool],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.patient = patient
        self.repository = patient.repository
        self.other = other
        self.read_data = read_data
        self.suspects = suspects
        self.returns = returns
        self.on_progress = on_progress
        self.where = Whereabouts(patient.repository, other, suspects)
        self.where.copies |= {info.key: info for info in patient.keys}
        self.damages = self.where.damages
        self.copies = self.where.copies
        self.dropped: set[bytes] = set()
        self.old_packs: set[bytes] = set()
        self.blobs_lost = self.blobs_named = 0
        # Snapshots before the index, so that the index knows all they need (format 1.12).
        self.snapshot_infos = self.repository.list_files(FileType.SNAPSHOT)
        self.index_infos = self.repository.list_files(FileType.INDEX)
        self.packs = {
            bytes.fromhex(file_name(info.key)): info.size for info in self.repository.list_files(FileType.PACK)
        }
        self.key_infos = self.repository.list_files(FileType.KEY)
        self.unreadable_index: list[ObjectInfo] = []

    def plan(self) -> RepairPlan:
        self.look_at_small_files()
        snapshots = self.look_at_snapshots()
        self.look_at_packs()
        losses = find_losses(self.where, snapshots, self.on_progress)
        if self.where.late_suspects:
            raise _MoreSuspects(self.where.late_suspects)
        if self.unreadable_index:
            self.where.index_packs.update(self.where.spare.packs())
            self.blobs_named += sum(map(self.where.spare.count, BlobType))
        changed = self.dropped | self.where.index_packs
        infos = (*self.snapshot_infos, *self.index_infos, *self.key_infos)
        return RepairPlan(
            place=self.repository.storage.location,
            other=self.other.storage.location if self.other else "",
            damages=tuple(sorted(self.damages, key=lambda damage: (damage.kind, damage.name))),
            incomplete=losses,
            config=self.patient.config,
            copies=tuple(self.copies.values()),
            rescues=tuple(self.where.rescues.values()),
            index_packs=frozenset(self.where.index_packs),
            dropped=frozenset(self.dropped),
            damaged_index=tuple(self.unreadable_index),
            old_index=tuple(info for info in self.index_infos if self.names(info, changed)),
            old_packs=frozenset(self.old_packs),
            blobs_named=self.blobs_named + len(self.where.rescues),
            blobs_lost=self.blobs_lost,
            sizes={info.key: info.size for info in infos} | {pack_key(each): size for each, size in self.packs.items()},
            bytes_read=self.where.bytes_read,
        )

    # --- config, keys, snapshots -----------------------------------------------------------------------------

    def look_at_small_files(self) -> None:
        if self.patient.config is not None:
            remedy = Remedy.REBUILD if self.patient.new_config else Remedy.COPY
            self.damages.append(Damage("config-damaged", CONFIG_KEY, T("It is missing or damaged."), remedy))
        for info in self.key_infos:
            try:
                describe_key(load_file(self.repository.storage, info), file_name(info.key))
            except KurabakoError as error:
                self.copy_or_keep("key-damaged", info, error)
        self.lost("key-missing", FileType.KEY, self.key_infos)
        if self.patient.keys and not self.key_infos:
            self.damages.append(Damage("key-missing", FileType.KEY, T("There is no key file."), Remedy.COPY))

    def look_at_snapshots(self) -> list[ObjectInfo]:
        """The snapshots that can be read, here or in the other copy."""
        readable = []
        for info in self.snapshot_infos:
            try:
                self.repository.load_snapshot(info)
            except KurabakoError as error:
                if not self.copy_or_keep("snapshot-damaged", info, error):
                    continue
            readable.append(info)
        return readable + self.lost("snapshot-missing", FileType.SNAPSHOT, self.snapshot_infos)

    def lost(self, kind: str, file_type: FileType, here: Collection[ObjectInfo]) -> list[ObjectInfo]:
        """The files of this type that only the other copy has, and that are to come back."""
        known = {info.key for info in here} | self.copies.keys()
        there = self.other.list_files(file_type) if self.other else []
        found = [info for info in there if info.key not in known and self.returns(info.key) and self.copy(info.key)]
        for info in found:
            self.damages.append(Damage(kind, info.key, T("It is missing here; the other copy has it."), Remedy.COPY))
        return found

    def copy_or_keep(self, kind: str, info: ObjectInfo, error: KurabakoError) -> bool:
        """Whether the other copy has this file whole; if so it is to be copied."""
        if not is_damage(error):
            raise error
        why = error.why if isinstance(error, DamagedData) else error.what
        copied = self.copy(info.key)
        self.damages.append(Damage(kind, info.key, why, Remedy.COPY if copied else Remedy.NONE))
        return copied

    def copy(self, key: str) -> bool:
        """Has this file copied, if the other copy has it and it is what its name says."""
        if self.other is None:
            return False
        try:
            info = self.other.storage.stat(key)
            load_file(self.other.storage, info)
        except KurabakoError as error:
            if not is_damage(error):
                raise
            return False
        self.copies[key] = info
        return True

    # --- index -----------------------------------------------------------------------------------------------

    def index_files(self) -> Iterator[tuple[ObjectInfo, list[tuple[bytes, list[PackedBlob]]]]]:
        """What each index file names, those left out that nobody can read."""
        unreadable = {info.key for info in self.unreadable_index}
        for info in self.index_infos:
            if info.key not in unreadable:
                yield info, decode_index(self.where.place_of(info.key).load_json(self.copies.get(info.key, info)))

    def names(self, index_file: ObjectInfo, packs: Collection[bytes]) -> bool:
        return any(pack in self.named_by.get(index_file.key, ()) for pack in packs)

    def look_at_index(self) -> tuple[dict[bytes, bytes], set[bytes]]:
        """The packs that are named, each with a digest of what is said of it; those of which nothing can be right."""
        said: dict[bytes, bytes] = {}
        wrong: set[bytes] = set()
        for info in self.index_infos:
            try:
                decode_index(self.repository.load_json(info))
            except KurabakoError as error:
                if not is_damage(error):
                    raise
                why = error.why if isinstance(error, DamagedData) else error.what
                copied = self.copy(info.key)
                if not copied:
                    self.unreadable_index.append(info)
                self.damages.append(Damage("index-damaged", info.key, why, Remedy.COPY if copied else Remedy.REBUILD))
        self.named_by: dict[str, frozenset[bytes]] = {}
        for info, packs in self.index_files():
            self.named_by[info.key] = frozenset(pack_id for pack_id, _ in packs)
            for pack_id, blobs in packs:
                digest = _digest(blobs)
                if said.setdefault(pack_id, digest) != digest or not _is_possible(blobs, self.packs.get(pack_id)):
                    wrong.add(pack_id)
        return said, wrong

    # --- packs -----------------------------------------------------------------------------------------------

    def look_at_packs(self) -> None:
        said, wrong = self.look_at_index()
        self.where.unindexed = {pack_id: size for pack_id, size in self.packs.items() if pack_id not in said}
        wrong |= said.keys() & set(self.suspects)
        self.where.headers_only = bool(self.unreadable_index) and not self.read_data
        broken: list[Inspected] = []
        for inspected, claims in self.inspected(wrong):
            self.where.bytes_read += inspected.size
            if inspected.header is not None and inspected.is_whole:
                if any(sorted(claim, key=_offset) != list(inspected.header) for claim in claims):
                    self.name_anew(inspected)
            elif not self.replace_whole(inspected, claims):
                broken.append(inspected)
        bad = {inspected.pack_id for inspected in broken} | self.dropped
        for _, packs in self.index_files():
            for pack_id, blobs in packs:
                if pack_id not in bad:
                    self.where.good.add_pack(pack_id, blobs)
        self.repository.index = self.where.good
        for inspected in broken:
            self.where.rescue_readable(inspected.pack_id, inspected.readable)
        for inspected in broken:
            self.find_the_rest(inspected)

    def inspected(self, wrong: set[bytes]) -> Iterator[tuple[Inspected, Sequence[Sequence[PackedBlob]]]]:
        """Every pack that is to be read, with what index files say of it."""
        claims: dict[bytes, list[list[PackedBlob]]] = {pack_id: [] for pack_id in wrong}

        def to_read() -> Iterator[tuple[bytes, list[list[PackedBlob]]]]:
            seen: set[bytes] = set()
            for _, packs in self.index_files():
                for pack_id, blobs in packs:
                    if pack_id in claims:
                        claims[pack_id].append(blobs)
                    elif self.read_data and pack_id not in seen:
                        seen.add(pack_id)
                        yield pack_id, [blobs]
            yield from claims.items()

        total = sum(self.packs.values()) if self.read_data else sum(self.packs.get(pack, 0) for pack in wrong)
        done = 0
        work = overlapped(lambda pack: inspect_pack(self.repository, *pack), to_read())
        for (_, said), inspected in work:
            done += inspected.size
            self.on_progress(Progress(T("Looking for damage"), bytes_done=min(done, total), bytes_total=total))
            yield inspected, said

    def name_anew(self, inspected: Inspected) -> None:
        """The pack is whole, but an index file tells something else of it."""
        assert inspected.header is not None
        self.damages.append(
            Damage(
                "pack-indexed-differently",
                inspected.pack_id.hex(),
                T("The index tells something else of the pack than its own header."),
                Remedy.REBUILD,
            )
        )
        self.where.index_packs.add(inspected.pack_id)
        self.blobs_named += len(inspected.header)
        self.dropped.add(inspected.pack_id)
        self.where.good.add_pack(inspected.pack_id, inspected.header)

    def replace_whole(self, inspected: Inspected, claims: Sequence[Sequence[PackedBlob]]) -> bool:
        """Whether the other copy has this very pack."""
        if self.other is None:
            return False
        found = inspect_pack(self.other, inspected.pack_id, ())
        if not found.is_whole or found.header is None:
            return False
        key = pack_key(inspected.pack_id)
        self.copies[key] = ObjectInfo(key, found.size)
        self.damages.append(_pack_damage(inspected, Remedy.COPY))
        if any(sorted(claim, key=_offset) != list(found.header) for claim in claims):
            self.name_anew(found)
        return True

    def find_the_rest(self, inspected: Inspected) -> None:
        """Looks for the blobs that could not be read in a damaged pack. If all are found, the pack may go."""
        lost = sum(not self.where.find(blob.type, blob.id) for blob in inspected.named)
        self.blobs_lost += lost
        self.dropped.add(inspected.pack_id)
        if inspected.is_there and not lost:
            self.old_packs.add(inspected.pack_id)
        self.damages.append(_pack_damage(inspected, Remedy.NONE if lost else Remedy.REBUILD))


def _pack_damage(inspected: Inspected, remedy: Remedy) -> Damage:
    kind = "pack-damaged" if inspected.is_there else "pack-missing"
    return Damage(kind, inspected.pack_id.hex(), inspected.why or T("It does not follow the format."), remedy)


def _offset(blob: PackedBlob) -> int:
    return blob.offset


def _digest(blobs: Sequence[PackedBlob]) -> bytes:
    return sha256(encode_header(sorted(blobs, key=_offset))).digest()


def _is_possible(blobs: Sequence[PackedBlob], size: int | None) -> bool:
    """Whether a pack of `size` bytes can hold these blobs: they fill it, one behind the other."""
    end = 0
    for blob in sorted(blobs, key=_offset):
        if blob.offset != end:
            return False
        end += blob.length
    return size == pack_size(blobs)
