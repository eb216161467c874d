"""Is the repository whole? Everything stock restic's check looks at, and what it does not (format 1.11).

Beyond restic: gaps between blobs without reading data, the order and spelling of names in trees, key files, and
file sizes that do not match their content. Index files are taken one at a time and packs a few at a time, so memory
stays bounded whatever the repository's size; only ids of packs and trees are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from appliance.errors import KurabakoError
from appliance.repository.errors import DamagedData
from appliance.repository.files import file_name, load_file
from appliance.repository.ids import CONFIG_KEY, BlobType, FileType, content_id, object_key
from appliance.repository.indexfile import decode_index
from appliance.repository.keys import MAX_KEY_FILE
from appliance.repository.overlap import overlapped
from appliance.repository.pack import PackedBlob, decode_header, encode_header, open_header, pack_size, read_header
from appliance.repository.reader import CROWDED, blob_name, decode_blobs
from appliance.repository.repository import Repository
from appliance.repository.second import started
from appliance.repository.second_check import PART, SecondChecker, is_whole
from appliance.repository.tree import DIR, FILE, NODE_TYPES, Node, Tree, is_valid_name
from appliance.repository.trees import BATCH, load_trees
from appliance.storage.interface import ObjectInfo
from appliance.text import T, Text

_WORTH_A_PROCESS = 3000
"""Small blobs for which a second process is started; it takes as long to start as some thousand of them."""


@dataclass(frozen=True)
class CheckFinding:
    """One thing found. `kind` is a stable word for it, `name` the object, blob or path it is about."""

    kind: str
    name: str
    what: Text


@dataclass
class CheckReport:
    """What was found. An error means that something stored cannot be relied on, a hint that space may be wasted."""

    errors: list[CheckFinding] = field(default_factory=list)
    hints: list[CheckFinding] = field(default_factory=list)
    snapshots: int = 0
    trees: int = 0
    packs: int = 0
    bytes_read: int = 0
    """Bytes of packs whose every blob was read and verified."""

    @property
    def ok(self) -> bool:
        return not self.errors

    def error(self, kind: str, name: str, what: Text) -> None:
        self.errors.append(CheckFinding(kind, name, what))

    def hint(self, kind: str, name: str, what: Text) -> None:
        self.hints.append(CheckFinding(kind, name, what))


def check(
    repository: Repository, *, read_data: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Checks a freshly opened repository, whose index it loads; with `read_data` every byte of every pack is read.

    What is damaged is reported, not raised; a storage that cannot be listed at all raises its error. `on_progress`
    gets the bytes of index files and packs that are done, and those in all.
    """
    return _Check(repository, read_data, on_progress or _no_progress).run()


class _Check:
    def __init__(self, repository: Repository, read_data: bool, on_progress: Callable[[int, int], None]) -> None:
        self.repository = repository
        self.read_data = read_data
        self.on_progress = on_progress
        self.report = CheckReport()
        # Snapshots before index files: what a snapshot needs is indexed before the snapshot is written.
        self.snapshot_infos = repository.list_files(FileType.SNAPSHOT)
        self.index_infos = repository.list_files(FileType.INDEX)
        self.pack_sizes = {
            bytes.fromhex(file_name(info.key)): info.size for info in repository.list_files(FileType.PACK)
        }
        self.total = sum(info.size for info in self.index_infos)
        if read_data:
            self.total += sum(self.pack_sizes.values())
        self.done = 0
        self.headers: dict[bytes, bytes] = {}
        """What the index tells of each pack, as the hash of the header that it should have."""
        self.gaps: set[bytes] = set()
        """Packs whose blobs do not follow one another."""
        self.turn = threading.Lock()
        self.crowded = 0
        self.second: SecondChecker | None = None

    def run(self) -> CheckReport:
        self.check_small_files()
        self.check_index()
        if self.read_data:
            self.check_trees_and_packs()
        else:
            self.check_trees()
        for findings in (self.report.errors, self.report.hints):
            findings.sort(key=lambda finding: (finding.kind, finding.name))
        return self.report

    def advance(self, size: int) -> None:
        self.done += size
        self.on_progress(min(self.done, self.total), self.total)

    # --- config, keys, locks ---------------------------------------------------------------------------------

    def check_small_files(self) -> None:
        try:
            self.repository.reload_config()
        except KurabakoError as error:
            self.report.error("config-damaged", CONFIG_KEY, error.what)
        for info in self.repository.list_files(FileType.KEY):
            try:
                load_file(self.repository.storage, info, MAX_KEY_FILE)
            except KurabakoError as error:
                self.report.error("key-damaged", info.key, error.what)
        for info in self.repository.list_files(FileType.LOCK):
            try:
                if info.size:
                    self.repository.load_json(info)
            except DamagedData as error:
                self.report.error("lock-damaged", info.key, error.what)

    # --- index -----------------------------------------------------------------------------------------------

    def check_index(self) -> None:
        seen = self.headers
        for info in self.index_infos:
            for pack_id, blobs in self.index_packs(info):
                ordered = sorted(blobs, key=lambda blob: blob.offset)
                digest = _digest(ordered)
                if pack_id not in seen:
                    seen[pack_id] = digest
                    self.check_indexed_pack(pack_id, ordered)
                    self.crowded += len(ordered) if len(ordered) > CROWDED else 0
                    self.repository.index.add_pack(pack_id, blobs)
                elif seen[pack_id] == digest:
                    self.report.hint("pack-indexed-twice", pack_id.hex(), T("The pack is in two index files."))
                else:
                    self.report.error(
                        "pack-indexed-differently",
                        pack_id.hex(),
                        T("Two index files tell different things of the pack."),
                    )
            self.advance(info.size)
        self.report.packs = len(seen)
        for pack_id in self.pack_sizes.keys() - seen.keys():
            self.report.hint("pack-not-indexed", pack_id.hex(), T("The pack is not in any index file."))
            if self.read_data:
                self.advance(self.pack_sizes[pack_id])

    def index_packs(self, info: ObjectInfo) -> list[tuple[bytes, list[PackedBlob]]]:
        """The packs that an index file names; none when it cannot be read, which is reported once."""
        try:
            return decode_index(self.repository.load_json(info))
        except KurabakoError as error:
            if not any(finding.name == info.key for finding in self.report.errors):
                self.report.error("index-damaged", info.key, error.what)
            return []

    def check_indexed_pack(self, pack_id: bytes, ordered: Sequence[PackedBlob]) -> None:
        name = pack_id.hex()
        stored = self.pack_sizes.get(pack_id)
        expected = pack_size(ordered)
        if stored is None:
            self.report.error("pack-missing", name, T("The pack is in the index, but it is not there."))
        elif stored != expected:
            self.report.error(
                "pack-size",
                name,
                T(
                    "The pack has {stored} bytes; by the index it must have {expected}.",
                    stored=stored,
                    expected=expected,
                ),
            )
        end = 0
        for blob in ordered:
            if blob.offset != end:
                self.report.error("pack-gap", name, T("By the index, the blobs of the pack do not follow one another."))
                self.gaps.add(pack_id)
                break
            end += blob.length
        if len({blob.type for blob in ordered}) > 1:
            self.report.hint("pack-mixed", name, T("The pack holds both data and trees."))

    # --- snapshots and trees ---------------------------------------------------------------------------------

    def check_trees(self) -> None:
        seen: set[bytes] = set()
        waiting: list[tuple[str, bytes]] = []
        for info in self.snapshot_infos:
            try:
                snapshot = self.repository.load_snapshot(info)
            except KurabakoError as error:
                self.report.error("snapshot-damaged", info.key, error.what)
                continue
            self.report.snapshots += 1
            waiting.append((f"{snapshot.short_id}:", snapshot.tree_id))
            while waiting:
                # The last found first, so that few wait.
                batch = {tree_id: path for path, tree_id in waiting[-BATCH:] if tree_id not in seen}
                del waiting[-BATCH:]
                seen.update(batch)
                for tree_id, tree in load_trees(self.repository, batch):
                    waiting.extend(self.check_tree(batch[tree_id], tree))
        self.report.trees = len(seen)

    def check_tree(self, path: str, tree: Tree | KurabakoError) -> list[tuple[str, bytes]]:
        """The paths and ids of its subtrees."""
        if isinstance(tree, KurabakoError):
            self.report.error("tree-damaged", path or "/", tree.what)
            return []
        subtrees: list[tuple[str, bytes]] = []
        previous: bytes | None = None
        for node in tree.nodes:
            name = f"{path}/{node.name}"
            raw_name = self.check_name(name, node)
            if raw_name is not None:
                if previous is not None and raw_name <= previous:
                    self.report.error("tree-order", name, T("The names in its folder are not in order."))
                previous = raw_name
            if node.type == DIR:
                if node.subtree and any(node.subtree_id):
                    subtrees.append((name, node.subtree_id))
                else:
                    self.report.error("node-without-subtree", name, T("The folder has no content."))
            elif node.type == FILE:
                self.check_content(name, node)
            elif node.type not in NODE_TYPES:
                self.report.error("node-type", name, T("Its type is not known."))
        return subtrees

    def check_name(self, name: str, node: Node) -> bytes | None:
        try:
            raw_name = node.raw_name
        except DamagedData as error:
            self.report.error("node-name", name, error.what)
            return None
        if not is_valid_name(raw_name):
            self.report.error("node-name", name, T("No folder can hold this name."))
        return raw_name

    def check_content(self, name: str, node: Node) -> None:
        if node.content is None:
            self.report.error("node-without-content", name, T("The file has no list of its content."))
            return
        size = 0
        for blob_id in node.content_ids:
            location = self.repository.index.location(BlobType.DATA, blob_id)
            if location is None:
                self.report.error("blob-missing", name, T("A part of the file is not in the index."))
                return
            size += location.plain_length
        if size != node.size:
            self.report.hint("file-size", name, T("The file's size is not that of its content."))

    # --- packs -----------------------------------------------------------------------------------------------

    def check_trees_and_packs(self) -> None:
        """Both at once. Trees are Python's work: they take the turn, while small blobs are the second's."""
        if self.crowded > _WORTH_A_PROCESS:
            self.second = started(lambda: SecondChecker(self.repository.sealer))
        try:
            with self.turn_for_trees() as trees:
                self.check_packs()
                trees.result()
        finally:
            if self.second is not None:
                self.second.close()

    @contextmanager
    def turn_for_trees(self) -> Iterator[Future[None]]:
        """The trees being checked by a thread that holds the turn from now on until it is done."""
        self.turn.acquire()
        with ThreadPoolExecutor(1, thread_name_prefix="trees") as pool:
            trees = pool.submit(self.check_trees)
            trees.add_done_callback(lambda _: self.turn.release())
            yield trees

    def check_packs(self) -> None:
        """Looks at all packs; then, at those that are not whole, with all care."""
        damaged: set[bytes] = set()
        for pack_id, size in overlapped(self.size_if_whole, filter(self.pack_sizes.__contains__, self.headers)):
            if size is None:
                damaged.add(pack_id)
            else:
                self.count_pack(size)
        if damaged:
            for _, size in overlapped(self.check_pack, self.indexed(damaged)):
                self.count_pack(size)

    def count_pack(self, size: int) -> None:
        self.report.bytes_read += size
        self.advance(size)

    def size_if_whole(self, pack_id: bytes) -> int | None:
        """The pack's size in bytes; None unless it is there and is, byte for byte, what the index and its name say."""
        try:
            data = memoryview(self.repository.storage.get(object_key(FileType.PACK, pack_id.hex())))
            if pack_id in self.gaps or content_id(data) != pack_id:
                return None
            header = open_header(data, self.repository.sealer)
            if content_id(header) != self.headers[pack_id]:
                return None
            blobs = decode_header(header)
        except KurabakoError:
            return None
        if len(blobs) <= CROWDED:
            return len(data) if is_whole(self.repository.sealer, data, blobs) else None
        parts = (blobs[first : first + PART] for first in range(0, len(blobs), PART))
        return len(data) if all(self.is_whole_part(data, part) for part in parts) else None

    def is_whole_part(self, pack: memoryview, blobs: Sequence[PackedBlob]) -> bool:
        """Asks the second process, unless the turn is free."""
        if not self.turn.acquire(blocking=self.second is None):
            assert self.second is not None
            with self.second.turn:
                if self.second.is_whole(pack, blobs):
                    return True
            self.turn.acquire()
        try:
            return is_whole(self.repository.sealer, pack, blobs)
        finally:
            self.turn.release()

    def indexed(self, pack_ids: Collection[bytes]) -> Iterator[tuple[bytes, list[PackedBlob]]]:
        """These packs with what the index says of them, once each."""
        found: set[bytes] = set()
        for info in self.index_infos:
            for pack_id, blobs in self.index_packs(info):
                if pack_id in pack_ids and pack_id not in found:
                    found.add(pack_id)
                    yield pack_id, blobs

    def check_pack(self, pack: tuple[bytes, list[PackedBlob]]) -> int:
        """The pack's size in bytes."""
        pack_id, blobs = pack
        name = pack_id.hex()
        try:
            data = self.repository.storage.get(object_key(FileType.PACK, name))
        except KurabakoError as error:
            self.report.error("pack-unreadable", name, error.what)
            return self.pack_sizes[pack_id]
        if content_id(data) != pack_id:
            self.report.error("pack-damaged", name, T("Its content does not match its name."))
        self.check_content_of_pack(name, data, sorted(blobs, key=lambda blob: blob.offset))
        return len(data)

    def check_content_of_pack(self, name: str, pack: bytes, ordered: Sequence[PackedBlob]) -> None:
        try:
            if read_header(pack, self.repository.sealer) != ordered:
                self.report.error("pack-header", name, T("The pack's header and the index tell different things."))
        except DamagedData as error:
            self.report.error("pack-header", name, error.what)
        self.check_blobs(memoryview(pack), ordered)

    def check_blobs(self, pack: memoryview, blobs: Sequence[PackedBlob]) -> None:
        for blob, content in decode_blobs(self.repository.sealer, pack, blobs):
            if isinstance(content, DamagedData):
                self.report.error("blob-damaged", blob_name(blob.type, blob.id), content.why)


def _no_progress(done: int, total: int, /) -> None:
    """Nobody watches."""


def _digest(ordered: Sequence[PackedBlob]) -> bytes:
    return sha256(encode_header(ordered)).digest()
