"""What SMB servers answer, taken apart: directory listings, file times, links. Pure.

Sources: [MS-SMB2] 2.2, [MS-FSCC] 2.1.2 and 2.4, by section number below.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DIRECTORY = 0x10
READ_ONLY = 0x01
REPARSE_POINT = 0x400
"""File attributes, [MS-FSCC] 2.6."""

_SYMLINK, _MOUNT_POINT, _LX_SYMLINK = 0xA000000C, 0xA0000003, 0xA000001D
_NAME_SURROGATE = 0x20000000
_EPOCH = 116_444_736_000_000_000  # 1970 in FILETIME, which counts 100 ns from 1601
_HEADER = 64  # offsets in answers count from the SMB2 header

_CREATED = struct.Struct("<2xBx4x4q2QI4x16s")  # 2.2.14
_LISTED = struct.Struct("<I4x4qQ8x3I4xQ")  # [MS-FSCC] 2.4.18, FileIdFullDirectoryInformation
_NETWORK_OPEN = struct.Struct("<4q2QI")  # [MS-FSCC] 2.4.29


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server tells of a file. Times are FILETIMEs; `tag` is 0 for what is no reparse point."""

    created: int
    accessed: int
    written: int
    changed: int
    size: int
    attributes: int
    tag: int = 0
    file_id: int = 0

    @property
    def is_directory(self) -> bool:
        return bool(self.attributes & DIRECTORY)

    @property
    def is_link(self) -> bool:
        """Whether it stands for something else, [MS-FSCC] 2.1.2.1.

        Other reparse points (deduplicated, compressed, archived files) are files that the server reads for us.
        """
        return bool(self.attributes & REPARSE_POINT and self.tag & _NAME_SURROGATE)


def parse_created(data: bytes) -> tuple[bytes, Facts]:
    """The handle and the facts in the answer to CREATE, [MS-SMB2] 2.2.14."""
    _oplock, created, accessed, written, changed, _allocated, size, attributes, handle = _CREATED.unpack_from(data)
    return handle, Facts(created, accessed, written, changed, size, attributes)


def parse_read(data: bytes) -> memoryview:
    """The bytes in the answer to READ, [MS-SMB2] 2.2.20."""
    offset, length = data[2] - _HEADER, struct.unpack_from("<I", data, 4)[0]
    return memoryview(data)[offset : offset + length]


def parse_output(data: bytes) -> bytes:
    """The buffer in the answer to QUERY_DIRECTORY or QUERY_INFO, [MS-SMB2] 2.2.34 and 2.2.38."""
    offset, length = struct.unpack_from("<HI", data, 2)
    return data[offset - _HEADER : offset - _HEADER + length]


def parse_ioctl(data: bytes) -> bytes:
    """The buffer in the answer to IOCTL, [MS-SMB2] 2.2.32."""
    offset, length = struct.unpack_from("<II", data, 32)
    return data[offset - _HEADER : offset - _HEADER + length]


def parse_network_open(buffer: bytes) -> Facts:
    """FileNetworkOpenInformation."""
    created, accessed, written, changed, _allocated, size, attributes = _NETWORK_OPEN.unpack_from(buffer)
    return Facts(created, accessed, written, changed, size, attributes)


def parse_listing(buffer: bytes) -> Iterator[tuple[bytes, Facts]]:
    """The names and facts in a listing; names as UTF-8, unpaired surrogates kept (`surrogatepass`).

    Raises `ValueError` when the buffer is not one: its offsets and lengths must lie within it.
    """
    at = 0
    while True:
        if at + _LISTED.size > len(buffer):
            raise ValueError("an entry of the listing is cut off")
        following, created, accessed, written, changed, size, attributes, length, ea_size, file_id = (
            _LISTED.unpack_from(buffer, at)
        )
        start = at + _LISTED.size
        if start + length > len(buffer) or length % 2:
            raise ValueError("a name of the listing is cut off")
        name = buffer[start : start + length].decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
        tag = ea_size if attributes & REPARSE_POINT else 0  # [MS-FSCC] 2.4.18: EaSize holds the tag then
        yield name, Facts(created, accessed, written, changed, size, attributes, tag, file_id)
        if not following:
            return
        at += following


def parse_link(buffer: bytes) -> bytes | None:
    """Where a reparse point leads, as UTF-8, or None for a kind that leads nowhere we can name, [MS-FSCC] 2.1.2."""
    tag, length = struct.unpack_from("<IH", buffer)
    body = buffer[8 : 8 + length]
    if tag == _LX_SYMLINK:
        return body[4:]
    if tag not in (_SYMLINK, _MOUNT_POINT):
        return None
    substitute, substitute_length, shown, shown_length = struct.unpack_from("<4H", body)
    names = body[12 if tag == _SYMLINK else 8 :]
    name = names[shown : shown + shown_length] or names[substitute : substitute + substitute_length]
    text = name.decode("utf-16-le", "surrogatepass").removeprefix("\\??\\")
    return text.encode("utf-8", "surrogatepass")


def unix_ns(filetime: int) -> int:
    """Nanoseconds since 1970 UTC; 0 where the server does not know the time."""
    return (filetime - _EPOCH) * 100 if filetime > 0 else 0


def windows_attributes(facts: Facts) -> dict[str, Any]:
    """What stock restic on Windows restores (repository-format 1.8): creation time and file attributes."""
    return {
        "windows.creation_time": {
            "LowDateTime": facts.created & 0xFFFFFFFF,
            "HighDateTime": facts.created >> 32 & 0xFFFFFFFF,
        },
        "windows.file_attributes": facts.attributes,
    }


def encode_path(path: tuple[bytes, ...]) -> bytes:
    """A path below the share's root as CREATE wants it: UTF-16 with backslashes."""
    return b"\\\0".join(name.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass") for name in path)


def is_name(name: bytes) -> bool:
    """Whether a listed name can be one: a server that lists others would lead us, or a restore, out of the tree."""
    return bool(name) and name not in (b".", b"..") and not any(letter in name for letter in b"/\\\0")
