"""Reading blobs: few requests, every byte verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from appliance.errors import KurabakoError
from appliance.repository.compression import decompress
from appliance.repository.crypto import Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.ids import BlobType, FileType, content_id, object_key
from appliance.repository.index import BlobLocation
from appliance.storage.interface import Buffer, Storage
from appliance.text import T

MAX_GAP = 1 << 20
"""Bytes not needed that are read along rather than asked for separately."""

MAX_READ = 32 << 20
"""Bytes of one request, but for a single larger blob."""


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
        for blob in run:
            at = blob.location.offset - start
            try:
                yield (
                    blob,
                    decode_blob(
                        sealer, sealed[at : at + blob.location.length], blob.id, blob.location.uncompressed_length
                    ),
                )
            except DamagedData as damage:
                yield blob, damage.named(blob_name(blob.type, blob.id))


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
