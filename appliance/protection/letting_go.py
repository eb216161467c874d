"""A storage that notes what is deleted through it, so that what anybody else deleted can be told from it."""

from __future__ import annotations

from collections.abc import Callable

from appliance.protection.model import is_protected
from appliance.storage.interface import Storage
from appliance.storage.wrapper import StorageWrapper


class LettingGo(StorageWrapper):
    """Calls `note` with the key of each protected file before it is deleted."""

    def __init__(self, inner: Storage, note: Callable[[str], None]) -> None:
        super().__init__(inner)
        self._note = note

    def delete(self, key: str) -> None:
        if is_protected(key):
            self._note(key)
        self.inner.delete(key)
