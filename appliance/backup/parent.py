"""What the parent snapshot has: the nodes a run compares with, and whether their content is still stored."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.backup.nodes import is_unchanged
from appliance.errors import KurabakoError
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot, decode_tree
from appliance.repository.trees import load_tree_contents
from appliance.sources.interface import EntryType, Path
from appliance.storage.interface import Buffer

_AHEAD = 64
"""Directories that are asked for at once, with one that is needed now: one by one, a distant storage's answering time
would be spent on each."""

_AHEAD_BYTES = 8 << 20
"""Bytes of trees that may wait for their turn."""


class ParentSnapshot:
    """The parent snapshot, or that there is none. For one thread."""

    def __init__(self, repository: Repository, snapshot: Snapshot | None) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._expected: dict[bytes, None] = {}
        self._ahead: dict[bytes, Buffer] = {}
        self._ahead_bytes = 0

    def at(self, path: Path) -> Node | None:
        """The node at `path`."""
        if self._snapshot is None:
            return None
        node: Node | None = Node(name="", type=EntryType.DIR.value, subtree=self._snapshot.tree)
        for name in path:
            node = self.nodes(node).get(name)
        return node

    def expect(self, folders: Iterable[Node | None]) -> None:
        """These folders will be asked for, the last of them next."""
        for folder in folders:
            if (tree_id := _tree_id(folder)) is not None:
                self._expected.pop(tree_id, None)
                self._expected[tree_id] = None

    def nodes(self, folder: Node | None) -> dict[bytes, Node]:
        """What is in this folder. What cannot be read of it is simply read from the source."""
        return nodes_of(self.tree(folder))

    def tree(self, folder: Node | None) -> Buffer:
        """The folder's tree, not decoded; nothing where there is none, or none that can be read."""
        tree_id = _tree_id(folder)
        if tree_id is None:
            return b""
        if tree_id not in self._ahead:
            self._load(tree_id)
        self._expected.pop(tree_id, None)
        tree = self._ahead.pop(tree_id, b"")
        self._ahead_bytes -= len(tree)
        return tree

    def _load(self, tree_id: bytes) -> None:
        """Reads this tree, and some that will be needed soon."""
        if self._ahead_bytes > _AHEAD_BYTES:
            self._ahead.clear()  # some were perhaps expected in vain
            self._ahead_bytes = 0
        wanted = [tree_id]
        size = self._ahead_bytes
        for expected in self._neighbours(tree_id):
            if size > _AHEAD_BYTES:
                break
            if expected not in self._ahead and self._repository.has_blob(BlobType.TREE, expected):
                size += self._repository.blob_location(BlobType.TREE, expected).plain_length
                wanted.append(expected)
        for loaded_id, tree in load_tree_contents(self._repository, wanted):
            if not isinstance(tree, KurabakoError):
                self._ahead[loaded_id] = tree
                self._ahead_bytes += len(tree)
            elif not isinstance(tree, DamagedData):
                raise tree

    def _neighbours(self, tree_id: bytes) -> list[bytes]:
        """Expected ones beside this one: those behind it, then those before it, which the walk comes to from behind."""
        expected = list(self._expected)
        at = expected.index(tree_id) if tree_id in self._expected else len(expected)
        behind = expected[at + 1 : at + 1 + _AHEAD]
        return behind + expected[max(0, at - _AHEAD + len(behind)) : at][::-1]

    def keeps(self, previous: Node | None) -> bool:
        """Whether `previous` is a file whose content is still stored."""
        return previous is not None and self.vouches_for(previous, previous, trusts_inode=False)

    def kept(self, previous: Node | None, streams: Iterable[Node]) -> list[Node]:
        """The file `previous` and its streams, as far as their content is still stored; nothing without the file."""
        if previous is None or not self.keeps(previous):
            return []
        return [previous, *(stream for stream in streams if self.keeps(stream))]

    def vouches_for(self, node: Node, previous: Node, *, trusts_inode: bool) -> bool:
        """Whether the file's content is that of `previous`, and still stored."""
        return is_unchanged(node, previous, trusts_inode=trusts_inode) and self.has_content(previous)

    def has_content(self, previous: Node) -> bool:
        """Whether all of the file's content is still stored."""
        return self.has_all(previous.content_ids)

    def has_all(self, blob_ids: Iterable[bytes]) -> bool:
        """Whether all these data blobs are still stored."""
        return not self._repository.index.unknown(BlobType.DATA, blob_ids)


def nodes_of(tree: Buffer) -> dict[bytes, Node]:
    """What a tree of the parent snapshot holds, by name; nothing where it cannot be understood."""
    try:
        return {node.raw_name: node for node in decode_tree(tree).nodes} if tree else {}
    except DamagedData:
        return {}


def _tree_id(folder: Node | None) -> bytes | None:
    if folder is None or folder.type != EntryType.DIR or not folder.subtree:
        return None
    return bytes.fromhex(folder.subtree)
