"""Whether a file system was left as it should be: unmounted, with nothing to be repaired or carried out.

Read where each keeps it, from the disk itself and without a driver:

* ext2, 3, 4: the superblock's `s_state`, and needs_recovery in `s_feature_incompat` (Linux, fs/ext4/ext4.h);
* XFS: the log's last record is an unmount record (Linux, fs/xfs/xfs_log_recover.c);
* Btrfs: the superblock's `log_root` (Linux, btrfs_tree.h);
* NTFS: VOLUME_IS_DIRTY in $VOLUME_INFORMATION of file 3, $Volume (Linux, fs/ntfs3/ntfs.h);
* exFAT: VolumeFlags in the boot sector (exFAT specification, 3.1.13);
* FAT: the boot sector's state; FAT32's ClnShutBitMask and HrdErrBitMask (FAT specification 1.03);
* HFS+: kHFSVolumeUnmountedBit in the volume header (Apple, TN1150).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial

from appliance_disks.devices import BlockDevice
from appliance_disks.mounts import Number

Read = Callable[[int, int], bytes]
"""`read(offset, count)`: so many bytes of the disk."""

_BLOCK = 512
_XFS_RECORD, _XFS_UNMOUNT = 0xFEEDBABE, 0x20
_XFS_LONGEST_RECORD = 256 << 10
_XFS_HEADER_COVERS = 32 << 10
"""Bytes of a record for which it has one header block."""
_NTFS_LARGEST_RECORD = 64 << 10


class Left(StrEnum):
    """How a file system was left that was not unmounted properly."""

    JOURNAL = "journal"
    """What was changed last stands in its journal only."""
    MARKED = "marked"
    """It is marked as being written to, or as damaged."""


class Departures:
    """How the file systems were left. Each is read once, when it comes: later, that might wake a disk that sleeps."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Left | None] = {}

    def of(self, devices: Iterable[BlockDevice], mounted: Collection[Number]) -> Mapping[str, Left]:
        """By kernel name, those that were not unmounted properly. One that is mounted is no case of that."""
        known, found = self._known, dict[tuple[str, int], Left | None]()
        for device in devices:
            if device.properties.get("ID_FS_USAGE") == "filesystem" and device.number not in mounted:
                key = (device.name, device.looked_at_ns)
                found[key] = known[key] if key in known else left_on(device)
        self._known = found
        return {name: left for (name, _), left in found.items() if left is not None}


def left_on(device: BlockDevice) -> Left | None:
    """How the file system on `device` was left; None when properly, or when that cannot be read."""
    try:
        descriptor = os.open(device.node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return left(partial(_pread, descriptor), device.fs_type)
    finally:
        os.close(descriptor)


def left(read: Read, fs_type: str) -> Left | None:
    """The same of a file system of udev's name `fs_type`; whatever has another form than expected is passed over."""
    judge = _JUDGES.get(fs_type)
    if judge is None:
        return None
    with suppress(OSError, OverflowError, ZeroDivisionError, struct.error):
        return judge(read)
    return None


def _pread(descriptor: int, offset: int, count: int) -> bytes:
    return os.pread(descriptor, count, offset)


def _number(read: Read, form: str, offset: int) -> int:
    number: int = struct.unpack(form, read(offset, struct.calcsize(form)))[0]
    return number


def _marked(is_marked: int) -> Left | None:
    return Left.MARKED if is_marked else None


def _ext(read: Read) -> Left | None:
    superblock = 1024
    if _number(read, "<I", superblock + 0x60) & 0x4:
        return Left.JOURNAL
    return _marked(_number(read, "<H", superblock + 0x3A) != 1)


def _btrfs(read: Read) -> Left | None:
    return Left.JOURNAL if _number(read, "<Q", 0x10000 + 0x60) else None


def _exfat(read: Read) -> Left | None:
    return _marked(_number(read, "<H", 106) & 0x6)


def _fat(read: Read) -> Left | None:
    is_fat32 = _number(read, "<H", 22) == 0
    bad = _number(read, "<B", 0x41 if is_fat32 else 0x25) & 0x3
    if is_fat32:
        first = _number(read, "<H", 14) * _number(read, "<H", 11)
        bad |= ~_number(read, "<I", first + 4) & 0x0C000000
    return _marked(bad)


def _hfsplus(read: Read) -> Left | None:
    attributes = _number(read, ">I", 1024 + 4)
    if attributes & 0x100:
        return None
    return Left.JOURNAL if attributes & 0x2000 else Left.MARKED


def _ntfs(read: Read) -> Left | None:
    sectors = _number(read, "<B", 13)
    cluster = _number(read, "<H", 11) * (sectors if sectors <= 0x80 else 1 << 0x100 - sectors)
    size = _number(read, "<b", 64)
    record_size = size * cluster if size >= 0 else 1 << -size
    if record_size > _NTFS_LARGEST_RECORD:
        return None
    record = bytearray(read(_number(read, "<Q", 48) * cluster + 3 * record_size, record_size))
    if record[:4] != b"FILE":
        return None
    fixups, count = struct.unpack_from("<HH", record, 4)
    for sector in range(1, count):  # the last two bytes of each sector are kept elsewhere
        record[sector * _BLOCK - 2 : sector * _BLOCK] = record[fixups + 2 * sector : fixups + 2 * sector + 2]
    (at,) = struct.unpack_from("<H", record, 20)
    while at + 8 <= record_size:
        kind, length = struct.unpack_from("<II", record, at)
        if kind == 0x70:
            (value,) = struct.unpack_from("<H", record, at + 20)
            (flags,) = struct.unpack_from("<H", record, at + value + 10)
            return _marked(flags & 0x1)
        if kind == 0xFFFFFFFF or length == 0:
            break
        at += length
    return None


def _xfs(read: Read) -> Left | None:
    """Whether the newest record of the log is an unmount record.

    Every block of the log begins with the number of the round in which it was written (a record's header has it behind
    its magic), so that the newest one is where the numbers change.
    """
    block, start = _number(read, ">I", 4), _number(read, ">Q", 48)
    if start == 0:
        return None  # the log is on another disk
    in_group = _number(read, ">B", 124)
    first = ((start >> in_group) * _number(read, ">I", 84) + (start & ((1 << in_group) - 1))) * block
    count = _number(read, ">I", 96) * block // _BLOCK

    def round_of(at: int) -> int:
        begin = first + at * _BLOCK
        magic = _number(read, ">I", begin)
        return _number(read, ">I", begin + 4) if magic == _XFS_RECORD else magic

    newest, end = round_of(0), count
    if round_of(count - 1) != newest:
        begin = 0
        while end - begin > 1:
            middle = (begin + end) // 2
            begin, end = (middle, end) if round_of(middle) == newest else (begin, middle)
    for back in range(1, min(2 * _XFS_LONGEST_RECORD // _BLOCK, count) + 1):
        place = (end - back) % count
        if _number(read, ">I", first + place * _BLOCK) == _XFS_RECORD:
            break
    else:
        return None
    version, operations, size = (_number(read, ">I", first + place * _BLOCK + offset) for offset in (8, 40, 320))
    headers = -(-size // _XFS_HEADER_COVERS) if version & 2 and size > _XFS_HEADER_COVERS else 1
    flags = _number(read, ">B", first + (place + headers) % count * _BLOCK + 9)
    return None if operations == 1 and flags & _XFS_UNMOUNT else Left.JOURNAL


_JUDGES: Mapping[str, Callable[[Read], Left | None]] = {
    "ext2": _ext,
    "ext3": _ext,
    "ext4": _ext,
    "xfs": _xfs,
    "btrfs": _btrfs,
    "ntfs": _ntfs,
    "exfat": _exfat,
    "vfat": _fat,
    "hfsplus": _hfsplus,
}
