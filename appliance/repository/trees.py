"""Reading many directories with few requests.

A writer stores trees in the order in which directories are done, so those that are needed together lie together.
Asking for each alone would cost a distant storage's answering time for every directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from appliance.errors import KurabakoError
from appliance.repository.errors import DamagedData
from appliance.repository.ids import BlobType
from appliance.repository.overlap import overlapped
from appliance.repository.reader import WantedBlob, blob_name
from appliance.repository.repository import Repository
from appliance.repository.tree import Tree, decode_tree

BATCH = 256
"""Directories that are worth asking for at once."""

_BATCH_BYTES = 4 << 20
"""Bytes of trees that are decoded at once, but for a single larger one."""


def load_trees(repository: Repository, tree_ids: Iterable[bytes]) -> Iterator[tuple[bytes, Tree | KurabakoError]]:
    """Each directory and what is in it, or why it cannot be read; in no given order."""
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
        for _, trees in overlapped(lambda wanted: list(_read(repository, wanted)), parts):
            yield from trees


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


def _read(repository: Repository, wanted: list[WantedBlob]) -> Iterator[tuple[bytes, Tree | KurabakoError]]:
    for blob, content in repository.read_pack_blobs(wanted):
        if isinstance(content, KurabakoError):
            yield blob.id, content
            continue
        try:
            yield blob.id, decode_tree(content)
        except DamagedData as damage:
            yield blob.id, damage.named(blob_name(blob.type, blob.id))
