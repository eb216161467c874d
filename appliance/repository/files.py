"""Whole files of a repository: named by their content, listed, stored and read (format 1.1, 1.4)."""

from __future__ import annotations

from appliance.repository.crypto import Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import FileType, content_id, is_hex_id, object_key
from appliance.repository.unpacked import MAX_FILE, decode_unpacked, encode_unpacked
from appliance.storage.interface import Buffer, ObjectInfo, Storage
from appliance.text import T


def file_name(key: str) -> str:
    """The last part of a key: a file's hexadecimal id."""
    return key.rpartition("/")[2]


def list_files(storage: Storage, kind: FileType) -> list[ObjectInfo]:
    """The repository's own files of this kind, by name; whatever else lies in the folder is ignored."""
    infos = [info for info in storage.list(kind) if is_hex_id(file_name(info.key))]
    return sorted(infos, key=lambda info: info.key)


def store_file(storage: Storage, kind: FileType, data: Buffer) -> bytes:
    """Stores a file under its id, which is returned."""
    file_id = content_id(data)
    storage.put(object_key(kind, file_id.hex()), data)
    return file_id


def store_json(storage: Storage, sealer: Sealer, kind: FileType, json: bytes) -> str:
    """Stores a snapshot, index file or lock; its hexadecimal id."""
    return store_file(storage, kind, sealer.seal(encode_unpacked(json))).hex()


def load_file(storage: Storage, info: ObjectInfo, limit: int = MAX_FILE) -> bytes:
    """A listed file whose content matches its name. Raises `DamagedData`, or the storage's error.

    It is read twice before it is called damaged, as the way from the storage to here can err too.
    """
    if info.size > limit:
        raise DamagedData(T("It is larger than it may be."), info.key)
    for _ in range(2):
        data = storage.get(info.key)
        if content_id(data).hex() == file_name(info.key):
            return data
    raise DamagedData(T("Its content does not match its name."), info.key)


def load_json(storage: Storage, sealer: Sealer, info: ObjectInfo) -> Buffer:
    """The JSON of a listed snapshot, index file or lock. Raises `DamagedData`, or the storage's error."""
    sealed = load_file(storage, info)
    try:
        return decode_unpacked(sealer.open(sealed))
    except DamagedData as damage:
        raise damage.named(info.key) from None
