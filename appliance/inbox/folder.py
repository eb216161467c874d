"""Documents as files: below a name of their own in the cloud, and in a known folder of a disk."""

from __future__ import annotations

from appliance.contract.signature import LARGEST
from appliance.errors import KurabakoError
from appliance.inbox.lines import MOST
from appliance.sources.interface import Entry, EntryType, Path, Source
from appliance.storage.interface import ObjectNotFound, Storage

CLOUD_FOLDER = "directives"
"""Below the box's place in the cloud, where no repository has a name."""

DISK_FOLDER: Path = (b"kurabako", b"directives")
"""Below the root of a disk."""

ENDING = ".jws"


def documents_in_cloud(storage: Storage) -> list[str]:
    """The documents in the cloud's folder, by name. `StorageError`."""
    found = sorted(
        info.key for info in storage.list(CLOUD_FOLDER) if info.key.endswith(ENDING) and info.size <= LARGEST + 2
    )
    texts = []
    for key in found[:MOST]:
        try:
            texts.append(storage.get(key).decode("ascii", "replace"))
        except ObjectNotFound:
            continue  # somebody has just taken it away
    return texts


def documents_on_disk(source: Source) -> list[str]:
    """The documents in the disk's folder, by name; none where there is no such folder. Reads nothing else."""
    try:
        entries = sorted(_folder(source), key=lambda one: one.name)
    except KurabakoError:
        return []
    return [_read(source, entry) for entry in entries[:MOST]]


def _folder(source: Source) -> list[Entry]:
    for depth in range(len(DISK_FOLDER)):
        here = source.scandir(DISK_FOLDER[:depth])
        if not any(entry.name == DISK_FOLDER[depth] and entry.type is EntryType.DIR for entry in here):
            return []
    return [
        entry
        for entry in source.scandir(DISK_FOLDER)
        if entry.type is EntryType.FILE and entry.name.endswith(ENDING.encode()) and entry.size <= LARGEST + 2
    ]


def _read(source: Source, entry: Entry) -> str:
    file = source.open((*DISK_FOLDER, entry.name), entry)
    try:
        content, buffer = b"", bytearray(LARGEST + 3)
        while len(content) <= LARGEST + 2 and (count := file.readinto(memoryview(buffer))):
            content += buffer[:count]
    finally:
        file.close()
    return content.decode("ascii", "replace")
