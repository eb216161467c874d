"""Setting a box up: what it did, that it was not done yet, and what keeps it from being done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.storage.interface import PlaceNotFound, Storage, StorageError
from appliance.storage.versions import ObjectLockOff, keeps_versions
from appliance.text import T


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


def require_object_lock(open_cloud: Callable[[], Storage], *, must_answer: bool) -> None:
    """Raises `ObjectLockOff` when the cloud cannot protect backups; what else it raises only if it `must_answer`.

    Each job on the cloud asks again.
    """
    try:
        keeps_versions(open_cloud()).require_object_lock()
    except ObjectLockOff:
        raise
    except StorageError:
        if must_answer:
            raise


def home_gone(place: str, *, in_cloud: bool) -> PlaceNotFound:
    """What to say where a repository was set up and is not there any more; `in_cloud`: the cloud has its backups."""
    return PlaceNotFound(
        T("The backups that were in {place} are not there.", place=place),
        safe=T("Nothing was written. What is in the cloud is unharmed.") if in_cloud else T("Nothing was written."),
        todo=T("Check that its disk is plugged in and mounted, then try again."),
    )
