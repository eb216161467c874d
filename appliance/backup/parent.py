"""What the parent snapshot has: the nodes a run compares with, and whether their content is still stored."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from appliance.backup.nodes import is_unchanged
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot, Tree
from appliance.repository.trees import load_trees
from appliance.sources.interface import EntryType, Path

_AHEAD = 64
"""Directories that are asked for at once, with one that is needed now: one by one, a distant storage's answering time
would be spent on each."""

_AHEAD_BYTES = 4 << 20
"""Bytes of trees that may wait for their turn."""


class ParentSnapshot:
    """The parent snapshot, or that there is none. For one thread."""

    def __init__(self, repository: Repository, snapshot: Snapshot | None) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._expected: dict[bytes, None] = {}
        self._ahead: dict[bytes, tuple[Tree, int]] = {}
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
        tree_id = _tree_id(folder)
        if tree_id is None:
            return {}
        self._expected.pop(tree_id, None)
        if tree_id not in self._ahead:
            self._load(tree_id)
        tree, size = self._ahead.pop(tree_id, (Tree(), 0))
        self._ahead_bytes -= size
        try:
            return {node.raw_name: node for node in tree.nodes}
        except DamagedData:
            return {}

    def _load(self, tree_id: bytes) -> None:
        """Reads this tree, and some that will be needed soon."""
        if self._ahead_bytes > _AHEAD_BYTES:
            self._ahead.clear()  # some were perhaps expected in vain
            self._ahead_bytes = 0
        sizes = {tree_id: 0}
        for expected in islice(reversed(self._expected), _AHEAD):
            if self._ahead_bytes > _AHEAD_BYTES:
                break
            if expected not in self._ahead and self._repository.has_blob(BlobType.TREE, expected):
                size = sizes[expected] = self._repository.blob_location(BlobType.TREE, expected).plain_length
                self._ahead_bytes += size
        for loaded_id, tree in load_trees(self._repository, sizes):
            if isinstance(tree, Tree):
                self._ahead[loaded_id] = tree, sizes[loaded_id]
                continue
            self._ahead_bytes -= sizes[loaded_id]
            if not isinstance(tree, DamagedData):
                raise tree

    def keeps(self, previous: Node | None) -> bool:
        """Whether `previous` is a file whose content is still stored."""
        return previous is not None and self.vouches_for(previous, previous, trusts_inode=False)

    def vouches_for(self, node: Node, previous: Node, *, trusts_inode: bool) -> bool:
        """Whether the file's content is that of `previous`, and still stored."""
        return is_unchanged(node, previous, trusts_inode=trusts_inode) and self.has_content(previous)

    def has_content(self, previous: Node) -> bool:
        """Whether all of the file's content is still stored."""
        has_blob = self._repository.has_blob
        return all(has_blob(BlobType.DATA, bytes.fromhex(blob_id)) for blob_id in previous.content or ())


def _tree_id(folder: Node | None) -> bytes | None:
    if folder is None or folder.type != EntryType.DIR or not folder.subtree:
        return None
    return bytes.fromhex(folder.subtree)
