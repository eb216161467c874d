"""Bringing back what was deleted or overwritten where versions are kept. No version is ever deleted for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.protection.model import by_key, distinct, is_lock
from appliance.repository.ids import CONFIG_KEY, content_id
from appliance.repository.overlap import overlapped
from appliance.status.model import Progress
from appliance.storage.interface import Storage, StorageError
from appliance.storage.versions import Version, keeps_versions
from appliance.text import T


@dataclass(frozen=True)
class UndeletePlan:
    """`markers` are taken away, which shows what is `below` them again; the right bytes of `renew` are put anew."""

    markers: tuple[Version, ...] = ()
    below: tuple[Version, ...] = ()
    renew: tuple[Version, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the files that come back."""
        return sum(version.size for version in (*self.below, *self.renew))

    @property
    def bytes_put(self) -> int:
        """Bytes that are stored once more."""
        return sum(version.size for version in self.renew)


def plan_undelete(storage: Storage, wanted: Callable[[Version], bool]) -> UndeletePlan:
    """What brings back the files of a repository; `wanted` says of what lies on top of each whether it is to go.

    That is a delete marker, or a version with other bytes than those below it: then the bytes that the file's name
    tells are looked for, and the oldest config. Raises `ObjectLockOff` where no versions are kept, `StorageError`.
    """
    markers: list[Version] = []
    below: list[Version] = []
    renew: list[Version] = []
    for key, group in by_key(keeps_versions(storage).versions()).items():
        contents, _ = distinct(group)
        if is_lock(key) or not contents or not wanted(group[0]):
            continue
        right = contents[0] if len(contents) == 1 else _right(storage, contents)
        if group[0].marker:
            markers += (version for version in group if version.marker)
            below.append(contents[0])
        # Which of several contents a key shows without its markers is not sure: some places tell no reliable order.
        if right is not None and (right is not contents[0] or (group[0].marker and len(contents) > 1)):
            renew.append(right)
    return UndeletePlan(tuple(markers), tuple(below), tuple(renew))


def execute_undelete(
    plan: UndeletePlan, storage: Storage, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> None:
    """Does what `plan` says; may be ended anywhere, and planned again. Raises `StorageError`."""

    def uncover(marker: Version) -> None:
        keeps_versions(storage).delete_version(marker.key, marker.id)

    def renew(version: Version) -> None:
        storage.put(version.key, keeps_versions(storage).get_version(version.key, version.id))

    total = len(plan.markers) + len(plan.renew)
    done = 0
    for work, versions in ((uncover, plan.markers), (renew, plan.renew)):
        for _ in overlapped(work, versions):
            done += 1
            on_progress(Progress(T("Bringing back what was deleted"), files_done=done, files_total=total))


def _right(storage: Storage, contents: list[Version]) -> Version | None:
    """Of versions with different bytes the one that the file is named by, the newest first; None when none is."""
    if contents[0].key == CONFIG_KEY:
        return contents[-1]
    for version in contents:
        try:
            data = keeps_versions(storage).get_version(version.key, version.id)
        except StorageError:
            continue
        if content_id(data).hex() == version.key.rpartition("/")[2]:
            return version
    return None
