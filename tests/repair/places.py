"""A vault and its cloud, and every kind of damage by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from appliance.repair import (
    RepairPlan,
    clear_damaged_locks,
    execute_repair,
    find_damaged_locks,
    open_damaged,
    plan_repair,
)
from appliance.repository import BlobType, FileType, Repository
from appliance.repository.files import file_name
from appliance.storage import MemoryStorage
from appliance.storage.interface import Storage
from tests.support.power import after_reboot, objects_of, storage_of
from tests.support.repository import PASSWORD, new_repository
from tests.upkeep.places import back_up, fresh, noise

Hurt = Callable[[MemoryStorage], None]
Returns = Callable[[str], bool]


def nothing(_: str) -> bool:
    return False


def everything(_: str) -> bool:
    return True


def make_vault() -> MemoryStorage:
    """Three snapshots; each backup has its own packs of data and trees and its own index file."""
    repository = new_repository()
    shared = noise(1)
    back_up(repository, 0, {"shared": shared, "first": noise(2), "small": b"few bytes"})
    back_up(repository, 1, {"shared": shared, "second": noise(3), "again": noise(4)})
    back_up(repository, 2, {"shared": shared, "third": noise(5)})
    assert isinstance(repository.storage, MemoryStorage)
    return repository.storage


def copy_of(storage: Storage) -> MemoryStorage:
    return storage_of(objects_of(storage))


def packs_of(storage: Storage, kind: BlobType) -> list[str]:
    """The keys of the packs with blobs of this type, the largest first."""
    repository = fresh(storage)
    repository.load_index()
    ids = {location.pack_id.hex() for _, location in repository.index.blobs(kind)}
    found = [info for info in storage.list("data") if file_name(info.key) in ids]
    return [info.key for info in sorted(found, key=lambda info: (-info.size, info.key))]


def first(storage: Storage, kind: FileType) -> str:
    return min(info.key for info in storage.list(kind))


def flip(storage: Storage, key: str, at: int) -> None:
    """One bit of the object is no longer what it was; `at` counts from the end when it is negative."""
    data = bytearray(storage.get(key))
    data[at] ^= 4
    storage.put(key, bytes(data))


def cut(storage: Storage, key: str, left: int) -> None:
    storage.put(key, storage.get(key)[:left])


def delete(storage: Storage, *keys: str) -> None:
    for key in keys:
        storage.delete(key)


def keys_of(storage: Storage, kind: FileType) -> list[str]:
    return sorted(info.key for info in storage.list(kind))


def flip_each(storage: Storage, keys: list[str]) -> None:
    for key in keys:
        flip(storage, key, 50)


DATA, TREE = BlobType.DATA, BlobType.TREE

DAMAGES: dict[str, Hurt] = {
    "config missing": lambda place: place.delete("config"),
    "config damaged": lambda place: flip(place, "config", 40),
    "config cut short": lambda place: cut(place, "config", 20),
    "key missing": lambda place: place.delete(first(place, FileType.KEY)),
    "key damaged": lambda place: flip(place, first(place, FileType.KEY), 50),
    "config and key missing": lambda place: delete(place, "config", first(place, FileType.KEY)),
    "lock damaged": lambda place: place.put("locks/" + "ab" * 32, b"half a lock"),
    "snapshot damaged": lambda place: flip(place, first(place, FileType.SNAPSHOT), 60),
    "snapshot empty": lambda place: cut(place, first(place, FileType.SNAPSHOT), 0),
    "index file missing": lambda place: place.delete(first(place, FileType.INDEX)),
    "index file damaged": lambda place: flip(place, first(place, FileType.INDEX), 60),
    "index file cut short": lambda place: cut(place, first(place, FileType.INDEX), 30),
    "every index file missing": lambda place: delete(place, *keys_of(place, FileType.INDEX)),
    "every index file damaged": lambda place: flip_each(place, keys_of(place, FileType.INDEX)),
    "pack of data missing": lambda place: place.delete(packs_of(place, DATA)[0]),
    "pack of data damaged": lambda place: flip(place, packs_of(place, DATA)[0], 100),
    "pack of data cut short": lambda place: cut(place, packs_of(place, DATA)[0], 5000),
    "pack of data empty": lambda place: cut(place, packs_of(place, DATA)[0], 0),
    "pack header damaged": lambda place: flip(place, packs_of(place, DATA)[1], -20),
    "pack header's length damaged": lambda place: flip(place, packs_of(place, DATA)[1], -1),
    "pack of trees missing": lambda place: place.delete(packs_of(place, TREE)[0]),
    "pack of trees damaged": lambda place: flip(place, packs_of(place, TREE)[1], 60),
    "every pack of trees missing": lambda place: delete(place, *packs_of(place, TREE)),
    "every pack missing": lambda place: delete(place, *keys_of(place, FileType.PACK)),
    "index files and a pack missing": lambda place: delete(
        place, packs_of(place, DATA)[0], *keys_of(place, FileType.INDEX)
    ),
    "pack missing, trees damaged": lambda place: (
        place.delete(packs_of(place, DATA)[2]),
        flip(place, packs_of(place, TREE)[0], 70),
    )[0],
}
"""Damages by name; each is what a bad disk, a careless hand or a provider's error leaves."""


def plan(
    storage: Storage, other: Storage | None = None, *, read_data: bool = True, returns: Returns = nothing
) -> RepairPlan:
    helper = fresh(other) if other is not None else None
    patient = open_damaged(storage, PASSWORD, helper)
    found = plan_repair(patient, helper, read_data=read_data, returns=returns)
    return replace(found, damages=(*find_damaged_locks(patient.repository), *found.damages))


def repair(
    storage: Storage,
    other: Storage | None = None,
    *,
    read_data: bool = True,
    renew_config: bool = False,
    returns: Returns = nothing,
) -> RepairPlan:
    """Repairs as the box does after a reboot; what was planned."""
    helper: Repository | None = fresh(other) if other is not None else None
    patient = open_damaged(storage, PASSWORD, helper, renew_config=renew_config)
    repository = patient.repository
    locks = clear_damaged_locks(repository)
    with repository.lock(exclusive=True, owner=after_reboot()):
        planned = plan_repair(patient, helper, read_data=read_data, returns=returns)
        execute_repair(repository, planned, helper)
    return replace(planned, damages=(*locks, *planned.damages))
