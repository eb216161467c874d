"""How a snapshot differs from the one before it, and whether that looks like ransomware. The judgement is pure.

What encrypts files for ransom leaves content that does not compress any more where it did, gives files other names, or
takes them away. All three are seen in the trees and the index; no file is read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import chain

from appliance.repository import BlobType, Node, Repository
from appliance.repository.tree import FILE
from appliance.repository.trees import BATCH, read_trees

_SAMPLED = 16
"""Blobs of a file that are looked at: 24 MB tell whether it compresses."""

_PACKED = 0.90
"""A file that is stored in less than this part of its size compresses."""
_NOISE = 0.98
"""A file that is stored in more than this part of its size does not."""


@dataclass(frozen=True)
class Change:
    """Files of the earlier snapshot, and how many of them are other than they were.

    `scrambled` compressed and do not any more, under their own name or a new one; `renamed` have a new name in the same
    folder; `vanished` are gone without one. A file may be scrambled and renamed.
    """

    files: int = 0
    scrambled: int = 0
    renamed: int = 0
    vanished: int = 0

    def __add__(self, other: Change) -> Change:
        return Change(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


class Suspicion(StrEnum):
    """What is unusual; the value is the name of the figure."""

    SCRAMBLED = "scrambled"
    RENAMED = "renamed"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Unusual:
    """From which part of a source's files on a change is unusual. Fewer than `least_files` never are."""

    least_files: int
    scrambled: float
    renamed: float
    vanished: float

    def in_change(self, change: Change) -> tuple[Suspicion, ...]:
        """What of the change is unusual."""
        return tuple(
            suspicion
            for suspicion in Suspicion
            if (count := getattr(change, suspicion.value)) >= self.least_files
            and count >= change.files * getattr(self, suspicion.value)
        )


def measure_change(repository: Repository, before: bytes, after: bytes) -> Change:
    """How the tree `after` differs from the tree `before`. The index knows both; only folders that differ are read.

    `files` is not counted here. Raises `DamagedData` or a storage's error.
    """
    total = Change()
    vanished: list[bytes] = []
    renamed: list[bytes] = []
    waiting: list[tuple[bytes, bytes]] = [(before, after)]
    while waiting:
        pairs = [pair for pair in waiting[-BATCH:] if pair[0] != pair[1]]
        del waiting[-BATCH:]
        trees = read_trees(repository, chain(*pairs))
        for old_id, new_id in pairs:
            old = {node.name: node for node in trees[old_id].nodes}
            new = {node.name: node for node in trees[new_id].nodes}
            added = _Added(node for name, node in new.items() if name not in old)
            for name, node in old.items():
                twin = new.get(name) or added.twin_of(node)
                other_name = twin is not None and twin.name != name
                if node.subtree:
                    if twin is None:
                        vanished.append(node.subtree_id)
                    elif twin.subtree:
                        waiting.append((node.subtree_id, twin.subtree_id))
                        if other_name:
                            renamed.append(node.subtree_id)
                elif node.type == FILE:
                    if twin is None:
                        total += Change(vanished=1)
                    else:
                        scrambled = node.content != twin.content and _is_scrambled(repository, node, twin)
                        total += Change(scrambled=scrambled, renamed=other_name)
    return total + Change(vanished=_count_files(repository, vanished), renamed=_count_files(repository, renamed))


class _Added:
    """The new names of a folder, to be found by the content behind them, or by the old name they go on from."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._by_content: dict[object, Node] = {}
        self._by_old_name: dict[tuple[str, str], Node] = {}
        for node in nodes:
            if (content := _content_of(node)) is not None:
                self._by_content[content] = node
            parts = node.name.split(".")
            for end in range(1, len(parts)):
                self._by_old_name[node.type, ".".join(parts[:end])] = node

    def twin_of(self, node: Node) -> Node | None:
        """The new name of what was `node`, if there is one."""
        content = _content_of(node)
        same = self._by_content.get(content) if content is not None else None
        return same or self._by_old_name.get((node.type, node.name))


def _content_of(node: Node) -> object:
    return node.subtree or (tuple(node.content_ids) or None)


def _count_files(repository: Repository, folders: list[bytes]) -> int:
    """Files in these folders and below; one that is there twice counts twice."""
    count = 0
    waiting = folders.copy()
    while waiting:
        batch = waiting[-BATCH:]
        del waiting[-BATCH:]
        trees = read_trees(repository, batch)
        for node in chain.from_iterable(trees[tree_id].nodes for tree_id in batch):
            if node.subtree:
                waiting.append(node.subtree_id)
            count += node.type == FILE
    return count


def _is_scrambled(repository: Repository, before: Node, after: Node) -> bool:
    return _stored_part(repository, before) < _PACKED and _stored_part(repository, after) > _NOISE


def _stored_part(repository: Repository, node: Node) -> float:
    """Which part of the file's size is stored for it; that of a file without content is neither little nor much."""
    stored = plain = 0
    for blob_id in node.content_ids[:_SAMPLED]:
        location = next(iter(repository.index.locations(BlobType.DATA, blob_id)), None)
        if location is not None:
            stored += location.length
            plain += location.plain_length
    return stored / plain if plain else (_PACKED + _NOISE) / 2
