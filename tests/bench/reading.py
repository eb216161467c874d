"""`python -m tests.bench.reading URL`: reads every byte of a share as a backup does, and stores nothing of it.

Through the source's own interface: directories are listed in order, small files opened many at a time by as many
threads as a backup has for a share, large ones read piece by piece; permissions, streams and all else come along.
The password is in KURABAKO_SMB_PASSWORD. Prints files and bytes.
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import SecretStr

import appliance_smb
from appliance.hookspecs import PluginContext
from appliance.policy.model import READERS
from appliance.sources.interface import Entry, EntryType, Medium, RemoteSource, SourceError, is_remote
from appliance.sources.interface import Path as SourcePath
from appliance.sources.walk import walk
from appliance_smb.reading import SMALL
from appliance_smb.settings import SmbSettings

_BATCH_FILES, _BATCH_BYTES = 128, 4 << 20
_PIECE = 2 << 20

Batch = list[tuple[SourcePath, Entry]]


def main() -> None:
    with tempfile.TemporaryDirectory() as state:
        context = PluginContext({"smb": SmbSettings()}, Path(state), Path(state))
        (kind,) = appliance_smb.places(context)
        source = kind.open_source(sys.argv[1], SecretStr(os.environ["KURABAKO_SMB_PASSWORD"]))
        assert is_remote(source)
        print(*_read_all(source))
        source.close()


def _read_all(source: RemoteSource) -> tuple[int, int]:
    """Files and bytes."""
    counts: list[tuple[int, int]] = []
    waiting: queue.Queue[Batch | None] = queue.Queue(READERS[Medium.NETWORK])

    def work() -> None:
        buffer = memoryview(bytearray(_PIECE))
        while (batch := waiting.get()) is not None:
            counts.append((len(batch), sum(_read(source, batch, buffer))))

    threads = [threading.Thread(target=_or_exit(work)) for _ in range(READERS[Medium.NETWORK])]
    for thread in threads:
        thread.start()
    for batch in _batches(source):
        waiting.put(batch)
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    return sum(files for files, _ in counts), sum(length for _, length in counts)


def _batches(source: RemoteSource) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for path, entry in walk(source):
        if entry.type is not EntryType.FILE:
            source.complete(path, entry)
        elif entry.size > SMALL:
            yield [(path, entry)]
        else:
            batch.append((path, entry))
            size += entry.size
            if len(batch) == _BATCH_FILES or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    yield batch


def _read(source: RemoteSource, batch: Batch, buffer: memoryview) -> Iterable[int]:
    for file in source.open_many(batch):
        if isinstance(file, SourceError):
            raise file
        length = 0
        while count := file.readinto(buffer):
            length += count
        assert not file.changed()
        file.close()
        yield length


def _or_exit(work: Callable[[], None]) -> Callable[[], None]:
    """What fails ends the process: a bench that reads less would look fast."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)

    return run


if __name__ == "__main__":
    main()
