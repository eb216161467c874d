"""Reading a file of the vault so that nothing damaged is ever sent."""

from __future__ import annotations

from appliance.repository import DamagedData, Repository
from appliance.repository.ids import CONFIG_KEY, content_id
from appliance.text import T


def read_whole(vault: Repository, key: str) -> bytes:
    """A file of the vault, verified: against its name, and the config by opening it. Raises `DamagedData`."""
    content = vault.storage.get(key)
    if key == CONFIG_KEY:
        vault.sealer.open(content)
    elif content_id(content).hex() != key.rpartition("/")[2]:
        raise DamagedData(T("Its content does not match its name."), key)
    return content
