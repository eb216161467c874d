"""What the system tells of the names in a directory of this machine, as entries."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys

from appliance.sources.interface import Entry, EntryType

TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIR,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFCHR: EntryType.CHAR_DEVICE,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
}
"""What an entry is, by the type bits of its mode."""

_FILE = EntryType.FILE  # an Enum is slow to tell its members

_ENCODING, _ENCODING_ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Lister:
    """Makes entries; names of users and groups are asked for once. `device_ids` are ours, by the kernel's numbers."""

    def __init__(self, device_ids: dict[int, int]) -> None:
        self.device_ids = device_ids
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def entries(self, directory: int) -> list[Entry]:
        """The entries of an open directory, in no order. What vanishes meanwhile is left out. Raises `OSError`."""
        entries: list[Entry] = []
        with os.scandir(directory) as listing:
            for item in listing:
                try:
                    found = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                entries.append(self.entry(item.name.encode(_ENCODING, _ENCODING_ERRORS), found))
        return entries

    def entry(self, name: bytes, found: os.stat_result) -> Entry:
        """What a `stat` that follows no link says."""
        mode, uid, gid = found.st_mode, found.st_uid, found.st_gid
        kind = TYPES[mode & 0o170000]
        user, group = self._users.get(uid), self._groups.get(gid)
        if user is None:
            user = self._users[uid] = _user_name(uid)
        if group is None:
            group = self._groups[gid] = _group_name(gid)
        return Entry(
            name,
            kind,
            mode & 0o7777,
            found.st_size if kind is _FILE else 0,
            found.st_mtime_ns,
            found.st_atime_ns,
            found.st_ctime_ns,
            uid,
            gid,
            user,
            group,
            found.st_ino,
            self.device_ids.get(found.st_dev, 0),
            found.st_nlink,
            found.st_rdev,
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
