"""What protection is made of, as values. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance.repository import FileType
from appliance.repository.ids import CONFIG_KEY, is_hex_id
from appliance.storage.versions import LockMode, ObjectLock, Version

_KINDS = frozenset(FileType) - {FileType.LOCK}


def is_protected(key: str) -> bool:
    """Whether a key is protected: all that is needed to restore.

    Packs, index files and snapshots hold the backups; without a key file and the config, a few hundred bytes that are
    written once, none of them can be read, so deleting those two would be the shorter way to destroy all. Locks live
    for minutes and must go as quickly as they come; nothing is lost with them.
    """
    kind, _, name = key.partition("/")
    return key == CONFIG_KEY or (kind in _KINDS and is_hex_id(name.rpartition("/")[2]))


def is_lock(key: str) -> bool:
    """Whether a key is that of a repository's lock."""
    return key.startswith(f"{FileType.LOCK}/")


@dataclass(frozen=True)
class Protection:
    """How the cloud's files are protected: for `length` from when they are stored, and again as soon as less than
    `margin` of it is left.

    So whatever the repository needs can be brought back for at least `margin` after anybody deleted it.
    """

    mode: LockMode
    length: timedelta
    margin: timedelta

    def until(self, now: datetime) -> datetime:
        """The date that is given at `now`, to the second, as S3 keeps it."""
        return (now + self.length).replace(microsecond=0)

    def is_due(self, until: datetime | None, now: datetime) -> bool:
        """Whether a file protected `until` then has to be protected longer."""
        return until is None or until < now + self.margin

    def object_lock(self, now: Callable[[], datetime]) -> ObjectLock:
        """The same as an option for the cloud's storage."""
        return ObjectLock(self.mode, lambda key: self.until(now()) if is_protected(key) else None)


@dataclass(frozen=True)
class Dated:
    """A version and its date; None: it can be deleted, as far as is known."""

    version: Version
    until: datetime | None


@dataclass(frozen=True)
class ProtectionPlan:
    """What is to be done about the versions in one place.

    `extend` are protected anew, `until` the new date. `free` go for good: first versions, then the markers above them.
    `waiting` go once their dates are over. `deleted` are markers, and `replaced` versions with other bytes, that
    somebody else put over files of the repository. `let_go` are the keys that the box deleted and that are hidden now,
    `dates` all that is known: both are to be remembered.
    """

    until: datetime
    extend: tuple[Dated, ...] = ()
    free: tuple[Version, ...] = ()
    waiting: tuple[Dated, ...] = ()
    deleted: tuple[Version, ...] = ()
    replaced: tuple[Version, ...] = ()
    files: int = 0
    let_go: frozenset[str] = frozenset()
    dates: dict[tuple[str, str], datetime | None] = field(default_factory=dict, repr=False)

    @property
    def bytes_free(self) -> int:
        """What goes now."""
        return sum(version.size for version in self.free)

    @property
    def bytes_waiting(self) -> int:
        """What counts on although it is deleted, until `free_at`."""
        return sum(each.version.size for each in self.waiting)

    @property
    def going(self) -> frozenset[tuple[str, str]]:
        """By key and version id what nobody needs any more; all other dates are those of what is needed."""
        versions = (*self.free, *(each.version for each in self.waiting))
        return frozenset((version.key, version.id) for version in versions)

    @property
    def free_at(self) -> datetime | None:
        """When the last of what waits can go."""
        return max((each.until for each in self.waiting if each.until), default=None)


def by_key(versions: Iterable[Version]) -> dict[str, list[Version]]:
    """The versions of each file of a repository, the latest first, then the newer before the older."""
    found: dict[str, list[Version]] = {}
    for version in versions:
        if is_protected(version.key) or is_lock(version.key):
            found.setdefault(version.key, []).append(version)
    for group in found.values():
        group.sort(key=lambda version: (version.latest, version.at), reverse=True)
    return found


def distinct(versions: Iterable[Version]) -> tuple[list[Version], list[Version]]:
    """Of versions of one key, markers aside, the newest of each content; and those that hold the same once more."""
    first: dict[tuple[int, str], Version] = {}
    again = [
        version
        for version in versions
        if not version.marker and first.setdefault((version.size, version.etag), version) is not version
    ]
    return list(first.values()), again
