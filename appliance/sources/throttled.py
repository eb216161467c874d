"""A source that leaves some of its disk or line to others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from appliance.sources.interface import Entry, Path, RemoteSource, Source, SourceError, SourceFile, is_remote
from appliance.storage.throttled import TokenBucket


class ThrottledSource:
    """`inner`, from whose files at most `limit` bytes a second are read, however many read at once."""

    def __init__(
        self,
        inner: Source,
        limit: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._bucket = TokenBucket(limit, clock=clock, sleep=sleep)

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def snapshot_path(self) -> str:
        return self._inner.snapshot_path

    @property
    def trusts_inode(self) -> bool:
        return self._inner.trusts_inode

    def root(self) -> Entry:
        return self._inner.root()

    def scandir(self, path: Path) -> Sequence[Entry]:
        return self._inner.scandir(path)

    def complete(self, path: Path, entry: Entry) -> None:
        self._inner.complete(path, entry)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        return _ThrottledFile(self._inner.open(path, entry), self._bucket)

    def close(self) -> None:
        self._inner.close()


class ThrottledRemoteSource(ThrottledSource):
    """The same for a `RemoteSource`."""

    def __init__(self, inner: RemoteSource, limit: int) -> None:
        super().__init__(inner, limit)
        self._remote = inner

    def open_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceFile | SourceError]:
        return [
            opened if isinstance(opened, SourceError) else _ThrottledFile(opened, self._bucket)
            for opened in self._remote.open_many(files)
        ]

    def open_previous(self, path: Path, entry: Entry) -> SourceFile | None:
        opened = self._remote.open_previous(path, entry)
        return opened and _ThrottledFile(opened, self._bucket)


def throttled(source: Source, limit: int) -> Source:
    """`source`, from whose files at most `limit` bytes a second are read."""
    return ThrottledRemoteSource(source, limit) if is_remote(source) else ThrottledSource(source, limit)


class _ThrottledFile:
    def __init__(self, inner: SourceFile, bucket: TokenBucket) -> None:
        self._inner = inner
        self._bucket = bucket

    def readinto(self, buffer: memoryview) -> int:
        count = self._inner.readinto(buffer)
        self._bucket.take(count)
        return count

    def changed(self) -> bool:
        return self._inner.changed()

    def close(self) -> None:
        self._inner.close()
