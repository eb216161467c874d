"""What is known of the servers on the network, kept in a file between two looks and for every process of the box."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

from appliance.text import Text
from appliance_smb.announced import Announced

log = logging.getLogger(__name__)

_LARGEST = 8 << 20


class ListedShare(msgspec.Struct, frozen=True):
    """A share that its server listed, with what its administrator wrote about it."""

    name: str
    remark: str = ""


class Listed(msgspec.Struct, frozen=True):
    """The shares that a server listed last, and what has stood in the way since (a `Text` as JSON)."""

    shares: tuple[ListedShare, ...] = ()
    trouble: dict[str, Any] | None = None

    @property
    def why_not(self) -> Text | None:
        return Text.from_json(self.trouble) if self.trouble else None


class Known(msgspec.Struct, frozen=True):
    """The servers that announced themselves, and what those that a person named listed, by `server_id`.

    `at` is when they were asked, in seconds since 1970.
    """

    announced: tuple[Announced, ...] = ()
    listed: dict[str, Listed] = {}
    at: float = 0.0

    def address_of(self, server: str) -> str:
        """Where the server that a person wrote as `server` announced itself; empty if it did not."""
        return next((one.addresses[0] for one in self.announced if one.is_called(server)), "")


class Record:
    """`Known` in a file; without a `path`, nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Known:
        """What was written last; nothing when there is nothing that can be read."""
        try:
            if self._path is None or self._path.stat().st_size > _LARGEST:
                return Known()
            return msgspec.json.decode(self._path.read_bytes(), type=Known)
        except FileNotFoundError:
            return Known()
        except (OSError, ValueError) as error:
            log.warning("%s is not readable and begins anew: %s", self._path, error)
            return Known()

    def write(self, known: Known) -> None:
        """Replaces what is there, at once or not at all."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(known))
            new.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)


def record_in(state_dir: Path) -> Record:
    """The record of a box, or none where there is no box."""
    return Record(state_dir / "smb" / "servers.json" if state_dir.is_dir() else None)
