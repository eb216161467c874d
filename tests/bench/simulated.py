"""A simulated repository: trees, index files and a snapshot are real, written by the product's own code.

Of its packs of data there are only the names and sizes, in a file of their own beside the repository's. That is all
that is asked of them by whoever reads no data.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from typing import BinaryIO

from appliance.backup.nodes import node_of
from appliance.repository import BlobType, FileType, Repository, Snapshot, encode_tree, from_datetime
from appliance.repository.crypto import OVERHEAD
from appliance.repository.ids import ID_SIZE, object_key
from appliance.repository.indexfile import IndexFiles
from appliance.repository.pack import TARGET_SIZE, PackedBlob, pack_size
from appliance.repository.repository import utc_now
from appliance.sources.interface import Entry, EntryType, SourceFile
from appliance.sources.interface import Path as SourcePath
from appliance.storage.interface import Buffer, ObjectInfo
from appliance.storage.wrapper import StorageWrapper
from appliance_folder.storage import FolderStorage
from tests.bench.engines import PASSWORD

SPANS = (50_000, 1_000, 20, 1)
"""Files below each entry of the root, of a folder in it, and so on; what spans one is a file itself."""

SMALL_FILE = 100_000
"""Bytes of nine files in ten; the tenth holds the rest."""

BLOB = 1_500_000
"""Bytes of a large file's blobs, as the chunker makes them on average."""

HOST = "scale"
_PACK = struct.Struct(f"<{ID_SIZE}sI")
_FACTS = "facts.json"
"""Written last: a folder that has it is complete."""

_PACKS = "packs"


@dataclass(frozen=True)
class Shape:
    """So many files of so many bytes in all. A folder is named by the number of the first file below it."""

    files: int
    bytes: int

    def entries(self, path: SourcePath) -> list[Entry]:
        """What is in the folder at `path`, the same at every call."""
        level = len(path)
        first = int(path[-1]) if path else 0
        end = min(first + SPANS[level - 1], self.files) if path else self.files
        return [self._entry(number, level) for number in range(first, end, SPANS[level])]

    def _entry(self, number: int, level: int) -> Entry:
        is_file = SPANS[level] == 1
        changed = 1_700_000_000_000_000_000 + number * 7_654_321_987
        return Entry(
            b"%08d" % number,
            EntryType.FILE if is_file else EntryType.DIR,
            0o644 if is_file else 0o755,
            self._size(number) if is_file else 0,
            changed,
            changed,
            changed,
            uid=1000,
            gid=1000,
            user="office",
            group="office",
            inode=number * len(SPANS) + level + 1,
            links=1,
        )

    def _size(self, number: int) -> int:
        average = self.bytes // self.files
        small = min(SMALL_FILE, average)
        return small if number % 10 else 10 * average - 9 * small


class SimulatedSource:
    """The files that the repository holds, unchanged."""

    id = "folder:/scale"
    snapshot_path = "/"
    trusts_inode = True

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def root(self) -> Entry:
        return Entry(b"", EntryType.DIR, 0o755)

    def scandir(self, path: SourcePath) -> Sequence[Entry]:
        return self._shape.entries(path)

    def complete(self, path: SourcePath, entry: Entry) -> None:
        """Entries are complete."""

    def open(self, path: SourcePath, entry: Entry) -> SourceFile:
        raise AssertionError(f"{path} counts as changed")

    def close(self) -> None:
        """There is nothing to end."""


class SimulatedStorage(StorageWrapper):
    """A generated repository: its packs of data are listed, too. What is written or deleted is not.

    `index_files` is how many index files it shows, the largest; None for all.
    """

    def __init__(self, folder: Path, index_files: int | None = None) -> None:
        super().__init__(FolderStorage(folder))
        self._packs = folder / _PACKS
        self._index_files = index_files

    def put(self, key: str, data: Buffer) -> None:
        """Leaves the repository as it is, for the next work."""

    def delete(self, key: str) -> None:
        """Leaves the repository as it is, for the next work."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        found = super().list(prefix)
        if prefix == FileType.INDEX:
            return iter(sorted(found, key=lambda info: info.size, reverse=True)[: self._index_files])
        return chain(found, self._named_packs()) if prefix == FileType.PACK else found

    def _named_packs(self) -> Iterator[ObjectInfo]:
        with self._packs.open("rb") as packs:
            for some in iter(partial(packs.read, 4096 * _PACK.size), b""):
                for pack_id, size in _PACK.iter_unpack(some):
                    yield ObjectInfo(object_key(FileType.PACK, pack_id.hex()), size)


class NamedPacks:
    """Packs of data that are indexed as if they were stored, and named in a file of their own."""

    def __init__(self, repository: Repository, names: BinaryIO) -> None:
        self._index = IndexFiles(repository.save_json)
        self._names = names
        self._random = Random(3)
        self._open: list[PackedBlob] = []
        self._offset = 0
        self.packs = self.blobs = 0

    def add(self, size: int) -> list[str]:
        """The ids of the blobs of a file of `size` bytes."""
        blobs = [self._add_blob(min(BLOB, size - at)).hex() for at in range(0, size, BLOB)]
        self.blobs += len(blobs)
        return blobs

    def _add_blob(self, size: int) -> bytes:
        blob = PackedBlob(BlobType.DATA, self._random.randbytes(ID_SIZE), self._offset, size + OVERHEAD, size)
        self._open.append(blob)
        self._offset += blob.length
        if self._offset >= TARGET_SIZE:
            self._close_pack()
        return blob.id

    def _close_pack(self) -> None:
        if self._open:
            pack_id = self._random.randbytes(ID_SIZE)
            self._names.write(_PACK.pack(pack_id, pack_size(self._open)))
            self._index.add((pack_id, self._open))
            self.packs += 1
        self._open, self._offset = [], 0

    def finish(self) -> None:
        self._close_pack()
        self._index.flush()


def generate(folder: Path, shape: Shape) -> dict[str, int]:
    """Makes the repository, unless it is there already; half a one is made anew. Counts what it holds."""
    facts: dict[str, int]
    if (folder / _FACTS).exists():
        facts = json.loads((folder / _FACTS).read_text())
        return facts
    shutil.rmtree(folder, ignore_errors=True)
    storage = FolderStorage(folder, create=True)
    repository = Repository.create(storage, PASSWORD, hostname=HOST, username="")
    with (folder / _PACKS).open("wb") as names, repository.writer() as writer:
        data = NamedPacks(repository, names)

        def store(path: SourcePath) -> str:
            nodes = []
            for entry in shape.entries(path):
                node = node_of(entry)
                if entry.type is EntryType.DIR:
                    node.subtree = store((*path, entry.name))
                else:
                    node.content = data.add(entry.size)
                nodes.append(node)
            return writer.save(BlobType.TREE, encode_tree(nodes)).id.hex()

        root = store(())
        data.finish()
    repository.save_snapshot(
        Snapshot(time=from_datetime(utc_now()), tree=root, paths=[SimulatedSource.snapshot_path], hostname=HOST)
    )
    stored = sum(info.size for info in storage.list())
    facts = {
        "blobs of data": data.blobs,
        "trees": writer.counts.tree_blobs,
        "packs of data": data.packs,
        "bytes on disk": stored,
    }
    (folder / _FACTS).write_text(json.dumps(facts))
    return facts
