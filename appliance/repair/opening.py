"""Opening a repository whose config or keys are damaged."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from appliance.errors import KurabakoError
from appliance.repair.model import CannotOpen, Damage, NotACopy, Remedy
from appliance.repository import DamagedData, Entropy, FileType, NotARepository, Repository, WrongPassword
from appliance.repository.config import new_config
from appliance.repository.crypto import Sealer
from appliance.repository.files import file_name, list_files
from appliance.repository.ids import CONFIG_KEY
from appliance.repository.opening import find_master_key
from appliance.storage.interface import DamagedAnswer, ObjectInfo, ObjectNotFound, Storage
from appliance.text import T


@dataclass(frozen=True)
class Patient:
    """A repository that can be worked on, and what it is opened with only once it is repaired.

    `config` is the sealed config to be written, None when the one that is there is good; `keys` are key files of the
    other copy, without which no password opens this one. `new_config`: the config is none that was there before.
    """

    repository: Repository
    config: bytes | None = None
    keys: tuple[ObjectInfo, ...] = ()
    new_config: bool = False


def open_damaged(
    storage: Storage,
    password: str,
    other: Repository | None = None,
    *,
    renew_config: bool = False,
    entropy: Entropy = os.urandom,
) -> Patient:
    """Opens what may be damaged; `other` is another copy of the same repository.

    A config that no place has is made anew if `renew_config`: all snapshots can be read with it, but the borders of
    chunks will be others, so that the next backups store everything once more. Raises `NotACopy`, `CannotOpen`,
    `NotARepository` for an empty place, `WrongPassword`, `StorageError`.
    """
    try:
        repository = Repository.open(storage, password)
    except NotARepository:
        if not any(list_files(storage, kind) for kind in (FileType.KEY, FileType.SNAPSHOT, FileType.INDEX)):
            raise
        return _open_broken(storage, password, other, renew_config, entropy)
    except DamagedData:
        return _open_broken(storage, password, other, renew_config, entropy)
    if other is not None and not repository.is_copy_of(other):
        raise NotACopy(storage.location, other.storage.location)
    return Patient(repository)


def _open_broken(
    storage: Storage, password: str, other: Repository | None, renew_config: bool, entropy: Entropy
) -> Patient:
    if other is not None:
        return _open_by(storage, password, other)
    try:
        key_id, master = find_master_key(storage, password)
    except WrongPassword:
        raise
    except DamagedData as damage:
        raise CannotOpen(
            T("No key file in {place} is whole, so nothing in it can be opened.", place=storage.location),
            safe=T("Nothing was changed."),
            todo=T("Repair it from another copy of the repository: the vault from the cloud, or the reverse."),
        ) from damage
    if not renew_config:
        raise CannotOpen(
            T("The config of the repository in {place} is missing or damaged.", place=storage.location),
            safe=T("Nothing was changed. The snapshots are not affected."),
            todo=T(
                "Repair it from another copy of the repository. If there is none, have a new config made with "
                "--renew-config: all snapshots can be read then, and the next backup stores everything once more."
            ),
        )
    config = new_config(entropy)
    sealed = Sealer(master, entropy).seal(config.encode())
    return Patient(Repository(storage, master, config, entropy, key_id=key_id), sealed, new_config=True)


def _open_by(storage: Storage, password: str, other: Repository) -> Patient:
    """Opens with the keys of the other copy, once it is sure that it is one."""
    repository = other.at(storage)
    if not _is_copy(repository, other):
        raise NotACopy(storage.location, other.storage.location)
    config = None
    try:
        if repository.reload_config() != other.config:
            raise NotACopy(storage.location, other.storage.location)
    except (DamagedData, NotARepository):
        config = other.storage.get(CONFIG_KEY)
        other.sealer.open(config)
    keys: tuple[ObjectInfo, ...] = ()
    try:
        find_master_key(storage, password)
    except DamagedData:
        keys = tuple(other.list_files(FileType.KEY))
    return Patient(repository, config, keys)


def _is_copy(repository: Repository, other: Repository) -> bool:
    """Whether anything in the place tells that it is this repository: the config, a key, or what the key opens."""
    with suppress(DamagedData, NotARepository):
        return repository.reload_config() == other.config
    names = {file_name(info.key) for info in other.list_files(FileType.KEY)}
    if any(file_name(info.key) in names for info in repository.list_files(FileType.KEY)):
        return True
    for kind in (FileType.SNAPSHOT, FileType.INDEX):
        for info in repository.list_files(kind):
            with suppress(DamagedData, ObjectNotFound):
                repository.load_json(info)
                return True
    return False


def find_damaged_locks(repository: Repository) -> list[Damage]:
    """Locks that are there and not what was written. They keep everybody out."""
    found = []
    for info in repository.list_files(FileType.LOCK):
        try:
            if info.size:
                repository.load_json(info)
        except ObjectNotFound:
            continue
        except DamagedData:
            found.append(Damage("lock-damaged", info.key, T("It is a lock that nobody can read."), Remedy.DELETE))
    return found


def clear_damaged_locks(repository: Repository) -> list[Damage]:
    """Removes locks that nobody can read: before a repair, which needs a lock of its own."""
    found = find_damaged_locks(repository)
    for lock in found:
        repository.storage.delete(lock.name)
    return found


def is_damage(error: KurabakoError) -> bool:
    """Whether an error tells of a file that is not whole, rather than of a place that does not answer."""
    return isinstance(error, (DamagedData, ObjectNotFound, DamagedAnswer))
