"""Places that keep what is deleted or replaced as older versions, and can keep versions from being deleted at all.

S3 calls the latter Object Lock: a version has a date until which nobody can delete it, and the date can only be moved
later. Deleting a key then puts a *delete marker* on top of its versions, which hides them and can itself be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from appliance.storage.interface import Storage, StorageError
from appliance.text import T


class LockMode(StrEnum):
    """S3's two modes: `GOVERNANCE` can be lifted by who has a right of its own for that, `COMPLIANCE` by nobody."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


@dataclass(frozen=True)
class ObjectLock:
    """The option `object_lock`: how what is put is protected. `until` says by key until when, None for not at all."""

    mode: LockMode
    until: Callable[[str], datetime | None]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key, or a delete marker, which has no bytes.

    `at` is when the place last touched it, by its clock. `etag` tells versions of one key with other bytes apart.
    `latest`: what the key shows now.
    """

    key: str
    id: str
    size: int
    etag: str
    at: datetime
    latest: bool = False
    marker: bool = False


@runtime_checkable
class KeepsVersions(Protocol):
    """A storage that can show and protect versions. The calls may be repeated, as those of `Storage` may."""

    def require_object_lock(self) -> None:
        """Raises `ObjectLockOff` when the place cannot protect what is put there."""
        ...

    def versions(self) -> Iterator[Version]:
        """Every version and delete marker below the storage's root, in no given order."""
        ...

    def get_version(self, key: str, version: str) -> bytes:
        """The bytes of one version. `ObjectNotFound`."""
        ...

    def protected_until(self, key: str, version: str) -> datetime | None:
        """Until when a version cannot be deleted; None when it can, or may not be asked. `ObjectNotFound`."""
        ...

    def protect(self, key: str, version: str, mode: LockMode, until: datetime) -> None:
        """Moves the date of a version to `until`, which is no earlier than it was. `ObjectNotFound`."""
        ...

    def delete_version(self, key: str, version: str) -> None:
        """Deletes a version or marker for good. `AccessDenied` while it is protected; succeeds when there is none."""
        ...


class ObjectLockOff(StorageError):
    """The place cannot protect what is stored there, though the settings ask for it."""

    code = "storage.object-lock-off"

    def __init__(self, location: str) -> None:
        super().__init__(
            T(
                "{location} cannot protect backups from being deleted: Object Lock is not enabled there.",
                location=location,
            ),
            safe=T("Nothing was sent or changed."),
            todo=T(
                "Have the provider make a bucket with Object Lock enabled (not every provider can enable it later), or "
                "take object_lock out of [cloud] in the settings."
            ),
        )


def keeps_versions(storage: Storage) -> KeepsVersions:
    """`storage` as one whose versions can be seen. Raises `ObjectLockOff` where its kind has none."""
    if not isinstance(storage, KeepsVersions):
        raise ObjectLockOff(storage.location)
    return storage
