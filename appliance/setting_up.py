"""Setting a box up: what it did, and that it was not done yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.errors import KurabakoError


class NotSetUp(KurabakoError):
    """Something a job needs is not in the settings, or was not set up yet."""

    code = "box.not-set-up"


@dataclass(frozen=True)
class SetUp:
    """What setting up did: where the recovery key is, whether it is new, and the same of the repository."""

    password_file: Path
    made_key: bool
    place: str
    repository_id: str
    made_repository: bool
