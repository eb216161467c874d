"""Restoring files for trial: chosen at random, read as a restore reads them, compared with the source or the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import KurabakoError
from appliance.repository import BlobType, DamagedData, Node, Repository, Snapshot
from appliance.repository.trees import read_trees
from appliance.storage.interface import DamagedAnswer, ObjectNotFound
from appliance.verification.model import Compared, SampledFile

Chance = Callable[[int], int]
"""A random number from 0 to one less than its argument."""

_TRIES = 20
"""How often chance is tried for files that are missing yet, having led to empty folders or to the same file again."""


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
    tries = count * _TRIES
    while snapshots and tries > 0 and (missing := count - len(found)):
        tries -= missing
        chosen = [snapshots[-1 if chance(2) == 0 else chance(len(snapshots))] for _ in range(missing)]
        for candidate in _descend(repository, [_Way(snapshot, snapshot.tree_id) for snapshot in chosen], chance):
            found[candidate.snapshot.id, candidate.path] = candidate
    return list(found.values())


@dataclass(frozen=True)
class _Way:
    """A way down a snapshot: the folder it has come to, and the names that lead there."""

    snapshot: Snapshot
    folder: bytes
    names: tuple[bytes, ...] = ()


def _descend(repository: Repository, ways: Sequence[_Way], chance: Chance) -> Iterator[Candidate]:
    """The file at the end of each way that leads to one; all go down together, since far away each request is slow."""
    while ways:
        trees = read_trees(repository, [way.folder for way in ways])
        onward: list[_Way] = []
        for way in ways:
            nodes = [node for node in trees[way.folder].nodes if node.subtree or node.content]
            if not nodes:
                continue
            node = nodes[chance(len(nodes))]
            names = (*way.names, node.raw_name)
            if node.subtree:
                onward.append(_Way(way.snapshot, node.subtree_id, names))
            else:
                yield Candidate(way.snapshot, names, node)
        ways = onward


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
