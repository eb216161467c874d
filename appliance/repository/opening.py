"""Opening a repository: its config and the master key, from places that may hold neither."""

from __future__ import annotations

from appliance.repository.config import Config, decode_config
from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.errors import DamagedData, NotARepository, WrongPassword
from appliance.repository.files import file_name, list_files, load_file
from appliance.repository.ids import CONFIG_KEY, FileType
from appliance.repository.keys import MAX_KEY_FILE, open_key
from appliance.storage.interface import ObjectNotFound, Storage
from appliance.text import T

MAX_CONFIG = 64 << 10


def has_config(storage: Storage) -> bool:
    """Whether a repository was completely made here."""
    try:
        storage.stat(CONFIG_KEY)
    except ObjectNotFound:
        return False
    return True


def load_sealed_config(storage: Storage) -> bytes:
    """The config file as it is stored. Raises `NotARepository`, `DamagedData`."""
    try:
        if storage.stat(CONFIG_KEY).size > MAX_CONFIG:
            raise DamagedData(T("It is larger than it may be."), CONFIG_KEY)
        return storage.get(CONFIG_KEY)
    except ObjectNotFound:
        raise NotARepository(storage.location) from None


def open_config(sealed: bytes, sealer: Sealer) -> Config:
    """What a config file holds. Raises `DamagedData`, `UnsupportedRepository`."""
    try:
        return decode_config(sealer.open(sealed))
    except DamagedData as damage:
        raise damage.named(CONFIG_KEY) from None


def find_master_key(storage: Storage, password: str) -> tuple[str, MasterKey]:
    """The key file's id and what it holds. Raises `WrongPassword`; `DamagedData` when no key file is whole."""
    damage = DamagedData(T("There is no key file."), FileType.KEY)
    whole = 0
    for info in list_files(storage, FileType.KEY):
        try:
            master = open_key(load_file(storage, info, MAX_KEY_FILE), password)
        except DamagedData as error:
            damage = error.named(info.key)
            continue
        if master is not None:
            return file_name(info.key), master
        whole += 1
    raise WrongPassword(storage.location) if whole else damage
