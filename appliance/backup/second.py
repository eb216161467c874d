"""What a second process does for a backup (`appliance.repository.second`): small files, and whole folders of them.

It does the plain case alone: small files that are what their directory's listing says, and directories that hold
little else. Whatever is not plain it hands back, and the first process sees to it. It knows no repository; whether what
it reads is stored already is not its business.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias

import msgspec

from appliance.backup.files import SMALL
from appliance.backup.nodes import is_same, is_unchanged, node_of, note_xattrs
from appliance.backup.parent import nodes_of
from appliance.repository.compression import compress_many
from appliance.repository.crypto import OVERHEAD, MasterKey, Sealer
from appliance.repository.ids import BlobType, content_id
from appliance.repository.second import Work, serve
from appliance.repository.tree import Node, encode_tree
from appliance.repository.writer import packed_form
from appliance.sources.directories import Directories, Names
from appliance.sources.interface import Entry, EntryType, Path, WholeFile
from appliance.sources.listing import Lister
from appliance.sources.selection import Selection
from appliance.sources.whole import read_whole
from appliance.storage.interface import Buffer

_FILE, _DATA = EntryType.FILE, BlobType.DATA  # an Enum is slow to tell its members
_KEPT_DIRECTORIES = 16
_FOLDER_BYTES = 4 << 20
_FOLDER_FILES = 1024
"""Of the new files of one folder, so much is read at most; the first process sees to the others."""
_READ_AT_ONCE = 128


class Greeting(msgspec.Struct, array_like=True):
    """The repository's key, and what is collected."""

    key: bytes
    excludes: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


class SmallFile(msgspec.Struct, array_like=True, gc=False):
    """A file by what its directory's listing said; `folder` is the number of that directory in the batch."""

    folder: int
    name: bytes
    size: int
    mtime_ns: int


class Batch(msgspec.Struct, array_like=True, tag="files"):
    """Files to be read, in order; `root` is the descriptor of their source's root, `folders` are paths below it."""

    root: int
    folders: list[Path]
    files: list[SmallFile]


class Blob(msgspec.Struct, array_like=True, gc=False):
    """What became of a file: its blob, whose sealed bytes follow in order. An empty id: it is not done.

    A file without any content has a `length` of 0.
    """

    id: bytes
    length: int = 0
    uncompressed_length: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class FolderToCollect(msgspec.Struct, array_like=True, tag="folder"):
    """A directory; with the request goes its tree in the parent snapshot, if any.

    `device_id` is that of its source. Files modified `after`, but not after `until`, may still be written to.
    """

    root: int
    device_id: int
    path: Path
    after: int
    until: int


class LeftEntry(msgspec.Struct, array_like=True, gc=False):
    """An entry as its directory's listing tells it: the first fields of `Entry`, in their order."""

    name: bytes
    type: EntryType
    mode: int
    size: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    inode: int
    device_id: int
    links: int
    rdev: int

    @classmethod
    def of(cls, entry: Entry) -> LeftEntry:
        return cls(*(getattr(entry, name) for name in cls.__struct_fields__))

    def entry(self) -> Entry:
        return Entry(*msgspec.structs.astuple(self))


class Collected(msgspec.Struct, array_like=True):
    """What became of a folder. The sealed `blobs` follow in order; then, unless something is `left`, the sealed `tree`.

    `same` are files that are what they were, whose content has the ids `content`, one after another; when nothing is
    left, and nothing else, the folder's tree is what it was and `tree` is None. When something is left, `same` names
    them and `nodes` is a tree of the others. Counts are of files; `size` is the bytes of all of them.
    """

    left: list[LeftEntry]
    same: list[bytes]
    content: bytes
    blobs: list[Blob]
    nodes: bytes
    tree: Blob | None
    new: int
    changed: int
    unmodified: int
    size: int


_encoder = msgspec.msgpack.Encoder()
_greetings = msgspec.msgpack.Decoder(Greeting)
_requests = msgspec.msgpack.Decoder(Batch | FolderToCollect)
_Contents: TypeAlias = Sequence[tuple[BlobType, bytes, Buffer]]


class Reader:
    """Does the plain case, in either process: what it was told, and the directories it has open."""

    def __init__(self, sealer: Sealer, selection: Selection) -> None:
        self._sealer = sealer
        self._selection = selection
        self._lister = Lister({})
        self._roots: dict[int, Directories] = {}

    def work(self, head: bytes, data: Buffer) -> tuple[bytes, Buffer]:
        """The answer to a request; an empty head when it is not done."""
        request = _requests.decode(head)
        root = self._roots.get(request.root)
        if root is None:
            staying = _staying_on(os.fstat(request.root).st_dev)
            root = self._roots[request.root] = Directories(os.dup(request.root), _KEPT_DIRECTORIES, staying)
        if isinstance(request, Batch):
            return self.read_batch(root, request)
        return self.collect_folder(root, request, data)

    def close(self) -> None:
        """Closes every directory."""
        for root in self._roots.values():
            root.close()
        self._roots.clear()

    def read_batch(self, root: Directories, batch: Batch) -> tuple[bytes, Buffer]:
        """What became of each file."""
        files: list[WholeFile | None] = []
        for number, folder in enumerate(batch.folders):
            entries = [
                Entry(file.name, EntryType.FILE, size=file.size, mtime_ns=file.mtime_ns)
                for file in batch.files
                if file.folder == number
            ]
            try:
                files += read_whole(root.at(folder).fd, entries)
            except OSError:
                files += [None] * len(entries)
        blobs, sealed = self._seal(
            [(_DATA, content_id(file.content), file.content) for file in files if file and file.content]
        )
        stored = iter(blobs)
        return _encoder.encode([_told(file, stored) for file in files]), sealed

    def collect_folder(self, root: Directories, folder: FolderToCollect, previous: Buffer) -> tuple[bytes, Buffer]:
        """What became of a folder."""
        try:
            directory = root.at(folder.path)
            self._lister.device_ids[os.fstat(directory.fd).st_dev] = folder.device_id
            entries = self._lister.entries(directory.fd)
        except OSError:
            return b"", b""
        entries = self._selection.choose(folder.path, entries) if self._selection else entries
        known = nodes_of(previous)
        same, wanted, left = _sorted_out(entries, known, folder)
        nodes: list[Node] = []
        contents: list[tuple[BlobType, bytes, Buffer]] = []
        for entry, file in zip(wanted, _read(directory.fd, wanted), strict=True):
            if file is None:
                left.append(entry)
                continue
            nodes.append(node := node_of(entry))
            if file.xattrs:
                note_xattrs(node, file.xattrs)
            if file.content:
                blob_id = content_id(file.content)
                node.content = [blob_id.hex()]
                contents.append((_DATA, blob_id, file.content))
        has_tree = not left and bool(nodes or not same or len(same) < len(known))
        tree = encode_tree([*same, *nodes] if has_tree else nodes) if has_tree or nodes else b""
        if has_tree:
            contents.append((BlobType.TREE, content_id(tree), tree))
        blobs, sealed = self._seal(contents)
        changed = sum(node.raw_name in known for node in nodes) if known else 0
        answer = Collected(
            left=[LeftEntry.of(entry) for entry in left],
            same=[node.raw_name for node in same] if left else [],
            content=bytes.fromhex("".join([blob_id for node in same for blob_id in node.content or ()])),
            blobs=blobs[: len(blobs) - has_tree],
            nodes=tree if left else b"",
            tree=blobs[-1] if has_tree else None,
            new=len(nodes) - changed,
            changed=changed,
            unmodified=len(same),
            size=sum(node.size for node in same) + sum(node.size for node in nodes),
        )
        return _encoder.encode(answer), sealed

    def _seal(self, contents: _Contents) -> tuple[list[Blob], bytearray]:
        """A blob for each, and their sealed forms one after another."""
        frames = compress_many([content for _, _, content in contents])
        forms = [packed_form(kind, content, frame) for (kind, _, content), frame in zip(contents, frames, strict=True)]
        ends = list(accumulate(len(payload) + OVERHEAD for payload, _ in forms))
        sealed = bytearray(ends[-1] if ends else 0)
        view = memoryview(sealed)
        places = [view[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        self._sealer.seal_many([payload for payload, _ in forms], places)
        return [
            Blob(blob_id, len(place), uncompressed_length)
            for (_, blob_id, _), place, (_, uncompressed_length) in zip(contents, places, forms, strict=True)
        ], sealed


def _sorted_out(
    entries: list[Entry], known: dict[bytes, Node], folder: FolderToCollect
) -> tuple[list[Node], list[Entry], list[Entry]]:
    """What is as it was, which files are to be read, and what is left to the first process."""
    same: list[Node] = []
    wanted: list[Entry] = []
    left: list[Entry] = []
    budget = _FOLDER_BYTES
    for entry in entries:
        before = known.get(entry.name)
        if before is not None and is_same(entry, before):
            same.append(before)
        elif (
            entry.type is _FILE
            and entry.size <= min(SMALL, budget)
            and len(wanted) < _FOLDER_FILES
            and not folder.after < entry.mtime_ns <= folder.until
            and (before is None or not is_unchanged(node_of(entry), before, trusts_inode=True))
        ):
            wanted.append(entry)
            budget -= entry.size
        else:
            left.append(entry)
    return same, wanted, left


def _read(directory: int, entries: list[Entry]) -> Iterator[WholeFile | None]:
    """Each of these files; few are open at once."""
    for at in range(0, len(entries), _READ_AT_ONCE):
        yield from read_whole(directory, entries[at : at + _READ_AT_ONCE])


def _told(file: WholeFile | None, stored: Iterator[Blob]) -> Blob:
    if file is None:
        return Blob(b"")
    if not file.content:
        return Blob(b"-", xattrs=file.xattrs)
    blob = next(stored)
    blob.xattrs = file.xattrs
    return blob


def _staying_on(device: int) -> Callable[[Names, int], None]:
    def refuse_others(_: Names, directory: int) -> None:
        if os.fstat(directory).st_dev != device:
            raise OSError(errno.EXDEV, "another file system")

    return refuse_others


def _begin(greeting: bytes) -> Work:
    told = _greetings.decode(greeting)
    return Reader(Sealer(MasterKey.from_json(told.key)), Selection(told.excludes, told.includes)).work


if __name__ == "__main__":
    serve(_begin)
