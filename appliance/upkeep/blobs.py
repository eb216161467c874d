"""Marks on all blobs of a repository: who uses them.

A repository has millions of blobs, so this is no dictionary: the ids' first nine bytes lie sorted in 256 arrays
beside four bytes of mark each, 12 bytes per blob. Two ids that begin alike share their mark; that happens once in
billions of repositories and then keeps a blob that could go, never the reverse.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from appliance.errors import KurabakoError
from appliance.repository import BlobLocation, BlobType, DamagedData, MissingData, Node, Repository
from appliance.repository.reader import blob_name
from appliance.repository.tree import DIR
from appliance.repository.trees import BATCH, load_trees

UNUSED = 0
SEVERAL = (1 << 32) - 1
"""The mark of a blob that more than one snapshot uses."""

_HEADER_ENTRY = 41
_HEADER_ENTRY_PLAIN = 37


def stored_size(location: BlobLocation) -> int:
    """The bytes a blob takes in a pack: itself, sealed, and its entry in the pack's header (format 1.5)."""
    return location.length + (_HEADER_ENTRY_PLAIN if location.uncompressed_length is None else _HEADER_ENTRY)


class BlobMarks:
    """A number from `UNUSED` to `SEVERAL` for each blob that `repository`'s loaded index knows."""

    def __init__(self, repository: Repository) -> None:
        self._names: list[list[array[int]]] = []
        self._marks: list[list[array[int]]] = []
        self._copied: set[tuple[int, int, int]] = set()
        for kind in BlobType:
            buckets = [array("Q") for _ in range(256)]
            for blob_id, _ in repository.index.blobs(kind):
                buckets[blob_id[0]].append(int.from_bytes(blob_id[1:9], "big"))
            for number, bucket in enumerate(buckets):
                buckets[number] = self._ordered(kind, number, bucket)
            self._names.append(buckets)
            self._marks.append([array("I", bytes(4 * len(bucket))) for bucket in buckets])

    def _ordered(self, kind: BlobType, number: int, bucket: array[int]) -> array[int]:
        """Each name once, in order; which are there several times is noted."""
        ordered = array("Q")
        for name in sorted(bucket):
            if ordered and ordered[-1] == name:
                self._copied.add((kind, number, name))
            else:
                ordered.append(name)
        return ordered

    def get(self, kind: BlobType, blob_id: bytes) -> int:
        """The blob's mark. Raises `MissingData` for one that the index does not know."""
        bucket, place = self._find(kind, blob_id)
        return self._marks[kind][bucket][place]

    def set(self, kind: BlobType, blob_id: bytes, mark: int) -> None:
        """Raises `MissingData` for a blob that the index does not know."""
        bucket, place = self._find(kind, blob_id)
        self._marks[kind][bucket][place] = mark

    def is_copied(self, kind: BlobType, blob_id: bytes) -> bool:
        """Whether the blob is stored more than once."""
        return bool(self._copied) and (kind, blob_id[0], int.from_bytes(blob_id[1:9], "big")) in self._copied

    def _find(self, kind: BlobType, blob_id: bytes) -> tuple[int, int]:
        bucket = blob_id[0]
        name = int.from_bytes(blob_id[1:9], "big")
        names = self._names[kind][bucket]
        place = bisect_left(names, name)
        if place == len(names) or names[place] != name:
            raise MissingData(blob_name(kind, blob_id))
        return bucket, place


def mark_first(repository: Repository, marks: BlobMarks, roots: Iterable[tuple[bytes, int]]) -> None:
    """Marks what each tree of `roots` (its id and its mark) needs, unless an earlier one has marked it.

    Every tree is read once, however many snapshots hold it. Raises `MissingData` for a needed blob that the index does
    not know, `DamagedData` or a storage's error for a tree that cannot be read.
    """

    def enter(kind: BlobType, blob_id: bytes, mark: int) -> bool:
        if marks.get(kind, blob_id) != UNUSED:
            return False
        marks.set(kind, blob_id, mark)
        return True

    for root, mark in roots:
        _walk(repository, root, mark, enter)


def mark_owners(repository: Repository, marks: BlobMarks, roots: Iterable[tuple[bytes, int]]) -> None:
    """Marks what only one of `roots` needs with its mark, and what several need with `SEVERAL`.

    Every tree is read twice at most. Raises what `mark_first` does.
    """

    def enter(kind: BlobType, blob_id: bytes, mark: int) -> bool:
        before = marks.get(kind, blob_id)
        if before in (mark, SEVERAL):
            # Below a tree that several need, all is marked so already.
            return False
        marks.set(kind, blob_id, mark if before == UNUSED else SEVERAL)
        return True

    for root, mark in roots:
        _walk(repository, root, mark, enter)


def _walk(repository: Repository, root: bytes, mark: int, enter: Callable[[BlobType, bytes, int], bool]) -> None:
    """Visits the tree and all below it; `enter` says whether to go on into a tree."""
    waiting = [root]

    def next_trees() -> Iterator[bytes]:
        # The last found first, so that few wait.
        while waiting:
            tree_id = waiting.pop()
            if enter(BlobType.TREE, tree_id, mark):
                yield tree_id

    while batch := list(islice(next_trees(), BATCH)):
        for tree_id, tree in load_trees(repository, batch):
            if isinstance(tree, KurabakoError):
                raise tree
            for node in tree.nodes:
                # Whatever its type: what a tree names is needed.
                if node.subtree or node.type == DIR:
                    waiting.append(_subtree_of(node, tree_id))
                for blob_id in node.content_ids:
                    enter(BlobType.DATA, blob_id, mark)


def _subtree_of(node: Node, tree_id: bytes) -> bytes:
    try:
        return node.subtree_id
    except DamagedData as damage:
        raise damage.named(blob_name(BlobType.TREE, tree_id)) from None
