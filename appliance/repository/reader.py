"""Reading blobs: few requests, every byte verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from appliance.errors import KurabakoError
from appliance.repository.compression import decompress, decompress_many
from appliance.repository.crypto import Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import BlobType, FileType, content_id, object_key
from appliance.repository.index import BlobLocation
from appliance.repository.pack import PackedBlob
from appliance.storage.interface import Buffer, Storage
from appliance.text import T

MAX_GAP = 1 << 20
"""Bytes not needed that are read along rather than asked for separately."""

MAX_READ = 32 << 20
"""Bytes of one request, but for a single larger blob."""

_GROUP = 512
_GROUP_BYTES = 1 << 20
"""Blobs, and their bytes, that are decoded together; a larger one is decoded alone."""

CROWDED = 200
"""Blobs of one pack that are small for the most part. Each then costs more of Python's time than of anybody's who works
while Python does, and Python runs one thread at a time: two of them hinder rather than help each other."""


class WantedBlob(NamedTuple):
    """A blob to be read from a known pack."""

    type: BlobType
    id: bytes
    location: BlobLocation


def blob_name(kind: BlobType, blob_id: bytes) -> str:
    """How messages call a blob."""
    return f"{kind.word}:{blob_id.hex()}"


def decode_blob(sealer: Sealer, sealed: Buffer, blob_id: bytes, uncompressed_length: int | None) -> Buffer:
    """The content of a sealed blob, proven to be that of `blob_id`. Raises `DamagedData`."""
    plain: Buffer = sealer.open(sealed)
    if uncompressed_length is not None:
        plain = decompress(plain, uncompressed_length)
        if len(plain) != uncompressed_length:
            raise DamagedData(T("Its size is not the one the index tells."))
    if content_id(plain) != blob_id:
        raise DamagedData(T("Its content does not match its name."))
    return plain


def decode_blobs(
    sealer: Sealer, pack: memoryview, blobs: Iterable[PackedBlob]
) -> Iterator[tuple[PackedBlob, Buffer | DamagedData]]:
    """The content of each blob, whose offset is that in `pack`, or why it is damaged. Small ones go together."""
    for group in _groups(blobs):
        try:
            yield from zip(group, _decode_group(sealer, pack, group), strict=True)
            continue
        except DamagedData:
            pass  # which of them is told below
        for blob in group:
            try:
                sealed = pack[blob.offset : blob.offset + blob.length]
                yield blob, decode_blob(sealer, sealed, blob.id, blob.uncompressed_length or None)
            except DamagedData as damage:
                yield blob, damage.named(blob_name(blob.type, blob.id))


def _groups(blobs: Iterable[PackedBlob]) -> Iterator[list[PackedBlob]]:
    group: list[PackedBlob] = []
    size = 0
    for blob in blobs:
        plain = blob.plain_length
        if group and (size + plain > _GROUP_BYTES or len(group) == _GROUP):
            yield group
            group, size = [], 0
        group.append(blob)
        size += plain
    if group:
        yield group


def _decode_group(sealer: Sealer, pack: memoryview, group: Sequence[PackedBlob]) -> list[Buffer]:
    """The content of all of them. Raises `DamagedData` when any is damaged."""
    if len(group) == 1:
        (blob,) = group
        sealed = pack[blob.offset : blob.offset + blob.length]
        return [decode_blob(sealer, sealed, blob.id, blob.uncompressed_length or None)]
    plain, starts = sealer.open_many([pack[blob.offset : blob.offset + blob.length] for blob in group])
    frames = [
        (start, end - start, blob.uncompressed_length)
        for blob, start, end in zip(group, starts, starts[1:], strict=False)
        if blob.uncompressed_length
    ]
    unpacked = iter(decompress_many(plain, [frame[:2] for frame in frames], [frame[2] for frame in frames]))
    contents: list[Buffer] = [
        next(unpacked) if blob.uncompressed_length else plain[start:end]
        for blob, start, end in zip(group, starts, starts[1:], strict=False)
    ]
    if [content_id(content) for content in contents] != [blob.id for blob in group]:
        raise DamagedData(T("Its content does not match its name."))
    return contents


def read_blob(storage: Storage, sealer: Sealer, wanted: WantedBlob) -> Buffer:
    """One blob's content. Raises `DamagedData`, or the storage's error."""
    kind, blob_id, location = wanted
    try:
        sealed = storage.get(object_key(FileType.PACK, location.pack_id.hex()), location.offset, location.length)
        return decode_blob(sealer, sealed, blob_id, location.uncompressed_length)
    except DamagedData as damage:
        raise damage.named(blob_name(kind, blob_id)) from None


def read_pack_blobs(
    storage: Storage, sealer: Sealer, wanted: Iterable[WantedBlob]
) -> Iterator[tuple[WantedBlob, Buffer | KurabakoError]]:
    """The content of several blobs of one pack, in the pack's order, or what kept one from being read."""
    for run in _runs(sorted(wanted, key=lambda blob: blob.location.offset)):
        first, last = run[0].location, run[-1].location
        start = first.offset
        try:
            sealed = memoryview(
                storage.get(object_key(FileType.PACK, first.pack_id.hex()), start, last.offset + last.length - start)
            )
        except KurabakoError as error:
            yield from ((blob, error) for blob in run)
            continue
        packed = (
            PackedBlob(kind, blob_id, at.offset - start, at.length, at.uncompressed_length or 0)
            for kind, blob_id, at in run
        )
        for blob, (_, content) in zip(run, decode_blobs(sealer, sealed, packed), strict=True):
            yield blob, content


def _runs(blobs: Sequence[WantedBlob]) -> Iterator[list[WantedBlob]]:
    """Blobs that are read with one request each."""
    run: list[WantedBlob] = []
    start = end = 0
    for blob in blobs:
        offset, length = blob.location.offset, blob.location.length
        if run and (offset > end + MAX_GAP or offset + length - start > MAX_READ):
            yield run
            run = []
        if not run:
            start = end = offset
        run.append(blob)
        end = max(end, offset + length)
    if run:
        yield run
