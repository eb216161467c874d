"""The directories a walk is in: those that lead to the sources, and those it has come down through."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from appliance.backup.folders import Folder, Folders
from appliance.backup.nodes import node_of
from appliance.backup.parent import ParentSnapshot
from appliance.backup.plan import path_names
from appliance.backup.tally import Tally
from appliance.repository import Node
from appliance.sources.interface import Entry, EntryType, Path, Source, SourceError


class Level(NamedTuple):
    """A directory that is being walked, and the directories in it that are not yet, the next one last."""

    path: Path
    folder: Folder
    waiting: deque[tuple[Entry, Node | None]]


def next_to_share(levels: Sequence[Level]) -> Level | None:
    """Where the first directory that waits may be walked by somebody else: near the walk, but not its very next."""
    for level in reversed(levels):
        if len(level.waiting) > (level is levels[-1]):
            return level
    return None


def find_roots(sources: Sequence[Source], tally: Tally) -> list[tuple[Source, Entry]]:
    """The sources that are there, with their roots; `tally` is told of the others."""
    roots: list[tuple[Source, Entry]] = []
    for source in sources:
        try:
            root = source.root()
        except SourceError as error:
            tally.error(source, (), error)
            continue
        if root.noted is not None:
            tally.note(source, (), root.noted)
        roots.append((source, root))
    return roots


def open_inner_folders(
    folders: Folders, parent: ParentSnapshot, top: Folder, roots: Sequence[tuple[Source, Entry]]
) -> dict[Path, Folder]:
    """The folders that lead to the sources, by their path; the sources themselves are not among them.

    A source does not tell what lies above it: such a folder has plain permissions and the time of a root in it.
    """
    inner: dict[Path, Folder] = {(): top}
    for source, root in roots:
        names = path_names(source.snapshot_path)
        for path in (names[:depth] for depth in range(1, len(names))):
            if path not in inner:
                entry = Entry(path[-1], EntryType.DIR, 0o755, mtime_ns=root.mtime_ns, ctime_ns=root.mtime_ns)
                inner[path] = folders.open(inner[path[:-1]], node_of(entry), parent.at(path))
    return inner
