"""Walking a source: every entry once, in the order in which trees are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appliance.sources.excludes import Excludes
from appliance.sources.interface import Entry, EntryType, Path, Source, SourceError


def list_directory(source: Source, path: Path, excludes: Excludes) -> list[Entry]:
    """The entries of a directory that are not left out, by name (as bytes, which is a tree's order)."""
    entries = list(source.scandir(path))
    if excludes:
        entries = [entry for entry in entries if not excludes.match((*path, entry.name))]
    entries.sort(key=_name)
    return entries


def walk(
    source: Source,
    excludes: Excludes | None = None,
    on_error: Callable[[Path, SourceError], None] | None = None,
) -> Iterator[tuple[Path, Entry]]:
    """Every entry below the root with its path, directories before what they hold, by name.

    Entries are as `scandir` gives them (not completed). A directory that cannot be listed is reported to
    `on_error` and the walk goes on; without `on_error`, or when the source is lost, the error is raised.
    """
    excludes = excludes or Excludes()
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
                found = list_directory(source, path, excludes)
            except SourceError as error:
                if error.lost or on_error is None:
                    raise
                on_error(path, error)
                continue
            waiting.append(iter([((*path, child.name), child) for child in found]))


def _name(entry: Entry) -> bytes:
    return entry.name
