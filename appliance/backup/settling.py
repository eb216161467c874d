"""Files that are just being written: held back to the end of a run, and left for the next one if they still are.

Whether a file has settled is told by its modification time and the box's clock. A time in the future tells nothing, so
such a file is read at once; that a file changes while it is read is noticed in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from appliance.backup.files import FileTask
from appliance.backup.remote import is_stream
from appliance.sources.interface import Entry, EntryType, Path, Source, SourceError
from appliance.text import T

_CLOCKS_APART_NS = 2_000_000_000
"""By how much a file's time may be ahead of the box's clock, before it is no time to go by: FAT's are that coarse."""


class StillWritten(SourceError):
    """A file was still being written to at the end of the run. The snapshot has what the last one had of it."""

    code = "source.still-written"

    def __init__(self, path: Path) -> None:
        super().__init__(
            T(
                "{path} is still being written to and is left for the next run.",
                path=b"/".join(path).decode("utf-8", "backslashreplace"),
            )
        )


class Settling:
    """Holds back what was modified within the last `settle` seconds; 0 holds nothing back."""

    def __init__(self, settle: float, now: Callable[[], datetime]) -> None:
        self._settle_ns = int(settle * 1_000_000_000)
        self._now = now
        self._held: list[FileTask] = []

    def is_written(self, entry: Entry) -> bool:
        """Whether the file may still be written to."""
        after, until = self.window()
        return after < entry.mtime_ns <= until

    def window(self) -> tuple[int, int]:
        """What was modified after the first, but not after the second of these times, may still be written to."""
        if not self._settle_ns:
            return 0, 0
        now = int(self._now().timestamp() * 1_000_000_000)
        return now - self._settle_ns, now + _CLOCKS_APART_NS

    def hold(self, task: FileTask) -> None:
        """Keeps the task for the end of the run."""
        self._held.append(task)

    def held(self) -> Iterator[tuple[Path, list[FileTask]]]:
        """What was held back, by its directory, and so by its source."""
        held, self._held = self._held, []
        return by_directory(held)


def by_directory(tasks: Iterable[FileTask]) -> Iterator[tuple[Path, list[FileTask]]]:
    """Files that are in order, by their directory, and so by their source."""
    for (_, directory), together in groupby(tasks, lambda task: (task.source.id, task.path[:-1])):
        yield directory, list(together)


def look_again(
    held: Iterable[tuple[Path, list[FileTask]]], listed: Callable[[Source, Path], Sequence[Entry] | None]
) -> Iterator[tuple[FileTask, Entry | None]]:
    """The files that were held back, with what their directories, `listed` again, say of them now."""
    for directory, tasks in held:
        source = tasks[0].source
        now = {entry.name: entry for entry in listed(source, directory) or () if entry.type is EntryType.FILE}
        for task in tasks:
            # A stream is in no listing.
            yield task, task.entry if is_stream(task.path) else now.get(task.path[-1])
