"""What SMB servers answer, taken apart: directory listings, file times, links. Pure.

Sources: [MS-SMB2] 2.2, [MS-FSCC] 2.1.2 and 2.4, by section number below.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DIRECTORY = 0x10
READ_ONLY = 0x01
NORMAL = 0x80
SPARSE = 0x200
REPARSE_POINT = 0x400
ENCRYPTED = 0x4000
"""File attributes, [MS-FSCC] 2.6."""

_SYMLINK, _MOUNT_POINT, _LX_SYMLINK = 0xA000000C, 0xA0000003, 0xA000001D
_NAME_SURROGATE = 0x20000000
_EPOCH = 116_444_736_000_000_000  # 1970 in FILETIME, which counts 100 ns from 1601
_HEADER = 64  # offsets in answers count from the SMB2 header

_SNAPSHOTS = struct.Struct("<3I")  # [MS-SMB2] 2.2.32.2
_CREATED = struct.Struct("<2xBx4x4q2QI4x16s")  # 2.2.14
_LISTED = struct.Struct("<I4x4qQ8x3I4xQ")  # [MS-FSCC] 2.4.18, FileIdFullDirectoryInformation
_CLOSED = struct.Struct("<2x2x4x4q2QI")  # 2.2.16
_EA = struct.Struct("<IBBH")  # [MS-FSCC] 2.4.15
_STREAM = struct.Struct("<IIqq")  # [MS-FSCC] 2.4.44
_NETWORK_OPEN = struct.Struct("<4q2QI")  # [MS-FSCC] 2.4.29


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server tells of a file. Times are FILETIMEs; `tag` is 0 for what is no reparse point.

    `ea_size`: the bytes of its extended attributes, which only listings tell.
    """

    created: int
    accessed: int
    written: int
    changed: int
    size: int
    attributes: int
    tag: int = 0
    file_id: int = 0
    ea_size: int = 0

    @property
    def is_directory(self) -> bool:
        return bool(self.attributes & DIRECTORY)

    @property
    def is_link(self) -> bool:
        """Whether it stands for something else, [MS-FSCC] 2.1.2.1.

        Other reparse points (deduplicated, compressed, archived files) are files that the server reads for us.
        """
        return bool(self.attributes & REPARSE_POINT and self.tag & _NAME_SURROGATE)


@dataclass(frozen=True, slots=True)
class Stream:
    """A named stream of a file: a further content, of which NTFS keeps any number."""

    name: bytes
    size: int


Answer = bytes | memoryview


def parse_created(data: Answer) -> tuple[bytes, Facts]:
    """The handle and the facts in the answer to CREATE, [MS-SMB2] 2.2.14."""
    _oplock, created, accessed, written, changed, _allocated, size, attributes, handle = _CREATED.unpack_from(data)
    return handle, Facts(created, accessed, written, changed, size, attributes)


def parse_break(data: Answer) -> bytes:
    """The handle of the file that somebody else writes to, in an oplock break, [MS-SMB2] 2.2.23.1."""
    return bytes(data[8:24])


def parse_closed(data: Answer) -> Facts:
    """How the file was, in the answer to a CLOSE that asked for it, [MS-SMB2] 2.2.16."""
    created, accessed, written, changed, _allocated, size, attributes = _CLOSED.unpack_from(data)
    return Facts(created, accessed, written, changed, size, attributes)


def parse_read(data: Answer) -> memoryview:
    """The bytes in the answer to READ, [MS-SMB2] 2.2.20."""
    offset, length = data[2] - _HEADER, struct.unpack_from("<I", data, 4)[0]
    found = memoryview(data)[offset : offset + length]
    if len(found) != length:
        raise ValueError("what was read is cut off")
    return found


def parse_output(data: Answer) -> Answer:
    """The buffer in the answer to QUERY_DIRECTORY or QUERY_INFO, [MS-SMB2] 2.2.34 and 2.2.38."""
    offset, length = struct.unpack_from("<HI", data, 2)
    return data[offset - _HEADER : offset - _HEADER + length]


def parse_ioctl(data: Answer) -> Answer:
    """The buffer in the answer to IOCTL, [MS-SMB2] 2.2.32."""
    offset, length = struct.unpack_from("<II", data, 32)
    return data[offset - _HEADER : offset - _HEADER + length]


def parse_snapshots(buffer: Answer) -> list[str]:
    """The names of a volume's earlier states, each `@GMT-YYYY.MM.DD-HH.MM.SS`, [MS-SMB2] 2.2.32.2.

    None are there when more were to be told than the server was asked for bytes.
    """
    if len(buffer) < _SNAPSHOTS.size:
        raise ValueError("the list of earlier states is cut off")
    _, _, length = _SNAPSHOTS.unpack_from(buffer)
    listed = bytes(buffer[_SNAPSHOTS.size : _SNAPSHOTS.size + length])
    return [name for name in listed[: len(listed) // 2 * 2].decode("utf-16-le", "replace").split("\0") if name]


def parse_moment(snapshot: str) -> datetime:
    """The moment in the name of an earlier state, [MS-SMB2] 2.2.32.2. Raises `ValueError`."""
    return datetime.strptime(snapshot, "@GMT-%Y.%m.%d-%H.%M.%S").replace(tzinfo=UTC)


def parse_network_open(buffer: Answer) -> Facts:
    """FileNetworkOpenInformation."""
    created, accessed, written, changed, _allocated, size, attributes = _NETWORK_OPEN.unpack_from(buffer)
    return Facts(created, accessed, written, changed, size, attributes)


def parse_listing(buffer: Answer) -> Iterator[tuple[bytes, Facts]]:
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
        name = _utf8(buffer[start : start + length])
        # [MS-FSCC] 2.4.18: EaSize of a reparse point holds its tag.
        tag, ea_size = (ea_size, 0) if attributes & REPARSE_POINT else (0, ea_size)
        yield name, Facts(created, accessed, written, changed, size, attributes, tag, file_id, ea_size)
        if not following:
            return
        at += following


def parse_streams(buffer: Answer) -> list[Stream]:
    """The named streams of a file, in [MS-FSCC] 2.4.44's list; the unnamed one, which is the file, is not among them.

    Raises `ValueError` when the buffer is no such list.
    """
    found: list[Stream] = []
    at = 0
    while at < len(buffer):
        if at + _STREAM.size > len(buffer):
            raise ValueError("a stream of the list is cut off")
        following, length, size, _allocated = _STREAM.unpack_from(buffer, at)
        start = at + _STREAM.size
        if start + length > len(buffer) or length % 2:
            raise ValueError("the name of a stream is cut off")
        _, name, kind = [*_utf8(buffer[start : start + length]).split(b":"), b"", b""][:3]
        if name and kind == b"$DATA":
            found.append(Stream(name, size))
        if not following:
            break
        at += following
    return found


def parse_has_streams(buffer: Answer) -> bool:
    """FILE_NAMED_STREAMS in what a server tells of a file system, [MS-FSCC] 2.5.1."""
    return bool(struct.unpack_from("<I", buffer)[0] & 0x00040000)


def parse_eas(buffer: Answer) -> list[tuple[bytes, bytes]]:
    """Names and values of extended attributes, in [MS-FSCC] 2.4.15's list. Raises `ValueError` when it is none."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(buffer):
        if at + _EA.size > len(buffer):
            raise ValueError("an extended attribute is cut off")
        following, _flags, name_length, value_length = _EA.unpack_from(buffer, at)
        start = at + _EA.size
        value = start + name_length + 1
        if value + value_length > len(buffer):
            raise ValueError("the value of an extended attribute is cut off")
        found.append((bytes(buffer[start : start + name_length]), bytes(buffer[value : value + value_length])))
        if not following:
            break
        at += following
    return found


def pack_eas(attributes: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Extended attributes as the list that is to be set, [MS-FSCC] 2.4.15: entries aligned to 4 bytes."""
    packed = b""
    for number, (name, value) in enumerate(attributes):
        body = name + b"\0" + value
        padding = -(_EA.size + len(body)) % 4 if number < len(attributes) - 1 else 0
        following = _EA.size + len(body) + padding if number < len(attributes) - 1 else 0
        packed += _EA.pack(following, 0, len(name), len(value)) + body + bytes(padding)
    return packed


def parse_link(buffer: Answer) -> bytes | None:
    """Where a reparse point leads, as UTF-8, or None for a kind that leads nowhere we can name, [MS-FSCC] 2.1.2."""
    tag, length = struct.unpack_from("<IH", buffer)
    body = bytes(buffer[8 : 8 + length])
    if tag == _LX_SYMLINK:
        return body[4:]
    if tag not in (_SYMLINK, _MOUNT_POINT):
        return None
    substitute, substitute_length, shown, shown_length = struct.unpack_from("<4H", body)
    names = body[12 if tag == _SYMLINK else 8 :]
    name = names[shown : shown + shown_length] or names[substitute : substitute + substitute_length]
    text = name.decode("utf-16-le", "surrogatepass").removeprefix("\\??\\")
    return text.encode("utf-8", "surrogatepass")


def pack_link(target: bytes) -> bytes:
    """The reparse point of a symbolic link, [MS-FSCC] 2.1.2.4."""
    shown = target.decode("utf-8", "surrogatepass").replace("/", "\\")
    absolute = shown[1:2] == ":" or shown.startswith("\\\\")
    substitute = ("\\??\\" + shown if shown[1:2] == ":" else shown).encode("utf-16-le", "surrogatepass")
    name = shown.encode("utf-16-le", "surrogatepass")
    body = struct.pack("<4HI", 0, len(substitute), len(substitute), len(name), 0 if absolute else 1) + substitute + name
    return struct.pack("<IHH", _SYMLINK, len(body), 0) + body


def _utf8(name: Answer) -> bytes:
    return bytes(name).decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def filetime(unix_ns: int) -> int:
    """A FILETIME; what 64 bits of it cannot say becomes the nearest that they can."""
    return min(max(unix_ns // 100 + _EPOCH, 1), (1 << 63) - 1)


def unix_ns(filetime: int) -> int:
    """Nanoseconds since 1970 UTC; 0 where the server does not know the time."""
    return (filetime - _EPOCH) * 100 if filetime > 0 else 0


CREATION_TIME = "windows.creation_time"
FILE_ATTRIBUTES = "windows.file_attributes"
SECURITY_DESCRIPTOR = "windows.security_descriptor"


def windows_attributes(facts: Facts) -> dict[str, Any]:
    """What stock restic on Windows restores (repository-format 1.8): creation time and file attributes.

    The third, the security descriptor, is `base64.b64encode` of the self-relative form ([MS-DTYP] 2.4.6).
    """
    return {
        CREATION_TIME: {
            "LowDateTime": facts.created & 0xFFFFFFFF,
            "HighDateTime": facts.created >> 32 & 0xFFFFFFFF,
        },
        FILE_ATTRIBUTES: facts.attributes,
    }


def encode_path(path: tuple[bytes, ...]) -> bytes:
    """A path below the share's root as CREATE wants it: UTF-16 with backslashes."""
    return b"\\\0".join(name.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass") for name in path)


def is_name(name: bytes) -> bool:
    """Whether a listed name can be one: a server that lists others would lead us, or a restore, out of the tree."""
    return bool(name) and name not in (b".", b"..") and not any(letter in name for letter in b"/\\\0")
