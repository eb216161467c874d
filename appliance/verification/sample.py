"""Restoring files for trial: chosen at random, read as a restore reads them, compared with the source or the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import KurabakoError
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot
from appliance.storage.interface import DamagedAnswer, ObjectNotFound
from appliance.verification.model import Compared, SampledFile

Chance = Callable[[int], int]
"""A random number from 0 to one less than its argument."""

_TRIES = 20
"""How often chance may lead to a folder without files before a sample is given up."""


class Original(Protocol):
    """A file of the source that is unchanged since it was backed up, to be read from its beginning."""

    def read(self, size: int) -> bytes:
        """The next bytes, fewer than `size` only at the end. Raises a `KurabakoError` for what cannot be read."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Candidate:
    """A file to be restored for trial."""

    snapshot: Snapshot
    names: tuple[bytes, ...]
    node: Node

    @property
    def path(self) -> str:
        """The path as people read it."""
        return "/" + "/".join(name.decode("utf-8", "replace") for name in self.names)


def choose_files(repository: Repository, snapshots: Sequence[Snapshot], count: int, chance: Chance) -> list[Candidate]:
    """`count` files, or as many as chance finds, each down a random way in a random snapshot.

    Half of them are in the newest. Raises what reading a directory raises.
    """
    found: dict[tuple[str, str], Candidate] = {}
    for _ in range(count * _TRIES):
        if len(found) >= count or not snapshots:
            break
        newest = chance(2) == 0
        snapshot = snapshots[-1] if newest else snapshots[chance(len(snapshots))]
        candidate = _descend(repository, snapshot, chance)
        if candidate is not None:
            found[snapshot.id, candidate.path] = candidate
    return list(found.values())


def _descend(repository: Repository, snapshot: Snapshot, chance: Chance) -> Candidate | None:
    tree = snapshot.tree_id
    names: tuple[bytes, ...] = ()
    while True:
        nodes = [node for node in repository.load_tree(tree).nodes if node.subtree or node.content]
        if not nodes:
            return None
        node = nodes[chance(len(nodes))]
        names = (*names, node.raw_name)
        if not node.subtree:
            return Candidate(snapshot, names, node)
        tree = node.subtree_id


FindOriginal = Callable[[Candidate], Original | None]
"""The source's file behind one of a snapshot; None when it has changed or is not there."""


def restore_for_trial(
    repository: Repository, candidate: Candidate, find_original: FindOriginal, limit: int
) -> SampledFile:
    """Restores a file and compares it; of one that is larger than `limit` bytes, only the beginning.

    Every part is proven to be what its SHA-256 says. Raises a storage's error that tells of no damage.
    """
    snapshot, path, node = candidate.snapshot, candidate.path, candidate.node
    original = find_original(candidate)
    size, equal, compared = 0, True, original is not None
    try:
        for data in _contents(repository, node, limit):
            size += len(data)
            if original is not None and equal and compared:
                try:
                    equal = original.read(len(data)) == bytes(data)
                except KurabakoError:
                    compared = False
    except (DamagedData, DamagedAnswer, ObjectNotFound):
        return SampledFile(snapshot.id, path, node.size, size, Compared.DAMAGED)
    finally:
        if original is not None:
            original.close()
    whole = size == node.size or size >= limit
    if not whole:
        found = Compared.DAMAGED
    elif not compared:
        found = Compared.RECORD
    else:
        found = Compared.SOURCE if equal else Compared.DIFFERENT
    return SampledFile(snapshot.id, path, node.size, size, found)


def _contents(repository: Repository, node: Node, limit: int) -> Iterator[bytes | bytearray | memoryview]:
    done = 0
    for blob_id in node.content_ids:
        if done >= limit:
            return
        data = repository.load_blob(BlobType.DATA, blob_id)
        done += len(data)
        yield data
