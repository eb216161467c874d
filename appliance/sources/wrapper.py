"""The base of the wrappers: a source that passes everything on to another one."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.sources.interface import Entry, Path, Source, SourceFile


class SourceWrapper:
    """Passes every call on to `inner`; a wrapper overrides the calls it has something to say about.

    What only some sources offer (`RemoteSource`, `LocalTree`) is not passed on: it would go past the wrapper.
    """

    def __init__(self, inner: Source) -> None:
        self.inner = inner

    @property
    def id(self) -> str:
        return self.inner.id

    @property
    def snapshot_path(self) -> str:
        return self.inner.snapshot_path

    @property
    def trusts_inode(self) -> bool:
        return self.inner.trusts_inode

    def root(self) -> Entry:
        return self.inner.root()

    def scandir(self, path: Path) -> Sequence[Entry]:
        return self.inner.scandir(path)

    def complete(self, path: Path, entry: Entry) -> None:
        self.inner.complete(path, entry)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        return self.inner.open(path, entry)

    def close(self) -> None:
        self.inner.close()


class FileWrapper:
    """The same for an open file."""

    def __init__(self, inner: SourceFile) -> None:
        self.inner = inner

    def readinto(self, buffer: memoryview) -> int:
        return self.inner.readinto(buffer)

    def changed(self) -> bool:
        return self.inner.changed()

    def close(self) -> None:
        self.inner.close()
