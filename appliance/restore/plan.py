"""What a restore will do: which files come back, from which packs, and whether they fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from appliance.errors import KurabakoError
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot, WantedBlob
from appliance.repository.tree import DIR, FILE, Tree, is_valid_name
from appliance.repository.trees import BATCH, load_trees
from appliance.targets.interface import RestoreTarget
from appliance.text import T, Text
from appliance.units import format_size

Names = tuple[bytes, ...]
"""A path below the target; `()` is the target itself."""

_HARDLY_ANY = 100
"""A blob that shrank to less than this part of its size may well be all zeros."""


class PathNotInSnapshot(KurabakoError):
    """The snapshot has nothing at this path."""

    code = "restore.path-not-found"

    def __init__(self, path: str, snapshot: str) -> None:
        super().__init__(
            T("There is no {path} in snapshot {snapshot}.", path=path, snapshot=snapshot),
            todo=T("List the snapshot's files to see how they are named."),
        )


class NotEnoughSpace(KurabakoError):
    """The target's disk cannot hold what is to be restored."""

    code = "restore.no-space"

    def __init__(self, target: str, needed: int, free: int) -> None:
        super().__init__(
            T(
                "The restore needs {needed}, but {target} has only {free} free.",
                needed=format_size(needed),
                target=target,
                free=format_size(free),
            ),
            safe=T("Nothing was written."),
            todo=T("Make room, choose another target, or restore only a part of the snapshot."),
        )


@dataclass(frozen=True)
class Failure:
    """A path that was not, or not fully, restored, and why. `path` is for people, below the target."""

    path: str
    why: Text


@dataclass(slots=True, eq=False)
class PlannedFile:
    """A regular file to be written; `blobs` counts the pieces that it is written in."""

    path: Names
    node: Node
    blobs: int = 0


@dataclass
class RestorePlan:
    """A restore to be.

    `folders` come before what they hold; `links` are further names of files in `files`; `others` are symbolic links,
    devices, pipes and sockets. `packs` lists for each pack the blobs needed of it, and `places` for each blob where
    it goes: (file, offset). All zeros are not written: `needed_bytes` counts what takes room. `problems` are paths
    that cannot be restored, found before the start.
    """

    snapshot: Snapshot
    target: RestoreTarget
    folders: list[tuple[Names, Node]] = field(default_factory=list)
    files: list[PlannedFile] = field(default_factory=list)
    links: list[tuple[Names, PlannedFile]] = field(default_factory=list)
    others: list[tuple[Names, Node]] = field(default_factory=list)
    packs: dict[bytes, list[WantedBlob]] = field(default_factory=dict)
    places: dict[bytes, list[tuple[PlannedFile, int]]] = field(default_factory=dict)
    problems: list[Failure] = field(default_factory=list)
    total_bytes: int = 0
    needed_bytes: int = 0


def plan_restore(repository: Repository, snapshot: Snapshot, subpath: str, target: RestoreTarget) -> RestorePlan:
    """Plans to restore a snapshot, or what is at `subpath` in it, into `target`.

    As with restic, the content of a directory named by `subpath` comes directly into the target; a file keeps its
    name there. The repository's index is loaded if that has not been done. Nothing is written. Raises
    `PathNotInSnapshot`, `NotEnoughSpace`, `DamagedData`, and what reading the repository raises.
    """
    if not repository.index.packs():
        repository.load_index()
    planner = _Planner(repository, RestorePlan(snapshot, target))
    start = planner.find(subpath)
    if start is None:
        planner.add_tree((), snapshot.tree_id)
    elif start.type == DIR:
        planner.plan.folders.append(((), start))
        planner.add_tree((), start.subtree_id)
    else:
        planner.add_nodes((), [start])
    return planner.finish()


class _Planner:
    def __init__(self, repository: Repository, plan: RestorePlan) -> None:
        self._repository = repository
        self.plan = plan
        self._linked: dict[tuple[int, int], PlannedFile] = {}
        self._zeros: dict[int, bytes] = {}

    def find(self, subpath: str) -> Node | None:
        """The node at `subpath`, None for the snapshot's root. Raises `PathNotInSnapshot`."""
        node: Node | None = None
        for name in subpath.encode("utf-8", "surrogateescape").split(b"/"):
            if not name:
                continue
            if node is not None and node.type != DIR:
                raise PathNotInSnapshot(subpath, self.plan.snapshot.short_id)
            tree = self._repository.load_tree(self.plan.snapshot.tree_id if node is None else node.subtree_id)
            node = tree.find(name)
            if node is None:
                raise PathNotInSnapshot(subpath, self.plan.snapshot.short_id)
        return node

    def add_tree(self, path: Names, tree_id: bytes) -> None:
        """Plans everything below a directory, however deep; the folders found last first, so that few wait."""
        waiting = [(path, tree_id)]
        while waiting:
            batch: dict[bytes, list[Names]] = {}
            for path, tree_id in waiting[-BATCH:]:
                batch.setdefault(tree_id, []).append(path)
            del waiting[-BATCH:]
            for tree_id, tree in load_trees(self._repository, batch):
                for path in batch[tree_id]:
                    if isinstance(tree, Tree):
                        waiting.extend(self.add_nodes(path, tree.nodes))
                    elif isinstance(tree, DamagedData):
                        self._problem(path, tree)
                    else:
                        raise tree

    def add_nodes(self, path: Names, nodes: list[Node]) -> list[tuple[Names, bytes]]:
        """Plans the nodes of one directory; returns its directories with their trees."""
        below: list[tuple[Names, bytes]] = []
        seen: set[bytes] = set()
        for node in nodes:
            try:
                name = node.raw_name
                if not is_valid_name(name) or name in seen:
                    raise DamagedData(T("A folder holds a name that cannot be used as one, or holds it twice."))
                seen.add(name)
                here = (*path, name)
                if node.type == DIR:
                    below.append((here, node.subtree_id))
                    self.plan.folders.append((here, node))
                elif node.type == FILE:
                    self._add_file(here, node)
                else:
                    self.plan.others.append((here, node))
            except DamagedData as damage:
                self._problem((*path, node.name.encode("utf-8", "replace")), damage)
        return below

    def _add_file(self, path: Names, node: Node) -> None:
        if node.links > 1 and node.inode:
            first = self._linked.setdefault((node.inode, node.device_id), PlannedFile(path, node))
            # The same numbers can mean different files where different sources met; their content tells.
            if first.path != path and first.node.content == node.content and first.node.mtime == node.mtime:
                self.plan.links.append((path, first))
                return
            file = first if first.path == path else PlannedFile(path, node)
        else:
            file = PlannedFile(path, node)
        self._add_content(file, node.content_ids)

    def _add_content(self, file: PlannedFile, ids: list[bytes]) -> None:
        located = []
        offset = 0
        for blob_id in ids:
            wanted = WantedBlob(BlobType.DATA, blob_id, self._repository.blob_location(BlobType.DATA, blob_id))
            located.append((wanted, offset))
            offset += wanted.location.plain_length
        file.node.size = offset
        for wanted, at in located:
            size = wanted.location.plain_length
            if self._is_zeros(wanted, size):
                continue
            file.blobs += 1
            self.plan.needed_bytes += size
            places = self.plan.places.get(wanted.id)
            if places is None:
                self.plan.places[wanted.id] = [(file, at)]
                self.plan.packs.setdefault(wanted.location.pack_id, []).append(wanted)
            else:
                places.append((file, at))
        self.plan.total_bytes += offset
        self.plan.files.append(file)

    def _is_zeros(self, blob: WantedBlob, size: int) -> bool:
        """Whether the blob is nothing but zeros: then its place in the file stays a hole, and it is not fetched."""
        if blob.location.length * _HARDLY_ANY > size:
            return False
        zeros = self._zeros.get(size)
        if zeros is None:
            zeros = self._zeros[size] = sha256(bytes(size)).digest()
        return blob.id == zeros

    def _problem(self, path: Names, damage: DamagedData) -> None:
        self.plan.problems.append(Failure(display(path), damage.what))

    def finish(self) -> RestorePlan:
        """The plan, once it is known to fit. Raises `NotEnoughSpace`."""
        target = self.plan.target
        free = target.free_bytes()
        if free is not None and self.plan.needed_bytes > free:
            raise NotEnoughSpace(target.title, self.plan.needed_bytes, free)
        return self.plan


def display(path: Names) -> str:
    """The path as a person sees it; bytes that are no UTF-8 are shown as `\\xNN`."""
    return b"/".join(path).decode("utf-8", "backslashreplace")
