"""Walking a source: every entry once, in the order in which trees are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appliance.sources.interface import Entry, EntryType, Path, Source, SourceError
from appliance.sources.selection import Selection


def list_directory(source: Source, path: Path, selection: Selection) -> list[Entry]:
    """The entries of a directory that are collected, by name (as bytes, which is a tree's order)."""
    entries = list(source.scandir(path))
    if selection:
        entries = selection.choose(path, entries)
    entries.sort(key=_name)
    return entries


def walk(
    source: Source,
    selection: Selection | None = None,
    on_error: Callable[[Path, SourceError], None] | None = None,
) -> Iterator[tuple[Path, Entry]]:
    """Every entry below the root with its path, directories before what they hold, by name.

    Entries are as `scandir` gives them (not completed). A directory that cannot be listed is reported to
    `on_error` and the walk goes on; without `on_error`, or when the source is lost, the error is raised.
    """
    selection = selection or Selection()
    waiting: list[Iterator[tuple[Path, Entry]]] = [iter([((), source.root())])]
    while waiting:
        try:
            path, entry = next(waiting[-1])
        except StopIteration:
            waiting.pop()
            continue
        if path:
            yield path, entry
        if entry.type is EntryType.DIR:
            try:
                found = list_directory(source, path, selection)
            except SourceError as error:
                if error.lost or on_error is None:
                    raise
                on_error(path, error)
                continue
            waiting.append(iter([((*path, child.name), child) for child in found]))


def _name(entry: Entry) -> bytes:
    return entry.name
