"""Whether a file system was left as it should be: unmounted, with nothing to be repaired or carried out.

Read where each keeps it, from the disk itself and without a driver:

* ext2, 3, 4: the superblock's `s_state`, and needs_recovery in `s_feature_incompat` (Linux, fs/ext4/ext4.h);
* XFS: the log's last record is an unmount record (Linux, fs/xfs/xfs_log_recover.c);
* Btrfs: the superblock's `log_root` (Linux, btrfs_tree.h);
* NTFS: VOLUME_IS_DIRTY in $VOLUME_INFORMATION of file 3, $Volume (Linux, fs/ntfs3/ntfs.h); and what hiberfil.sys begins
  with while Windows sleeps, with what it has not written yet in memory (ntfs-3g, libntfs-3g/volume.c);
* F2FS: the flags of its checkpoint (Linux, include/linux/f2fs_fs.h);
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

from appliance_disks import ntfs
from appliance_disks.devices import BlockDevice
from appliance_disks.mounts import Number

Read = Callable[[int, int], bytes]
"""`read(offset, count)`: so many bytes of the disk."""

_BLOCK = 512
_XFS_RECORD, _XFS_UNMOUNT = 0xFEEDBABE, 0x20
_XFS_LONGEST_RECORD = 256 << 10
_XFS_HEADER_COVERS = 32 << 10
"""Bytes of a record for which it has one header block."""
_F2FS_UNMOUNTED, _F2FS_BROKEN = 0x1, 0x8 | 0x10
"""CP_UMOUNT_FLAG; CP_ERROR_FLAG and CP_FSCK_FLAG."""
_F2FS_MOST_BITS = 20


class Left(StrEnum):
    """How a file system was left that was not unmounted properly."""

    JOURNAL = "journal"
    """What was changed last stands in its journal only."""
    MARKED = "marked"
    """It is marked as being written to, or as damaged."""
    HIBERNATED = "hibernated"
    """The computer that it belongs to sleeps, and goes on with it when it wakes."""


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
    with suppress(OSError, OverflowError, ValueError, IndexError, struct.error):
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
    volume = ntfs.Volume(read)
    information = volume.attribute(ntfs.VOLUME, ntfs.VOLUME_INFORMATION)
    if information is not None and struct.unpack_from("<H", information, 10)[0] & 0x1:
        return Left.MARKED
    memory = volume.in_root("hiberfil.sys")
    saved = memory is not None and volume.attribute(memory, ntfs.DATA, most=4)
    return Left.HIBERNATED if saved and saved.upper() == b"HIBR" else None


def _f2fs(read: Read) -> Left | None:
    """The newer of its two checkpoints; one whose ends differ was being written."""
    superblock = 1024
    block_bits, segment_bits = (_number(read, "<I", superblock + at) for at in (16, 20))
    if max(block_bits, segment_bits) > _F2FS_MOST_BITS:
        return None
    block, segment = 1 << block_bits, 1 << block_bits + segment_bits
    first = _number(read, "<I", superblock + 76) * block
    newest, flags = 0, _F2FS_UNMOUNTED
    for at in (first, first + segment):
        version, marks, blocks = struct.unpack("<Q124x2I", read(at, 140))
        last = at + (blocks - 1) * block
        if version > newest and 0 < blocks <= segment // block and _number(read, "<Q", last) == version:
            newest, flags = version, marks
    if flags & _F2FS_BROKEN:
        return Left.MARKED
    return None if flags & _F2FS_UNMOUNTED else Left.JOURNAL


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
    "f2fs": _f2fs,
    "exfat": _exfat,
    "vfat": _fat,
    "hfsplus": _hfsplus,
}
