"""What is different with sources that take time to answer (`RemoteSource`).

A file is described when it is opened, in the same round trip. One that has neither changed its content nor its change
time since the parent snapshot is not asked for at all, where that time is kept. Its streams are files beside it, and
come and go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from appliance.backup.nodes import is_unchanged, node_of
from appliance.repository import Node
from appliance.sources.interface import Entry, EntryType, Path, Source, SourceError, is_remote

Asked: TypeAlias = Mapping[bytes, SourceError | None]
"""Files of a directory, by name, that were completed together, with what went wrong."""

NOT_ASKED: Asked = {}

_MADE_BY_COMPLETE = "windows.security_descriptor"


def inherit(source: Source, entry: Entry, previous: Node | None) -> bool:
    """Whether the parent snapshot's `previous` tells all of the file's metadata, which are then the entry's."""
    if (
        not is_remote(source)
        or not source.trusts_change_time
        or previous is None
        or entry.type is not EntryType.FILE
        or not entry.ctime_ns
        or entry.ctime_ns != previous.ctime_ns
        or _MADE_BY_COMPLETE not in (known := previous.generic_attributes or {})
    ):
        return False
    entry.generic_attributes = {**known, **entry.generic_attributes}
    entry.xattrs = tuple((one.raw_name, one.value or b"") for one in previous.extended_attributes or ())
    return True


def complete_unchanged(
    source: Source, path: Path | None, entries: Sequence[Entry], known: Mapping[bytes, Node]
) -> Asked:
    """Completes, in few round trips, the files of a directory that are not opened, where no time vouches for them."""
    if path is None or not is_remote(source) or source.trusts_change_time:
        return NOT_ASKED
    unchanged = [
        entry for entry in entries if entry.type is EntryType.FILE and not opens(source, entry, known.get(entry.name))
    ]
    answers = source.complete_many([((*path, entry.name), entry) for entry in unchanged])
    return {entry.name: answer for entry, answer in zip(unchanged, answers, strict=True)}


def complete(source: Source, path: Path, entry: Entry, asked: Asked) -> SourceError | None:
    """Completes the entry where that was not `asked` for yet; what went wrong."""
    if entry.name in asked:
        return asked[entry.name]
    try:
        source.complete(path, entry)
    except SourceError as error:
        return error
    return None


def opens(source: Source, entry: Entry, previous: Node | None) -> bool:
    """Whether the file will be opened, which completes it."""
    if not is_remote(source) or entry.type is not EntryType.FILE:
        return False
    return not is_unchanged(node_of(entry), previous, trusts_inode=False)


def streams_before(source: Source, known: Mapping[bytes, Node]) -> Mapping[bytes, list[Node]]:
    """The nodes of streams that the parent snapshot has in a directory, by the name of the file that they belong to."""
    found: dict[bytes, list[Node]] = {}
    if is_remote(source):
        for name, node in known.items():
            file, colon, _ = name.partition(b":")
            if colon:
                found.setdefault(file, []).append(node)
    return found


def streams(path: Path, entry: Entry) -> Iterator[tuple[Path, Entry, Node]]:
    """The streams of what is at `path`, to be read like files beside it."""
    for stream in entry.streams:
        yield (*path[:-1], stream.name), stream, node_of(stream)


def is_stream(path: Path) -> bool:
    """Whether it is the path of a stream (`name:stream`)."""
    return b":" in path[-1]


def describe(node: Node, entry: Entry) -> None:
    """Puts into the node what opening the file told."""
    told = node_of(entry)
    node.generic_attributes, node.extended_attributes = told.generic_attributes, told.extended_attributes
    node.mtime, node.atime, node.ctime, node.mode = told.mtime, told.atime, told.ctime, told.mode
