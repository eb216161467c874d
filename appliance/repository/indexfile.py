"""Index files: which blobs lie where in which pack (format 1.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Annotated, Literal, TypeAlias

import msgspec

from appliance.repository.crypto import OVERHEAD
from appliance.repository.errors import UNDECODABLE, DamagedData
from appliance.repository.ids import ID_SIZE, BlobType, FileType
from appliance.repository.pack import PackedBlob
from appliance.storage.interface import Buffer
from appliance.text import T

MAX_BLOBS = 50_000
"""Blobs at which an index file is written, as restic does."""

MAX_AGE = 600.0
"""Seconds at which an index file is written though it is not full: what an interrupted run need not repeat."""

PackContents: TypeAlias = tuple[bytes, Sequence[PackedBlob]]
"""A pack's id and its blobs."""

_Length = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_Name = Annotated[str, msgspec.Meta(min_length=2 * ID_SIZE, max_length=2 * ID_SIZE)]
"""As long as a hexadecimal id; whether it is one is seen when it is used."""
_TYPES = {"data": BlobType.DATA, "tree": BlobType.TREE}


class IndexedBlob(msgspec.Struct, omit_defaults=True, gc=False):
    """A blob as an index file spells it."""

    id: _Name
    type: Literal["data", "tree"]
    offset: _Length
    length: Annotated[int, msgspec.Meta(ge=OVERHEAD, lt=1 << 32)]
    uncompressed_length: _Length = 0


class IndexedPack(msgspec.Struct, gc=False):
    """A pack as an index file spells it."""

    id: _Name
    blobs: list[IndexedBlob]


class _WireIndex(msgspec.Struct):
    packs: list[IndexedPack] = msgspec.field(default_factory=list)


_decoder = msgspec.json.Decoder(_WireIndex)
_encoder = msgspec.json.Encoder()


def encode_index(packs: Iterable[PackContents]) -> bytes:
    """The JSON of an index file that names these packs."""
    return _encoder.encode(
        _WireIndex(
            [
                IndexedPack(
                    pack_id.hex(),
                    [
                        IndexedBlob(blob.id.hex(), blob.type.word, blob.offset, blob.length, blob.uncompressed_length)  # type: ignore[arg-type]
                        for blob in blobs
                    ],
                )
                for pack_id, blobs in packs
            ]
        )
    )


def read_index(json: Buffer) -> list[IndexedPack]:
    """The packs an index file names, in its order, as it spells them. Raises `DamagedData`."""
    try:
        return _decoder.decode(json).packs
    except UNDECODABLE:
        raise DamagedData(T("It does not follow the format.")) from None


def decode_index(json: Buffer) -> list[tuple[bytes, list[PackedBlob]]]:
    """The packs an index file names, in its order. Raises `DamagedData`."""
    packs = read_index(json)
    ids = iter(split(ids_of(list(chain.from_iterable(pack.blobs for pack in packs)))))
    return [
        (
            pack_id,
            [
                PackedBlob(_TYPES[blob.type], blob_id, blob.offset, blob.length, blob.uncompressed_length)
                for blob, blob_id in zip(pack.blobs, ids)  # noqa: B905 - of which this pack has the next few
            ],
        )
        for pack_id, pack in zip(split(ids_of(packs)), packs, strict=True)
    ]


def split(ids: bytes) -> list[bytes]:
    """The ids that stand one after another."""
    return [ids[at : at + ID_SIZE] for at in range(0, len(ids), ID_SIZE)]


def ids_of(named: Iterable[IndexedBlob | IndexedPack]) -> bytes:
    """The ids of these blobs or packs, one after another. Raises `DamagedData` when a name is none."""
    names = "".join([each.id for each in named])
    try:
        ids = bytes.fromhex(names)
    except ValueError:
        ids = b""
    if ids.hex() != names:  # capitals and spaces, too, are read as hexadecimal
        raise DamagedData(T("A name in it is not an id."))
    return ids


class IndexFiles:
    """Names packs in index files of the usual size; `save` stores the JSON of one."""

    def __init__(self, save: Callable[[FileType, bytes], object]) -> None:
        self._save = save
        self._packs: list[PackContents] = []
        self._blobs = 0

    def add(self, pack: PackContents) -> None:
        self._packs.append(pack)
        self._blobs += len(pack[1])
        if self._blobs >= MAX_BLOBS:
            self.flush()

    def flush(self) -> None:
        """Stores what is not stored yet."""
        if self._packs:
            self._save(FileType.INDEX, encode_index(self._packs))
        self._packs, self._blobs = [], 0
