"""Restoring for trial and taking stock, on repositories that are whole and on ones that are not."""

from __future__ import annotations

import random

import pytest

from appliance.repository import BlobType, FileType
from appliance.storage import MemoryStorage
from appliance.storage.wrapper import StorageWrapper
from appliance.verification import (
    Candidate,
    NearStorage,
    Original,
    choose_files,
    damages_of,
    list_inventory,
    read_back,
    restore_for_trial,
    take_inventory,
)
from appliance.verification.model import Compared, Portion
from tests.repair.places import copy_of, delete, first, flip, make_vault, packs_of
from tests.upkeep.places import fresh, noise

LIMIT = 1 << 20
SEED = random.randrange(1 << 32)


@pytest.fixture(scope="module")
def original() -> MemoryStorage:
    return make_vault()


@pytest.fixture
def storage(original: MemoryStorage) -> MemoryStorage:
    return copy_of(original)


class File:
    """A file of the source with these bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int) -> bytes:
        part, self.content = self.content[:size], self.content[size:]
        return part

    def close(self) -> None:
        pass


def candidates(storage: MemoryStorage, count: int = 4) -> list[Candidate]:
    repository = fresh(storage)
    repository.load_index()
    print(f"seed {SEED}")
    return choose_files(repository, repository.snapshots(), count, random.Random(SEED).randrange)


CONTENTS = {
    "/share/shared": noise(1),
    "/share/first": noise(2),
    "/share/small": b"few bytes",
    "/share/second": noise(3),
    "/share/again": noise(4),
    "/share/third": noise(5),
}


def no_original(_: Candidate) -> Original | None:
    return None


def test_files_are_found_and_compared(storage: MemoryStorage) -> None:
    repository = fresh(storage)
    repository.load_index()
    found = candidates(storage, 8)
    assert len(found) == 8
    for each in found:
        content = CONTENTS[each.path]
        assert restore_for_trial(repository, each, no_original, LIMIT).found is Compared.RECORD
        result = restore_for_trial(repository, each, lambda _, same=content: File(same), LIMIT)
        assert (result.found, result.size) == (Compared.SOURCE, len(content))
        rotten = bytes([content[0] ^ 1]) + content[1:]
        assert restore_for_trial(repository, each, lambda _, bad=rotten: File(bad), LIMIT).found is Compared.DIFFERENT
        short = content[:-1]
        assert restore_for_trial(repository, each, lambda _, bad=short: File(bad), LIMIT).found is Compared.DIFFERENT


def test_a_file_that_cannot_be_restored_is_told(storage: MemoryStorage) -> None:
    found = candidates(storage, 8)
    for key in packs_of(storage, BlobType.DATA):
        flip(storage, key, 100)
        flip(storage, key, -200)
    repository = fresh(storage)
    repository.load_index()
    results = {each.path: restore_for_trial(repository, each, no_original, LIMIT).found for each in found}
    assert Compared.DAMAGED in results.values()


def test_taking_stock_names_what_is_not_whole(storage: MemoryStorage) -> None:
    whole = take_inventory(fresh(storage))
    assert not whole.damages
    assert sum(whole.packs.values()) == sum(info.size for info in storage.list("data"))
    flip(storage, first(storage, FileType.SNAPSHOT), 50)
    delete(storage, packs_of(storage, BlobType.TREE)[0])
    kinds = [damage.kind for damage in take_inventory(fresh(storage)).damages]
    assert kinds == ["snapshot-damaged", "pack-missing"]
    flip(storage, first(storage, FileType.INDEX), 50)
    assert "index-damaged" in {damage.kind for damage in take_inventory(fresh(storage)).damages}


class Counting(StorageWrapper):
    """Notes what is read from it."""

    def __init__(self, inner: MemoryStorage) -> None:
        super().__init__(inner)
        self.read: list[str] = []

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.read.append(key)
        return super().get(key, offset, length)


def test_stock_is_taken_near_by_and_what_lies_far_away_comes_round_too(storage: MemoryStorage) -> None:
    vault, cloud = copy_of(storage), copy_of(storage)
    damaged = first(cloud, FileType.INDEX), first(cloud, FileType.SNAPSHOT)
    for key in damaged:
        flip(cloud, key, 50)
    only_far = sorted(info.key for info in cloud.list(FileType.SNAPSHOT))[1]
    vault.delete(only_far)
    not_whole_near = sorted(info.key for info in vault.list(FileType.SNAPSHOT))[-1]
    flip(vault, not_whole_near, 50)
    far = Counting(cloud)
    inventory = take_inventory(fresh(storage).at(NearStorage(far, vault)))
    assert not inventory.damages
    assert {key for key in far.read if not key.startswith("keys/")} == {"config", only_far, not_whole_near}
    wanted = tuple(inventory.sizes.items())
    done = read_back(
        fresh(storage).at(cloud),
        Portion(wanted, 0, 0, True, 0),
        inventory.others,
        note=lambda *_: None,
        on_progress=lambda _: None,
        cancelled=lambda: False,
    )
    assert done.packs == len(wanted)
    found = {(damage.kind, damage.name) for damage in damages_of(done.damaged, inventory.others)}
    assert found == {("index-damaged", damaged[0]), ("snapshot-damaged", damaged[1])}


def test_a_listing_alone_knows_what_can_be_read_back(storage: MemoryStorage) -> None:
    assert list_inventory(fresh(storage)).sizes == take_inventory(fresh(storage)).sizes


def test_every_byte_of_a_pack_counts(storage: MemoryStorage) -> None:
    key = packs_of(storage, BlobType.DATA)[0]
    pack_id, size = bytes.fromhex(key[-64:]), storage.stat(key).size
    for at in range(0, size, 997):
        place = copy_of(storage)
        flip(place, key, at)
        noted: list[tuple[bytes, int, bool]] = []
        done = read_back(
            fresh(place),
            Portion(((pack_id, size),), size, size, True, 0),
            note=lambda *one, noted=noted: noted.append(one),
            on_progress=lambda _: None,
            cancelled=lambda: False,
        )
        assert done.damaged == (pack_id,)
        assert noted == [(pack_id, size, False)]
