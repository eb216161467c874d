"""One damaged bit, in every kind of file and in every part of it, is found by check and never restored silently."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import KurabakoError
from appliance.repository import Repository
from appliance.repository.check import check
from appliance.repository.pack import read_header
from appliance.restore import execute_restore, plan_restore
from appliance.status.model import Outcome
from appliance.storage import MemoryStorage
from appliance.targets.local import LocalTarget
from tests.support.power import objects_of, storage_of
from tests.support.repository import PASSWORD, new_repository
from tests.upkeep.places import back_up, noise

FILES = {"one": noise(1), "two": noise(2, 500), "text": b"a line that compresses\n" * 2000}
TIMES = 6
"""Bits damaged in each part, at places chosen by chance."""


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    repository = new_repository()
    back_up(repository, 0, FILES)
    return objects_of(repository.storage)


def parts(objects: dict[str, bytes]) -> Iterator[tuple[str, str, int, int]]:
    """Every part of every file: what it is, the file's key, where the part begins and ends."""
    repository = Repository.open(storage_of(objects), PASSWORD)
    for key, data in objects.items():
        kind = key.partition("/")[0]
        if kind != "data":
            yield kind, key, 0, len(data)
            continue
        for blob in read_header(data, repository.sealer):
            yield f"a {blob.type.word} blob's nonce", key, blob.offset, blob.offset + 16
            yield f"a {blob.type.word} blob", key, blob.offset + 16, blob.offset + blob.length - 16
            yield f"a {blob.type.word} blob's tag", key, blob.offset + blob.length - 16, blob.offset + blob.length
            end = blob.offset + blob.length
        yield "a pack's header", key, end, len(data) - 4
        yield "the length of a pack's header", key, len(data) - 4, len(data)


def restored(storage: MemoryStorage, folder: Path) -> tuple[Outcome, dict[str, bytes]]:
    repository = Repository.open(storage, PASSWORD)
    target = LocalTarget(folder)
    (snapshot,) = repository.snapshots()
    report = execute_restore(repository, plan_restore(repository, snapshot, "", target))
    target.close()
    return report.outcome, {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_damaged_bit_is_found_and_not_restored(objects: dict[str, bytes], tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    kinds = set()
    for kind, key, begin, end in parts(objects):
        kinds.add(kind)
        for number in range(TIMES):
            damaged = bytearray(objects[key])
            at = random_.randrange(begin, end)
            damaged[at] ^= 1 << random_.randrange(8)
            storage = storage_of({**objects, key: bytes(damaged)})
            what = f"{kind}, byte {at} of {key}"
            assert is_found(storage), what
            try:
                outcome, files = restored(storage, tmp_path / f"{key.replace('/', '-')}-{begin}-{number}")
            except KurabakoError:
                continue
            for name, content in files.items():
                assert content == FILES[name], what
            assert files.keys() == FILES.keys() or outcome is Outcome.PARTIAL, what
    assert {"config", "keys", "index", "snapshots", "a data blob", "a tree blob", "a pack's header"} <= kinds


def test_a_file_that_is_cut_short_or_gone_is_found(objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        for left in (data[:-1], data[: len(data) // 2], b"", None):
            changed = {other: content for other, content in objects.items() if other != key}
            if left is not None:
                changed[key] = left
            if key.startswith("snapshots/") and left is None:
                continue  # a snapshot that is not there was forgotten, as far as a repository can tell
            assert is_found(storage_of(changed)), f"{key} with {left and len(left)} bytes"


def is_found(storage: MemoryStorage) -> bool:
    """Whether opening the repository or checking it finds something wrong."""
    try:
        return not check(Repository.open(storage, PASSWORD), read_data=True).ok
    except KurabakoError:
        return True
