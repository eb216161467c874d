"""A source: one box with one file."""

from __future__ import annotations

import io
from collections.abc import Sequence

from appliance.sources.interface import Entry, EntryType, Path, SourceFile

CONTENT = b"spade"


class Spade(io.BytesIO):
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return super().readinto(buffer)

    def changed(self) -> bool:
        return False


class ToolBox:
    id = "shed:tools"
    snapshot_path = "/shed/tools"
    trusts_inode = False

    def root(self) -> Entry:
        return Entry(b"", EntryType.DIR, mode=0o755)

    def scandir(self, path: Path) -> Sequence[Entry]:
        return [Entry(b"spade.txt", EntryType.FILE, mode=0o644, size=len(CONTENT))]

    def complete(self, path: Path, entry: Entry) -> None:
        """Entries are complete."""

    def open(self, path: Path, entry: Entry) -> SourceFile:
        return Spade(CONTENT)

    def close(self) -> None:
        """Nothing is open."""
