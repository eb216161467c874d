"""Pack files: sealed blobs one after another, a sealed header, and the header's length (format 1.5).

    pack = blob || … || blob || seal(header) || LE32(length of the sealed header)

Offsets are not written: a blob begins where the one before it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from appliance.repository.crypto import OVERHEAD, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import ID_SIZE, BlobType
from appliance.storage.interface import Buffer
from appliance.text import T

TARGET_SIZE = 16 << 20
"""Bytes at which a pack is full; a larger blob gets a pack of its own."""

LENGTH_SIZE = 4
MAX_HEADER = 16 << 20
MAX_PACK_ENTRIES = 400_000
"""A header of as many entries still fits in the 16 MiB that readers accept."""

_PLAIN = struct.Struct(f"<BI{ID_SIZE}s")
_COMPRESSED = struct.Struct(f"<BII{ID_SIZE}s")
_COMPRESSED_BIT = 2
_ALL_COMPRESSED = {_COMPRESSED_BIT | kind for kind in BlobType}
_TYPES = (BlobType.DATA, BlobType.TREE)


class PackedBlob(NamedTuple):
    """Where a blob lies in its pack. `length` is that of its sealed form; sizes are bytes.

    `uncompressed_length` is 0 for a blob that is stored without compression.
    """

    type: BlobType
    id: bytes
    offset: int
    length: int
    uncompressed_length: int

    @property
    def plain_length(self) -> int:
        """The size of the blob's content."""
        return self.uncompressed_length or self.length - OVERHEAD

    @property
    def header_entry_size(self) -> int:
        return _COMPRESSED.size if self.uncompressed_length else _PLAIN.size


def pack_size(blobs: Iterable[PackedBlob]) -> int:
    """The exact size of the pack that holds these blobs."""
    return OVERHEAD + LENGTH_SIZE + sum(blob.length + blob.header_entry_size for blob in blobs)


def encode_header(blobs: Iterable[PackedBlob]) -> bytes:
    """The plaintext header of a pack with these blobs, in this order and without gaps."""
    return b"".join(
        _COMPRESSED.pack(blob.type | _COMPRESSED_BIT, blob.length, blob.uncompressed_length, blob.id)
        if blob.uncompressed_length
        else _PLAIN.pack(blob.type, blob.length, blob.id)
        for blob in blobs
    )


def decode_header(header: Buffer) -> list[PackedBlob]:
    """The blobs a plaintext header names. Raises `DamagedData`."""
    if not len(header) % _COMPRESSED.size and set(header[:: _COMPRESSED.size]) <= _ALL_COMPRESSED:
        return _decode_compressed(header)
    blobs: list[PackedBlob] = []
    at = offset = 0
    try:
        while at < len(header):
            kind = header[at]
            if kind & _COMPRESSED_BIT:
                kind, length, uncompressed, blob_id = _COMPRESSED.unpack_from(header, at)
                at += _COMPRESSED.size
            else:
                kind, length, blob_id = _PLAIN.unpack_from(header, at)
                uncompressed = 0
                at += _PLAIN.size
            empty = kind & _COMPRESSED_BIT and not uncompressed
            if kind > (BlobType.TREE | _COMPRESSED_BIT) or length < OVERHEAD or empty:
                raise DamagedData(T("Its header does not follow the format."))
            blobs.append(PackedBlob(_TYPES[kind & 1], blob_id, offset, length, uncompressed))
            offset += length
    except struct.error:
        raise DamagedData(T("Its header does not follow the format.")) from None
    return blobs


def _decode_compressed(header: Buffer) -> list[PackedBlob]:
    """A header whose every entry is that of a compressed blob, as nearly all are."""
    blobs: list[PackedBlob] = []
    offset = 0
    for kind, length, uncompressed, blob_id in _COMPRESSED.iter_unpack(header):
        if length < OVERHEAD or not uncompressed:
            raise DamagedData(T("Its header does not follow the format."))
        blobs.append(PackedBlob(_TYPES[kind & 1], blob_id, offset, length, uncompressed))
        offset += length
    return blobs


def finish_pack(blobs: Sequence[PackedBlob], sealer: Sealer) -> bytes:
    """What follows the last blob: the sealed header and its length."""
    header = sealer.seal(encode_header(blobs))
    return header + len(header).to_bytes(LENGTH_SIZE, "little")


def open_header(pack: Buffer, sealer: Sealer) -> memoryview:
    """The plaintext header of a whole pack, or of its end when that holds the header. Raises `DamagedData`."""
    view = memoryview(pack)
    length = int.from_bytes(view[-LENGTH_SIZE:], "little")
    if len(view) < LENGTH_SIZE or not OVERHEAD <= length <= min(MAX_HEADER, len(view) - LENGTH_SIZE):
        raise DamagedData(T("Its header does not follow the format."))
    return sealer.open(view[-LENGTH_SIZE - length : -LENGTH_SIZE])


def read_header(pack: Buffer, sealer: Sealer) -> list[PackedBlob]:
    """The blobs of a pack, as `open_header` finds them. Raises `DamagedData`."""
    return decode_header(open_header(pack, sealer))
