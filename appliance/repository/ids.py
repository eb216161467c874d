"""Names and kinds of what a repository holds (format 1.1, 1.5).

An id is the SHA-256 of what it names: 32 bytes here, 64 lower-case hexadecimal letters in files and keys.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from hashlib import sha256

from appliance.repository.errors import DamagedData
from appliance.storage.interface import Buffer
from appliance.text import T

ID_SIZE = 32
_HEX_ID = re.compile(r"[0-9a-f]{64}")


class BlobType(IntEnum):
    """What a blob holds; the value is the low bit of a pack header's type byte."""

    DATA = 0
    TREE = 1

    @property
    def word(self) -> str:
        """The type as index files spell it."""
        return "tree" if self else "data"


class FileType(StrEnum):
    """The folders of a repository; the value is the first part of the key."""

    KEY = "keys"
    PACK = "data"
    INDEX = "index"
    SNAPSHOT = "snapshots"
    LOCK = "locks"


CONFIG_KEY = "config"


def content_id(data: Buffer) -> bytes:
    """The id of these bytes."""
    return sha256(data).digest()


def is_hex_id(name: str) -> bool:
    """Whether `name` is written as an id; other objects in a repository's folders are not ours and are ignored."""
    return _HEX_ID.fullmatch(name) is not None


def parse_id(name: str) -> bytes:
    """The id written as `name`. Raises `DamagedData` when it is none."""
    if not is_hex_id(name):
        raise DamagedData(T("A name in it is not an id."))
    return bytes.fromhex(name)


def object_key(kind: FileType, name: str) -> str:
    """The storage key of the file with this hexadecimal id; packs lie in 256 folders."""
    return f"{kind}/{name[:2]}/{name}" if kind is FileType.PACK else f"{kind}/{name}"
