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


@dataclass(frozen=True)
class Inventory:
    """What the place holds by its own word: packs that the index names, with their sizes; and what is not whole of it.

    `files` index files and snapshots were read back for it.
    """

    packs: Mapping[bytes, int]
    files: int
    damages: tuple[Damage, ...]


def take_inventory(repository: Repository) -> Inventory:
    """Reads config, keys, snapshots and index files back; the index is loaded. Raises a storage's error."""
    damages: list[Damage] = []
    files = 1
    try:
        repository.reload_config()
    except (DamagedData, ObjectNotFound):
        damages.append(Damage("config-damaged", "config"))
    for kind, word in ((FileType.KEY, "key-damaged"), (FileType.SNAPSHOT, "snapshot-damaged")):
        infos = repository.list_files(kind)
        files += len(infos)
        damages += [Damage(word, info.key) for info, whole in overlapped(_is_whole_in(repository), infos) if not whole]
    for info, packs in repository.take_in(repository.list_files(FileType.INDEX)):
        files += 1
        if isinstance(packs, DamagedData | DamagedAnswer | ObjectNotFound):
            damages.append(Damage("index-damaged", info.key))
        elif isinstance(packs, KurabakoError):
            raise packs
    there = {bytes.fromhex(file_name(info.key)): info.size for info in repository.list_files(FileType.PACK)}
    named = set(repository.index.packs())
    damages += [Damage("pack-missing", pack.hex()) for pack in sorted(named - there.keys())]
    return Inventory({pack: size for pack, size in there.items() if pack in named}, files, tuple(damages))


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


def read_back(
    repository: Repository,
    portion: Portion,
    *,
    note: Callable[[bytes, int, bool], None],
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> ReadBack:
    """Reads every pack of `portion`. `note` is told of each (its id, its bytes, whether it is whole) as it is done.

    A place that does not answer any more ends it: what was read counts.
    """
    done = size = 0
    damaged: list[bytes] = []
    try:
        for (pack, expected), whole in overlapped(lambda each: _is_whole_pack(repository, each), portion.packs):
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


def _is_whole_pack(repository: Repository, pack: tuple[bytes, int]) -> bool:
    pack_id, size = pack
    return _is_whole_in(repository)(ObjectInfo(object_key(FileType.PACK, pack_id.hex()), size))


def damages_of(packs: Iterable[bytes]) -> tuple[Damage, ...]:
    """Damaged packs as damages."""
    return tuple(Damage("pack-damaged", pack.hex()) for pack in packs)
