"""From a source's entries to a tree's nodes, and what counts as unchanged (repository-format 1.8, 1.13)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from appliance.repository import Node, encode_xattrs, format_time, go_mode, link_fields, parse_time, quote_name
from appliance.repository.tree import FILE
from appliance.sources.interface import Entry, EntryType

_NANOSECONDS = 1_000_000_000
# An Enum is slow to tell its members and their values.
_FILE, _DIR, _SYMLINK = EntryType.FILE, EntryType.DIR, EntryType.SYMLINK
_DEVICES = (EntryType.BLOCK_DEVICE, EntryType.CHAR_DEVICE)
_WORDS = {kind: kind.value for kind in EntryType}
_mode = lru_cache(maxsize=256)(go_mode)


def node_of(entry: Entry, name: bytes | None = None) -> Node:
    """The node for a complete entry, without content or subtree; `name` replaces the entry's own.

    As restic does, the access time is written as the modification time: reading a file is no change of it. A
    device id is written only where a file has several links: there it keeps restorers from linking files of
    different sources that have equal inode numbers, elsewhere it would only make trees differ.
    """
    kind = entry.type
    word = _WORDS[kind]
    mtime = _time(entry.mtime_ns)
    node = Node(
        name=quote_name(entry.name if name is None else name),
        type=word,
        mode=_mode(word, entry.mode),
        mtime=mtime,
        atime=mtime,
        ctime=mtime if entry.ctime_ns == entry.mtime_ns else _time(entry.ctime_ns),
        uid=entry.uid,
        gid=entry.gid,
        user=entry.user,
        group=entry.group,
        inode=entry.inode,
    )
    if kind is _FILE:
        node.size = entry.size
        node.content = []
    elif kind is _SYMLINK:
        for field, value in link_fields(entry.link_target).items():
            setattr(node, field, value)
    elif kind in _DEVICES:
        node.device = entry.rdev
    if kind is not _DIR:
        node.links = entry.links
        if entry.links > 1:
            node.device_id = entry.device_id
    if entry.xattrs:
        note_xattrs(node, entry.xattrs)
    if entry.generic_attributes:
        node.generic_attributes = dict(sorted(entry.generic_attributes.items()))
    return node


def note_xattrs(node: Node, xattrs: Iterable[tuple[bytes, bytes]]) -> None:
    """Writes extended attributes into a node."""
    node.extended_attributes = encode_xattrs(xattrs)


def is_same(entry: Entry, previous: Node) -> bool:
    """Whether `previous` is the very node that this file, completed, would get if its content is the same.

    Only for sources that trust inode and ctime: whatever changes an attribute changes the ctime, so that an equal one
    vouches for what completing the entry would tell, and nobody need ask.
    """
    return (
        previous.inode == entry.inode
        and previous.size == entry.size
        and previous.mtime == previous.atime == (mtime := _time(entry.mtime_ns))
        and previous.ctime == (mtime if entry.ctime_ns == entry.mtime_ns else _time(entry.ctime_ns))
        and previous.type == FILE
        and previous.content is not None
        and previous.mode == _mode(FILE, entry.mode)
        and previous.uid == entry.uid
        and previous.gid == entry.gid
        and previous.user == entry.user
        and previous.group == entry.group
        and previous.links == entry.links
        and previous.device_id == (entry.device_id if entry.links > 1 else 0)
    )


def is_unchanged(node: Node, previous: Node | None, *, trusts_inode: bool) -> bool:
    """Whether a file still has the content it had in the previous snapshot, going by its metadata."""
    return (
        previous is not None
        and previous.type == FILE
        and previous.content is not None
        and previous.size == node.size
        and _same_time(previous.mtime, node.mtime)
        and (
            not trusts_inode
            or (
                previous.inode == node.inode
                and (previous.ctime == node.ctime or _same_time(previous.ctime, node.ctime))
            )
        )
    )


def _same_time(one: str, other: str) -> bool:
    """Stock restic writes the same moment in the local time zone."""
    return one == other or parse_time(one) == parse_time(other)


def _time(ns: int) -> str:
    seconds, fraction = divmod(ns, _NANOSECONDS)
    whole = _whole_second(seconds)
    return f"{whole[:-1]}.{fraction:09d}".rstrip("0") + "Z" if fraction and seconds in _GO_YEARS else whole


_GO_YEARS = range(-62_167_219_200, 253_402_300_800)
"""Seconds that RFC 3339 can express; `format_time` clamps the others."""


@lru_cache(maxsize=4096)
def _whole_second(seconds: int) -> str:
    """Many files share a second, and the calendar is the slow part."""
    return format_time(seconds * _NANOSECONDS)
