"""A limit of bytes per second for a source: kept over all its files and readers, by a clock that the test holds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path as FilePath

import pytest

from appliance.sources.interface import Entry, Path, SourceError, SourceFile, is_remote
from appliance.sources.local import LocalSource
from appliance.sources.throttled import ThrottledRemoteSource, ThrottledSource, throttled
from appliance.sources.wrapper import SourceWrapper
from appliance.text import T

LIMIT = 100_000


class Time:
    """Goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


@pytest.fixture
def folder(tmp_path: FilePath) -> FilePath:
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode() * 5 * LIMIT)
    return tmp_path


def read_all(source: ThrottledSource, names: Sequence[bytes]) -> int:
    count = 0
    for entry in source.scandir(()):
        if entry.name in names:
            file, buffer = source.open((entry.name,), entry), memoryview(bytearray(16384))
            while got := file.readinto(buffer):
                assert set(bytes(buffer[:got])) == set(entry.name)
                count += got
            assert not file.changed()
            file.close()
    return count


@pytest.mark.parametrize("readers", [1, 4])
def test_all_files_and_readers_together_keep_the_limit(folder: FilePath, readers: int) -> None:
    time = Time()
    source = ThrottledSource(LocalSource(folder), LIMIT, clock=lambda: time.now, sleep=time.sleep)
    names = [b"a", b"b", b"c", b"d"]
    threads = [threading.Thread(target=read_all, args=(source, names[at::readers])) for at in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.now - 1000
    assert 20 * LIMIT / seconds <= LIMIT * 1.06, "a burst of a second at most, at the beginning"


def test_it_takes_no_longer_than_the_limit_wants(folder: FilePath) -> None:
    time = Time()
    source = ThrottledSource(LocalSource(folder), LIMIT, clock=lambda: time.now, sleep=time.sleep)
    assert read_all(source, [b"a", b"b", b"c", b"d"]) == 20 * LIMIT
    assert 18 <= time.now - 1000 <= 20


class Remote(SourceWrapper):
    """A source that opens many files at once; of those that begin with x it has none."""

    def open_many(self, files: Sequence[tuple[Path, Entry]]) -> Sequence[SourceFile | SourceError]:
        return [
            SourceError(T("gone"), gone=True) if path[0].startswith(b"x") else self.inner.open(path, entry)
            for path, entry in files
        ]


def test_a_remote_source_stays_one(folder: FilePath) -> None:
    (folder / "x").touch()
    assert not is_remote(throttled(LocalSource(folder), LIMIT))
    source = throttled(Remote(LocalSource(folder)), LIMIT)
    assert isinstance(source, ThrottledRemoteSource) and is_remote(source)
    entries = sorted(source.scandir(()), key=lambda entry: entry.name)
    *opened, missing = source.open_many([((entry.name,), entry) for entry in entries])
    assert isinstance(missing, SourceError) and missing.gone
    for file in opened:
        assert not isinstance(file, SourceError)
        assert file.readinto(memoryview(bytearray(10))) == 10
        file.close()
