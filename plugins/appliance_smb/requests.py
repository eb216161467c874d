"""What is asked of SMB servers, as bytes. Pure.

Sources: [MS-SMB2] 2.2 and [MS-FSCC] 2.4, by section number below.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from appliance.storage.interface import Buffer

# [MS-SMB2] 2.2.1.2, Command
LOGOFF, TREE_DISCONNECT, CREATE, CLOSE, READ, WRITE = 2, 4, 5, 6, 8, 9
IOCTL, ECHO, QUERY_DIRECTORY, QUERY_INFO, SET_INFO, OPLOCK_BREAK = 11, 13, 14, 16, 17, 18

# Access rights, [MS-SMB2] 2.2.13.1
READ_DATA = LIST_DIRECTORY = 0x0001
WRITE_DATA, DELETE_CHILD = 0x0002, 0x0040
READ_EA, WRITE_EA = 0x0008, 0x0010
READ_ATTRIBUTES, WRITE_ATTRIBUTES = 0x0080, 0x0100
DELETE, READ_CONTROL, WRITE_DAC, WRITE_OWNER, SYNCHRONIZE = 0x10000, 0x20000, 0x40000, 0x80000, 0x100000
ACCESS_SYSTEM_SECURITY = 0x01000000

# [MS-SMB2] 2.2.13
_SHARE_ALL = 7  # whoever else has it open may go on reading, writing and deleting it
OPEN, CREATE_NEW, OPEN_IF = 1, 2, 3
DIRECTORY_FILE, SEQUENTIAL_ONLY, NON_DIRECTORY_FILE = 0x1, 0x4, 0x40
DELETE_ON_CLOSE, BACKUP_INTENT, OPEN_REPARSE_POINT = 0x1000, 0x4000, 0x200000

NO_OPLOCK, OPLOCK_II = 0, 1
"""With an oplock of level II, the server tells at once when somebody else writes to the file."""

SAME_FILE = b"\xff" * 16
"""The handle of what the request before, in the same compound, opened."""

# [MS-FSCC] 2.4: file information classes; and [MS-SMB2] 2.2.37: which kind of information
_FILE, _FILE_SYSTEM, _SECURITY = 1, 2, 3
BASIC, RENAME, DISPOSITION, FULL_EA, END_OF_FILE, STREAMS, NETWORK_OPEN = 4, 10, 13, 15, 20, 22, 34
ID_FULL_DIRECTORY = 38
FULL_SIZE, FILE_SYSTEM_ATTRIBUTES = 7, 5  # [MS-FSCC] 2.5.4 and 2.5.1, of a file system
OWNER, GROUP, DACL, SACL = 1, 2, 4, 8

ENUMERATE_SNAPSHOTS = 0x144064  # [MS-SMB2] 2.2.31, FSCTL_SRV_ENUMERATE_SNAPSHOTS
GET_REPARSE_POINT, SET_REPARSE_POINT, SET_SPARSE = 0x900A8, 0x900A4, 0x900C4
PIPE_TRANSCEIVE, DFS_GET_REFERRALS = 0x11C017, 0x60194

_CREATE = struct.Struct("<HBBI8x8xIIIIIHHII")
_TIMEWARP = struct.Struct("<IHH2xHI4s4xQ")  # [MS-SMB2] 2.2.13.2.7
_CLOSE = struct.Struct("<HH4x16s")
_READ = struct.Struct("<HBBIQ16sIIIHHB")
_WRITE = struct.Struct("<HHIQ16sIIHHI")
_QUERY_INFO = struct.Struct("<HBBIHHIII16s")
_SET_INFO = struct.Struct("<HBBIHHI16s")
_LIST = struct.Struct("<HBBI16sHHI")
_IOCTL = struct.Struct("<HHI16sIIIIIIII")
_HEADER = 64  # offsets count from the SMB2 header


class Message(NamedTuple):
    """A request without its header; `payload` is the most bytes that it or its answer carries."""

    command: int
    body: bytes
    payload: int = 0


def create(
    name: bytes,
    access: int,
    options: int = 0,
    *,
    disposition: int = OPEN,
    attributes: int = 0,
    moment: int = 0,
    oplock: int = NO_OPLOCK,
) -> Message:
    """CREATE, 2.2.13; `name` is UTF-16 with backslashes, `moment` the FILETIME of the earlier state that is wanted."""
    start = _HEADER + _CREATE.size
    buffer, context = name, 0
    if moment:
        buffer += bytes(-(start + len(name)) % 8)
        context = start + len(buffer)
        buffer += _TIMEWARP.pack(0, 16, 4, 24, 8, b"TWrp", moment)
    # With the backup right, a user may read what its own rights do not allow; without it this changes nothing.
    fixed = _CREATE.pack(
        57, 0, oplock, 2, access | SYNCHRONIZE, attributes, _SHARE_ALL, disposition, options | BACKUP_INTENT,
        start, len(name), context, _TIMEWARP.size if context else 0,
    )  # fmt: skip
    return Message(CREATE, fixed + (buffer or b"\0"))


def close(handle: bytes = SAME_FILE, *, tell: bool = False) -> Message:
    """CLOSE, 2.2.15; `tell` asks how the file is at that moment."""
    return Message(CLOSE, _CLOSE.pack(24, 1 if tell else 0, handle))


def read(length: int, offset: int = 0, handle: bytes = SAME_FILE) -> Message:
    """READ, 2.2.19."""
    return Message(READ, _READ.pack(49, 0x50, 0, length, offset, handle, 0, 0, 0, 0, 0, 0), length)


def write(data: Buffer, offset: int = 0, handle: bytes = SAME_FILE) -> Message:
    """WRITE, 2.2.21."""
    fixed = _WRITE.pack(49, _HEADER + _WRITE.size, len(data), offset, handle, 0, 0, 0, 0, 0)
    return Message(WRITE, fixed + bytes(data) if data else fixed + b"\0", len(data))


def query_file(kind: int, most: int, handle: bytes = SAME_FILE) -> Message:
    """QUERY_INFO of a file, 2.2.37."""
    return _query(_FILE, kind, most, 0, handle)


def query_file_system(kind: int, most: int, handle: bytes = SAME_FILE) -> Message:
    return _query(_FILE_SYSTEM, kind, most, 0, handle)


def query_security(parts: int, most: int, handle: bytes = SAME_FILE) -> Message:
    return _query(_SECURITY, 0, most, parts, handle)


def _query(what: int, kind: int, most: int, parts: int, handle: bytes) -> Message:
    return Message(QUERY_INFO, _QUERY_INFO.pack(41, what, kind, most, 0, 0, 0, parts, 0, handle) + b"\0", most)


def set_file(kind: int, data: bytes, handle: bytes = SAME_FILE) -> Message:
    """SET_INFO of a file, 2.2.39."""
    return Message(SET_INFO, _SET_INFO.pack(33, _FILE, kind, len(data), 96, 0, 0, handle) + data, len(data))


def set_security(parts: int, descriptor: bytes, handle: bytes = SAME_FILE) -> Message:
    fixed = _SET_INFO.pack(33, _SECURITY, 0, len(descriptor), 96, 0, parts, handle)
    return Message(SET_INFO, fixed + descriptor, len(descriptor))


def basic_information(created: int, accessed: int, written: int, attributes: int) -> bytes:
    """FileBasicInformation, [MS-FSCC] 2.4.7: FILETIMEs, 0 leaves one as it is. The change time is the server's own."""
    return struct.pack("<4qI4x", created, accessed, written, 0, attributes)


def rename_information(name: bytes, *, replace: bool) -> bytes:
    """FileRenameInformation, [MS-FSCC] 2.4.42.2."""
    return struct.pack("<B7xQI", replace, 0, len(name)) + name


def list_directory(handle: bytes, most: int) -> Message:
    """QUERY_DIRECTORY, 2.2.33: everything, with what [MS-FSCC] 2.4.18 tells of each."""
    star = "*".encode("utf-16-le")
    return Message(QUERY_DIRECTORY, _LIST.pack(33, ID_FULL_DIRECTORY, 0, 0, handle, 96, len(star), most) + star, most)


def ioctl(code: int, data: bytes = b"", most: int = 0, handle: bytes = SAME_FILE) -> Message:
    """IOCTL, 2.2.31, of a file system control."""
    at = _HEADER + _IOCTL.size
    fixed = _IOCTL.pack(57, 0, code, handle, at, len(data), 0, at, 0, most, 1, 0)
    return Message(IOCTL, fixed + (data or b"\0"), max(len(data), most))


def echo() -> Message:
    return Message(ECHO, struct.pack("<HH", 4, 0))


def log_off() -> Message:
    return Message(LOGOFF, struct.pack("<HH", 4, 0))


def disconnect_tree() -> Message:
    return Message(TREE_DISCONNECT, struct.pack("<HH", 4, 0))
