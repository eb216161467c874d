"""What the parent snapshot has: the nodes a run compares with, and whether their content is still stored."""

from __future__ import annotations

from appliance.backup.nodes import is_unchanged
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot
from appliance.sources.interface import EntryType, Path


class ParentSnapshot:
    """The parent snapshot, or that there is none."""

    def __init__(self, repository: Repository, snapshot: Snapshot | None) -> None:
        self._repository = repository
        self._snapshot = snapshot

    def at(self, path: Path) -> Node | None:
        """The node at `path`."""
        if self._snapshot is None:
            return None
        node: Node | None = Node(name="", type=EntryType.DIR.value, subtree=self._snapshot.tree)
        for name in path:
            node = self.nodes(node).get(name)
        return node

    def nodes(self, folder: Node | None) -> dict[bytes, Node]:
        """What is in this folder. What cannot be read of it is simply read from the source."""
        if folder is None or folder.type != EntryType.DIR or not folder.subtree:
            return {}
        try:
            return {node.raw_name: node for node in self._repository.load_tree(bytes.fromhex(folder.subtree)).nodes}
        except DamagedData:
            return {}

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
