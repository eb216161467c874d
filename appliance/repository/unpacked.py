"""Unpacked files: snapshots, index files and locks (format 1.4).

plaintext = 0x02 || zstd(JSON), or bare JSON from older writers
"""

from __future__ import annotations

from appliance.repository.compression import compress, decompress
from appliance.repository.errors import DamagedData
from appliance.storage.interface import Buffer
from appliance.text import T

MAX_JSON = 256 << 20
"""Bytes of JSON that a file may unpack to; the largest real one, an index of 50,000 blobs, takes 8 MB."""

MAX_FILE = MAX_JSON
_COMPRESSED = 2


def encode_unpacked(json: bytes) -> bytes:
    """The plaintext of a file with this content."""
    return bytes([_COMPRESSED]) + compress(json)


def decode_unpacked(plaintext: Buffer) -> Buffer:
    """The JSON in it. Raises `DamagedData`."""
    if not len(plaintext):
        raise DamagedData(T("It is empty."))
    first = plaintext[0]
    if first in b"[{":
        return plaintext
    if first != _COMPRESSED:
        raise DamagedData(T("It does not follow the format."))
    return decompress(memoryview(plaintext)[1:], MAX_JSON)
