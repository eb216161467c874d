"""Which paths of which snapshots are lost: the snapshots are walked as they will be after the repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from appliance.errors import KurabakoError
from appliance.repair.model import LISTED, Incomplete
from appliance.repair.opening import is_damage
from appliance.repository import BlobType, Repository, Snapshot, Tree
from appliance.repository.trees import BATCH, load_trees
from appliance.status.model import Progress
from appliance.storage.interface import ObjectInfo
from appliance.text import T


class Lost:
    """Stands for a directory that no place has."""


class Finder(Protocol):
    """Who knows where blobs are."""

    @property
    def repository(self) -> Repository: ...

    def place_of(self, key: str) -> Repository: ...

    def find(self, kind: BlobType, blob_id: bytes) -> bool: ...

    def load_tree(self, tree_id: bytes) -> Tree | Lost: ...


def find_losses(
    finder: Finder, infos: Iterable[ObjectInfo], on_progress: Callable[[Progress], None]
) -> tuple[Incomplete, ...]:
    """The snapshots that will not be whole. Every blob that any needs is looked for once."""
    snapshots = [finder.place_of(info.key).load_snapshot(info) for info in infos]
    walk = _Walk(finder, on_progress)
    walk.visit(snapshot.tree_id for snapshot in snapshots)
    if not walk.hurt:
        return ()
    found = (_incomplete(snapshot, walk) for snapshot in sorted(snapshots, key=lambda each: (each.time_ns, each.id)))
    return tuple(each for each in found if each is not None)


@dataclass
class _Hurt:
    """What a directory itself lost: names of files, and subdirectories that cannot be read. `whole`: it all."""

    whole: bool = False
    names: list[str] = field(default_factory=list)


class _Walk:
    def __init__(self, finder: Finder, on_progress: Callable[[Progress], None]) -> None:
        self.finder = finder
        self.on_progress = on_progress
        self.seen: set[bytes] = set()
        self.hurt: dict[bytes, _Hurt] = {}
        self.sound: set[bytes] = set()
        """Directories below which nothing is lost, as far as that was looked at."""

    def visit(self, roots: Iterable[bytes]) -> None:
        waiting = list(roots)
        while waiting:
            batch = [tree_id for tree_id in waiting[-BATCH:] if tree_id not in self.seen]
            del waiting[-BATCH:]
            self.seen.update(batch)
            for tree_id, tree in self.trees(batch):
                waiting.extend(self.look_at(tree_id, tree))
            self.on_progress(Progress(T("Looking for what is lost"), files_done=len(self.seen)))

    def trees(self, batch: Iterable[bytes]) -> Iterator[tuple[bytes, Tree | Lost]]:
        for tree_id, tree in load_trees(self.finder.repository, batch):
            if isinstance(tree, KurabakoError):
                if not is_damage(tree):
                    raise tree
                yield tree_id, self.finder.load_tree(tree_id)
            else:
                yield tree_id, tree

    def look_at(self, tree_id: bytes, tree: Tree | Lost) -> list[bytes]:
        """Its subdirectories."""
        if isinstance(tree, Lost):
            self.hurt[tree_id] = _Hurt(whole=True)
            return []
        names = [
            node.name
            for node in tree.nodes
            if not all(self.finder.find(BlobType.DATA, blob_id) for blob_id in node.content_ids)
        ]
        if names:
            self.hurt[tree_id] = _Hurt(names=names)
        return [node.subtree_id for node in tree.nodes if node.subtree]

    def load(self, tree_id: bytes) -> Tree | Lost:
        return next(tree for _, tree in self.trees([tree_id]))


def _incomplete(snapshot: Snapshot, walk: _Walk) -> Incomplete | None:
    paths: list[str] = []
    count = 0
    for path in _lost_paths(snapshot.tree_id, walk):
        count += 1
        if count <= LISTED:
            paths.append(path)
    return Incomplete(snapshot, tuple(paths), count) if count else None


def _lost_paths(root: bytes, walk: _Walk) -> Iterator[str]:
    """The lost files and directories below `root`. Directories without any are remembered as sound."""
    # (tree, path, subdirectories still to visit, losses counted so far)
    stack: list[tuple[bytes, str, list[tuple[str, bytes]], list[int]]] = []

    def enter(tree_id: bytes, path: str) -> Iterator[str]:
        hurt = walk.hurt.get(tree_id, _Hurt())
        if hurt.whole:
            for *_, losses in stack:
                losses[0] += 1
            yield path or "/"
            return
        for name in hurt.names:
            yield f"{path}/{name}"
        tree = walk.load(tree_id)
        below = [(node.name, node.subtree_id) for node in tree.nodes if node.subtree] if isinstance(tree, Tree) else []
        for *_, losses in stack:
            losses[0] += len(hurt.names)
        stack.append((tree_id, path, below, [len(hurt.names)]))

    yield from enter(root, "")
    while stack:
        tree_id, path, below, losses = stack[-1]
        if below:
            name, subtree = below.pop()
            if subtree not in walk.sound:
                yield from enter(subtree, f"{path}/{name}")
            continue
        stack.pop()
        if not losses[0]:
            walk.sound.add(tree_id)
