"""A source that leaves some of its disk or line to others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from appliance.sources.interface import Entry, Path, RemoteSource, Source, SourceError, SourceFile, is_remote
from appliance.sources.wrapper import FileWrapper, SourceWrapper
from appliance.storage.throttled import TokenBucket


class ThrottledSource(SourceWrapper):
    """`inner`, from whose files at most `limit` bytes a second are read, however many read at once."""

    def __init__(
        self,
        inner: Source,
        limit: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner)
        self._bucket = TokenBucket(limit, clock=clock, sleep=sleep)

    def open(self, path: Path, entry: Entry) -> SourceFile:
        return _ThrottledFile(super().open(path, entry), self._bucket)


class ThrottledRemoteSource(ThrottledSource):
    """The same for a `RemoteSource`."""

    def __init__(self, inner: RemoteSource, limit: int) -> None:
        super().__init__(inner, limit)
        self._remote = inner

    @property
    def trusts_change_time(self) -> bool:
        return self._remote.trusts_change_time

    def complete_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceError | None]:
        return self._remote.complete_many(files)

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


class _ThrottledFile(FileWrapper):
    def __init__(self, inner: SourceFile, bucket: TokenBucket) -> None:
        super().__init__(inner)
        self._bucket = bucket

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        self._bucket.take(count)
        return count
