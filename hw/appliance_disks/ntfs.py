"""As much of NTFS as it takes to find a file in its root directory, without a driver. Pure.

Sources: Linux, fs/ntfs3/ntfs.h; libntfs-3g/layout.h. What has another form than expected is not found, or raises
`struct.error`; whatever is read is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""`read(offset, count)`: so many bytes of the disk."""

MFT, VOLUME, _ROOT = 0, 3, 5
"""Numbers of files."""

VOLUME_INFORMATION, DATA = 0x70, 0x80
_INDEX_ROOT, _INDEX_ALLOCATION, _END = 0x90, 0xA0, 0xFFFFFFFF

_SECTOR = 512
_LARGEST_RECORD = 64 << 10
_MOST = 4 << 20
"""Bytes of a directory that are looked through: tens of thousands of names."""

_FILE_NAMES = "$I30"


class Volume:
    """A volume that `read` reads. Raises `ValueError` for what is none."""

    def __init__(self, read: Read) -> None:
        self._read = read
        boot = read(0, _SECTOR)
        bytes_, sectors = struct.unpack_from("<HB", boot, 11)
        self._cluster: int = bytes_ * (sectors if sectors <= 0x80 else 1 << 0x100 - sectors)
        first, record = struct.unpack_from("<Q8xb", boot, 48)
        self._record: int = record * self._cluster if record >= 0 else 1 << -record
        if not self._cluster or not _SECTOR <= self._record <= _LARGEST_RECORD:
            raise ValueError("no NTFS")
        self._files = [(16 * self._record, first * self._cluster)]
        self._files = self._runs(_attribute(self._file(MFT), DATA) or b"")

    def attribute(self, number: int, kind: int, *, most: int = _MOST) -> bytes | None:
        """What an unnamed attribute of a file holds, `most` bytes of it at most; None where the file has none."""
        return self._content(_attribute(self._file(number), kind), most)

    def in_root(self, name: str) -> int | None:
        """The number of the file of this name, whatever its case, in the root directory."""
        root = self._file(_ROOT)
        index = self._content(_attribute(root, _INDEX_ROOT, _FILE_NAMES), _MOST)
        if index is None:
            return None
        (size,) = struct.unpack_from("<I", index, 8)
        blocks = self._content(_attribute(root, _INDEX_ALLOCATION, _FILE_NAMES), _MOST) or b""
        lists = [(index, 16)]
        if _SECTOR <= size <= _LARGEST_RECORD:
            lists += [(_mended(blocks[at : at + size]), 24) for at in range(0, len(blocks), size)]
        for entries, start in lists:
            for number, found in _names(entries, start):
                if found.lower() == name:
                    return number
        return None

    def _file(self, number: int) -> bytes:
        record = self._at(self._files, number * self._record, self._record)
        return _mended(record) if record[:4] == b"FILE" else b""

    def _content(self, attribute: bytes | None, most: int) -> bytes | None:
        if attribute is None:
            return None
        if not attribute[8]:
            length, at = struct.unpack_from("<IH", attribute, 16)
            return attribute[at : at + min(length, most)]
        (length,) = struct.unpack_from("<Q", attribute, 48)
        return self._at(self._runs(attribute), 0, min(length, most))

    def _runs(self, attribute: bytes) -> list[tuple[int, int]]:
        """Where the content is: lengths and places in bytes; the place of a hole is -1."""
        runs, place = [], 0
        (at,) = struct.unpack_from("<H", attribute, 32)
        while at < len(attribute) and attribute[at]:
            lengths, places = attribute[at] & 0xF, attribute[at] >> 4
            length = int.from_bytes(attribute[at + 1 : at + 1 + lengths], "little")
            at += 1 + lengths
            place += int.from_bytes(attribute[at : at + places], "little", signed=True)
            runs.append((length * self._cluster, place * self._cluster if places else -1))
            at += places
        return runs

    def _at(self, runs: list[tuple[int, int]], start: int, length: int) -> bytes:
        """So many bytes of what is stored in these runs; less where they end."""
        found = b""
        for size, place in runs:
            if start >= size:
                start -= size
                continue
            count = min(size - start, length - len(found))
            found += bytes(count) if place < 0 else self._read(place + start, count)
            start = 0
            if len(found) >= length:
                break
        return found


def _mended(record: bytes) -> bytes:
    """A record or block as it is meant: the last two bytes of each sector are kept elsewhere."""
    mended = bytearray(record)
    fixups, count = struct.unpack_from("<HH", mended, 4) if len(mended) >= 8 else (0, 0)
    for sector in range(1, min(count, len(mended) // _SECTOR + 1)):
        mended[sector * _SECTOR - 2 : sector * _SECTOR] = mended[fixups + 2 * sector : fixups + 2 * sector + 2]
    return bytes(mended)


def _attribute(record: bytes, wanted: int, name: str = "") -> bytes | None:
    if not record:
        return None
    (at,) = struct.unpack_from("<H", record, 20)
    while at + 16 <= len(record):
        kind, length, _resident, letters, name_at = struct.unpack_from("<IIBBH", record, at)
        if kind == _END or not length:
            break
        attribute = record[at : at + length]
        if kind == wanted and attribute[name_at : name_at + 2 * letters].decode("utf-16-le", "replace") == name:
            return attribute
        at += length
    return None


def _names(entries: bytes, at: int) -> Iterator[tuple[int, str]]:
    """Files and their names in a node of an index, whose header is at `at`."""
    if len(entries) < at + 16:
        return
    first, used = struct.unpack_from("<II", entries, at)
    end = min(at + used, len(entries))
    at += first
    while at + 82 <= end:
        file, length, _key, flags = struct.unpack_from("<QHHH", entries, at)
        if flags & 2 or length < 16:
            break
        letters = entries[at + 80]
        yield file & ((1 << 48) - 1), entries[at + 82 : at + 82 + 2 * letters].decode("utf-16-le", "replace")
        at += length
