"""Looking into packs: whole or not, and what can still be read of one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.repair.opening import is_damage
from appliance.repository import BlobType, DamagedData, FileType, Repository
from appliance.repository.ids import content_id, object_key
from appliance.repository.pack import LENGTH_SIZE, PackedBlob, pack_size, read_header
from appliance.repository.reader import WantedBlob, decode_blob, read_blob
from appliance.storage.interface import Buffer
from appliance.text import T, Text

_TAIL = 64 << 10
"""Bytes of a pack's end that are read for its header; most headers are smaller."""


def pack_key(pack_id: bytes) -> str:
    """The storage key of a pack."""
    return object_key(FileType.PACK, pack_id.hex())


@dataclass(frozen=True)
class Inspected:
    """A pack that was read. `header` is None when it cannot be read, `why` when the pack is whole.

    `readable` are the blobs, of those that the header or the index names, that are what their ids say.
    """

    pack_id: bytes
    size: int
    header: tuple[PackedBlob, ...] | None
    named: tuple[PackedBlob, ...]
    readable: tuple[PackedBlob, ...]
    why: Text | None

    @property
    def is_there(self) -> bool:
        return self.size > 0

    @property
    def is_whole(self) -> bool:
        return self.why is None


def inspect_pack(repository: Repository, pack_id: bytes, claims: Sequence[Sequence[PackedBlob]]) -> Inspected:
    """Reads a pack; `claims` is what index files say of it. Raises a storage's error that tells of no damage."""
    data, why = _read(repository, pack_id)
    header: tuple[PackedBlob, ...] | None = None
    if data:
        try:
            header = tuple(read_header(data, repository.sealer))
        except DamagedData as damage:
            why = why or damage.why
    named = tuple(dict.fromkeys(blob for blobs in (header or (), *claims) for blob in blobs))
    readable = tuple(blob for blob in named if _is_readable(repository, data, blob))
    if why is None and header is not None and not set(header) <= set(readable):
        why = T("A blob in it is not what its name says.")
    return Inspected(pack_id, len(data), header, named, readable, why)


def _read(repository: Repository, pack_id: bytes) -> tuple[bytes, Text | None]:
    """The pack, and why it is not the one it should be. Read twice, as the way to here can err too."""
    data = b""
    for _ in range(2):
        try:
            data = repository.storage.get(pack_key(pack_id))
        except KurabakoError as error:
            if not is_damage(error):
                raise
            return b"", T("The pack is in the index, but it is not there.")
        if content_id(data) == pack_id:
            return data, None
    return data, T("Its content does not match its name.")


def _is_readable(repository: Repository, pack: Buffer, blob: PackedBlob) -> bool:
    sealed = memoryview(pack)[blob.offset : blob.offset + blob.length]
    try:
        decode_blob(repository.sealer, sealed, blob.id, blob.uncompressed_length or None)
    except DamagedData:
        return False
    return True


def load_pack_header(repository: Repository, pack_id: bytes, size: int) -> list[PackedBlob]:
    """The blobs of a pack by its own header, without reading all of it. Raises `DamagedData`."""
    key = pack_key(pack_id)
    tail = repository.storage.get(key, max(0, size - _TAIL), min(size, _TAIL))
    needed = int.from_bytes(tail[-LENGTH_SIZE:], "little") + LENGTH_SIZE
    if len(tail) < needed <= size:
        tail = repository.storage.get(key, size - needed, needed)
    blobs = read_header(tail, repository.sealer)
    if pack_size(blobs) != size:
        raise DamagedData(T("Its size is not the one its header tells."), key)
    return blobs


def readable_copy(repository: Repository, kind: BlobType, blob_id: bytes) -> tuple[bytes, PackedBlob] | None:
    """Where `repository`, whose index is loaded, has this blob whole; None where it has not. It is read to know."""
    for location in repository.index.locations(kind, blob_id):
        try:
            read_blob(repository.storage, repository.sealer, WantedBlob(kind, blob_id, location))
        except KurabakoError as error:
            if not is_damage(error):
                raise
            continue
        blob = PackedBlob(kind, blob_id, location.offset, location.length, location.uncompressed_length or 0)
        return location.pack_id, blob
    return None
