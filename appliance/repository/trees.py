"""Reading many directories with few requests.

A writer stores trees in the order in which directories are done, so those that are needed together lie together.
Asking for each alone would cost a distant storage's answering time for every directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from appliance.errors import KurabakoError
from appliance.repository.errors import DamagedData
from appliance.repository.ids import BlobType
from appliance.repository.overlap import overlapped
from appliance.repository.reader import WantedBlob, blob_name
from appliance.repository.repository import Repository
from appliance.repository.tree import Node, Tree, decode_tree
from appliance.storage.interface import Buffer

_Decoded = TypeVar("_Decoded")

BATCH = 256
"""Directories that are worth asking for at once."""

_BATCH_BYTES = 4 << 20
"""Bytes of trees that are decoded at once, but for a single larger one."""


def load_trees(repository: Repository, tree_ids: Iterable[bytes]) -> Iterator[tuple[bytes, Tree | KurabakoError]]:
    """Each directory and what is in it, or why it cannot be read; in no given order."""
    return _load(repository, tree_ids, decode_tree)


def load_tree_contents(
    repository: Repository, tree_ids: Iterable[bytes]
) -> Iterator[tuple[bytes, Buffer | KurabakoError]]:
    """Each directory's tree blob, not decoded, or why it cannot be read; in no given order."""
    return _load(repository, tree_ids, lambda content: content)


def _load(
    repository: Repository, tree_ids: Iterable[bytes], decode: Callable[[Buffer], _Decoded]
) -> Iterator[tuple[bytes, _Decoded | KurabakoError]]:
    waiting = iter(dict.fromkeys(tree_ids))
    while batch := list(islice(waiting, BATCH)):
        packs: dict[bytes, list[WantedBlob]] = {}
        for tree_id in batch:
            try:
                location = repository.blob_location(BlobType.TREE, tree_id)
            except DamagedData as damage:
                yield tree_id, damage
                continue
            packs.setdefault(location.pack_id, []).append(WantedBlob(BlobType.TREE, tree_id, location))
        parts = (part for wanted in packs.values() for part in _parts(wanted))
        for _, trees in overlapped(lambda wanted: list(_read(repository, wanted, decode)), parts):
            yield from trees


def read_trees(repository: Repository, tree_ids: Iterable[bytes]) -> dict[bytes, Tree]:
    """What is in each directory. Raises `DamagedData` or a storage's error when one cannot be read."""
    return {tree_id: _read_or_raise(tree) for tree_id, tree in load_trees(repository, tree_ids)}


def walk(repository: Repository, tree_id: bytes, path: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    """Everything below a directory with its path below `path`, in order, folders before what they hold.

    Raises `DamagedData` or a storage's error when it comes to a directory that cannot be read.
    """
    levels = [_Level(path, read_trees(repository, [tree_id])[tree_id])]
    while levels:
        level = levels[-1]
        node = next(level.nodes, None)
        if node is None:
            levels.pop()
            continue
        here = level.path + b"/" + node.raw_name
        yield here, node
        if node.subtree:
            levels.append(_Level(here, level.subtree(repository, node.subtree_id)))


class _Level:
    """A directory that is being walked; its subdirectories are read ahead, many at a time."""

    def __init__(self, path: bytes, tree: Tree) -> None:
        self.path = path
        self.nodes = iter(tree.nodes)
        self._below = (node.subtree_id for node in tree.nodes if node.subtree)
        self._ahead: dict[bytes, Tree | KurabakoError] = {}

    def subtree(self, repository: Repository, tree_id: bytes) -> Tree:
        while tree_id not in self._ahead:
            self._ahead = dict(load_trees(repository, islice(self._below, BATCH)))
        return _read_or_raise(self._ahead[tree_id])


def _read_or_raise(tree: Tree | KurabakoError) -> Tree:
    if isinstance(tree, KurabakoError):
        raise tree
    return tree


def _parts(wanted: list[WantedBlob]) -> Iterator[list[WantedBlob]]:
    """Trees that are decoded together, in the pack's order."""
    part: list[WantedBlob] = []
    size = 0
    for blob in sorted(wanted, key=lambda blob: blob.location.offset):
        if part and size + blob.location.plain_length > _BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(blob)
        size += blob.location.plain_length
    if part:
        yield part


def _read(
    repository: Repository, wanted: list[WantedBlob], decode: Callable[[Buffer], _Decoded]
) -> Iterator[tuple[bytes, _Decoded | KurabakoError]]:
    for blob, content in repository.read_pack_blobs(wanted):
        if isinstance(content, KurabakoError):
            yield blob.id, content
            continue
        try:
            yield blob.id, decode(content)
        except DamagedData as damage:
            yield blob.id, damage.named(blob_name(blob.type, blob.id))
