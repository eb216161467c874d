"""Directories whose trees are not stored yet.

A directory's tree can be written only when all its files and directories are done, which happens in any order on
several threads. Each open `Folder` counts what it still waits for; who finishes the last of it writes the tree,
hands the node to the parent, and goes on there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from appliance.repository import BlobType, BlobWriter, Node, encode_tree


class Folder:
    """A directory being collected. `node` is its own entry in its parent, None for the snapshot's root.

    `previous` is its node in the parent snapshot. When all that `known` names there are in it, and all of them are
    `same`, its tree is the one that is stored already. `tree` is the hexadecimal id of one that somebody else made.
    """

    __slots__ = ("known", "node", "nodes", "parent", "previous", "same", "tree", "waiting")

    def __init__(self, parent: Folder | None, node: Node | None, previous: Node | None = None) -> None:
        self.parent = parent
        self.node = node
        self.previous = previous
        self.nodes: list[Node] = []
        self.known = 0
        self.same = 0
        self.tree: str | None = None
        self.waiting = 1
        """What is not done: files, directories, and 1 for whoever opened the folder and still adds to it."""


class Folders:
    """Stores the trees of folders that are done. Any number of threads may use one object.

    `on_stored(previous, node)` is told of every directory but the root, by the thread that stored it.
    """

    def __init__(self, writer: BlobWriter, on_stored: Callable[[Node | None, Node], None]) -> None:
        self._writer = writer
        self._on_stored = on_stored
        self._lock = threading.Lock()
        self.root_tree: bytes | None = None
        """The snapshot's tree, once the root is done."""

    def open(self, parent: Folder | None, node: Node | None, previous: Node | None = None) -> Folder:
        """A new folder, which its parent, itself still open, waits for until it is closed and all in it is done."""
        if parent is not None:
            self.expect(parent, 1)
        return Folder(parent, node, previous)

    def expect(self, folder: Folder, count: int) -> None:
        """`folder` waits for so many more nodes, each of which is to be `settle`d."""
        with self._lock:
            folder.waiting += count

    def keep(self, folder: Folder, nodes: Sequence[Node]) -> None:
        """`folder` has these nodes just as the parent snapshot has them."""
        with self._lock:
            folder.nodes += nodes
            folder.same += len(nodes)

    def add(self, folder: Folder, nodes: Sequence[Node]) -> None:
        """`folder`, which its opener keeps open, has these nodes, too."""
        with self._lock:
            folder.nodes += nodes

    def settle(self, settled: Sequence[tuple[Folder, Node | None]]) -> None:
        """Things that folders waited for are done; None adds no node (the thing could not be read)."""
        done = []
        with self._lock:
            for folder, node in settled:
                if node is not None:
                    folder.nodes.append(node)
                folder.waiting -= 1
                if not folder.waiting:
                    done.append(folder)
        for folder in done:
            self._store(folder)

    def close(self, folder: Folder) -> None:
        """Its opener adds nothing more."""
        self.settle([(folder, None)])

    def drop(self, folder: Folder) -> None:
        """The folder, to which nothing was added, is not to be stored after all."""
        if folder.parent is not None:
            self.settle([(folder.parent, None)])

    def _store(self, folder: Folder) -> None:
        current: Folder | None = folder
        while current is not None:
            tree = self._tree(current)
            current.nodes = []
            if current.node is None or current.parent is None:
                self.root_tree = bytes.fromhex(tree)
                return
            current.node.subtree = tree
            self._on_stored(current.previous, current.node)
            with self._lock:
                current.parent.nodes.append(current.node)
                current.parent.same += current.node == current.previous
                current.parent.waiting -= 1
                current = None if current.parent.waiting else current.parent

    def _tree(self, folder: Folder) -> str:
        """The hexadecimal id of the folder's tree, stored now unless it is already."""
        if folder.tree is not None:
            return folder.tree
        if folder.previous and folder.previous.subtree and 0 < folder.same == folder.known == len(folder.nodes):
            return folder.previous.subtree
        return self._writer.save(BlobType.TREE, encode_tree(folder.nodes)).id.hex()
