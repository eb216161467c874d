"""Reading back: every byte of the packs of a portion, and whether each is still what its name says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.repository import DamagedData, FileType, Repository
from appliance.repository.files import file_name, load_file
from appliance.repository.ids import object_key
from appliance.repository.overlap import overlapped
from appliance.status.model import Progress
from appliance.storage.interface import DamagedAnswer, ObjectInfo, ObjectNotFound
from appliance.text import T
from appliance.verification.model import Damage, Portion

_NO_OTHERS: Mapping[bytes, ObjectInfo] = {}

_WORDS = {
    FileType.KEY: "key-damaged",
    FileType.SNAPSHOT: "snapshot-damaged",
    FileType.INDEX: "index-damaged",
    FileType.PACK: "pack-damaged",
}


@dataclass(frozen=True)
class Inventory:
    """What the place holds by its own word: packs that the index names, with their sizes; and what is not whole of it.

    `others` are the index files and snapshots, by their ids. `files` config, keys, index files and snapshots were read
    for it; none where it tells but what is listed.
    """

    packs: Mapping[bytes, int]
    others: Mapping[bytes, ObjectInfo]
    files: int = 0
    damages: tuple[Damage, ...] = ()

    @property
    def sizes(self) -> dict[bytes, int]:
        """All that has to be read back: packs, index files and snapshots, each with its size."""
        return {**self.packs, **{file_id: info.size for file_id, info in self.others.items()}}


def take_inventory(repository: Repository) -> Inventory:
    """Reads config, keys, snapshots and index files; the index is loaded. Raises a storage's error."""
    damages: list[Damage] = []
    files = 1
    try:
        repository.reload_config()
    except (DamagedData, ObjectNotFound):
        damages.append(Damage("config-damaged", "config"))
    listed = {kind: repository.list_files(kind) for kind in (FileType.KEY, FileType.SNAPSHOT, FileType.INDEX)}
    for kind in (FileType.KEY, FileType.SNAPSHOT):
        look = overlapped(_is_whole_in(repository), listed[kind])
        damages += [Damage(_WORDS[kind], info.key) for info, whole in look if not whole]
    for info, packs in repository.take_in(listed[FileType.INDEX]):
        if isinstance(packs, DamagedData | DamagedAnswer | ObjectNotFound):
            damages.append(Damage(_WORDS[FileType.INDEX], info.key))
        elif isinstance(packs, KurabakoError):
            raise packs
    files += sum(map(len, listed.values()))
    there = _packs(repository)
    named = set(repository.index.packs())
    damages += [Damage("pack-missing", pack.hex()) for pack in sorted(named - there.keys())]
    return Inventory(
        {pack: size for pack, size in there.items() if pack in named},
        _by_id(listed[FileType.INDEX] + listed[FileType.SNAPSHOT]),
        files,
        tuple(damages),
    )


def list_inventory(repository: Repository) -> Inventory:
    """What is listed, where even the index is more than may be read: nobody knows then what is missing."""
    others = repository.list_files(FileType.INDEX) + repository.list_files(FileType.SNAPSHOT)
    return Inventory(_packs(repository), _by_id(others))


def _packs(repository: Repository) -> dict[bytes, int]:
    return {bytes.fromhex(file_name(info.key)): info.size for info in repository.list_files(FileType.PACK)}


def _by_id(infos: Iterable[ObjectInfo]) -> dict[bytes, ObjectInfo]:
    return {bytes.fromhex(file_name(info.key)): info for info in infos}


def _is_whole_in(repository: Repository) -> Callable[[ObjectInfo], bool]:
    def look(info: ObjectInfo) -> bool:
        try:
            load_file(repository.storage, info)
        except (DamagedData, DamagedAnswer, ObjectNotFound):
            return False
        return True

    return look


@dataclass(frozen=True)
class ReadBack:
    """What of a portion was read: packs and their bytes, and those that are damaged. `problem` ended it early."""

    packs: int
    size: int
    damaged: tuple[bytes, ...]
    cancelled: bool = False
    problem: KurabakoError | None = None

    def __add__(self, later: ReadBack) -> ReadBack:
        packs, size, damaged = self.packs + later.packs, self.size + later.size, self.damaged + later.damaged
        return ReadBack(packs, size, damaged, later.cancelled, later.problem)


def read_back(
    repository: Repository,
    portion: Portion,
    others: Mapping[bytes, ObjectInfo] = _NO_OTHERS,
    *,
    note: Callable[[bytes, int, bool], None],
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> ReadBack:
    """Reads everything of `portion`: packs, and those of `others`.

    `note` is told of each (its id, its bytes, whether it is whole) as it is done.

    A place that does not answer any more ends it: what was read counts.
    """
    done = size = 0
    damaged: list[bytes] = []
    try:
        look = _is_whole_in(repository)
        for (pack, expected), whole in overlapped(lambda each: look(_info(*each, others)), portion.packs):
            done, size = done + 1, size + expected
            note(pack, expected, whole)
            if not whole:
                damaged.append(pack)
            on_progress(Progress(T("Reading back what is stored"), bytes_done=size, bytes_total=portion.size))
            if cancelled():
                return ReadBack(done, size, tuple(damaged), cancelled=True)
    except KurabakoError as error:
        return ReadBack(done, size, tuple(damaged), problem=error)
    return ReadBack(done, size, tuple(damaged))


def _info(file_id: bytes, size: int, others: Mapping[bytes, ObjectInfo]) -> ObjectInfo:
    return others.get(file_id) or ObjectInfo(object_key(FileType.PACK, file_id.hex()), size)


def damages_of(damaged: Iterable[bytes], others: Mapping[bytes, ObjectInfo] = _NO_OTHERS) -> tuple[Damage, ...]:
    """Damaged packs, index files and snapshots as damages."""
    return tuple(
        Damage(_WORDS[FileType(others[each].key.partition("/")[0])], others[each].key)
        if each in others
        else Damage(_WORDS[FileType.PACK], each.hex())
        for each in damaged
    )
