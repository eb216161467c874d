"""What has to be protected longer, what may go for good, and what somebody else did: looked at, nothing done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from appliance.protection.model import Dated, Protection, ProtectionPlan, by_key, distinct, is_lock
from appliance.repository.ids import CONFIG_KEY, content_id
from appliance.repository.overlap import overlapped
from appliance.status.model import Progress
from appliance.storage.interface import ObjectNotFound, Storage
from appliance.storage.versions import Version, keeps_versions
from appliance.text import T

ASKED_AT_ONCE = 8
"""Dates that are asked for at once: each is a request of its own, and nothing but the way there and back."""

Dates = Mapping[tuple[str, str], datetime | None]
"""By key and version id: until when a version is protected."""


def plan_protection(
    cloud: Storage,
    rules: Protection,
    let_go: Collection[str],
    *,
    now: datetime,
    known: Dates,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ProtectionPlan:
    """What `rules` ask for in `cloud` at `now`. `let_go` are the keys that the box itself deleted.

    A file is needed as long as it is not deleted: an index file names it, or it is one. What was deleted by others
    stays protected too. Dates that are not `known` are asked for, once for each version: about 300 bytes of memory and
    one request each. Raises `ObjectLockOff`, `StorageError`.
    """
    sorting = _Sorting(cloud, let_go)
    for key, group in by_key(keeps_versions(cloud).versions()).items():
        sorting.take(key, group)
    dates = _dates(cloud, (*sorting.keep, *sorting.going), known, on_progress)
    extend = [Dated(version, dates[_name(version)]) for version in sorting.keep]
    going = [Dated(version, dates[_name(version)]) for version in sorting.going]
    waiting = tuple(each for each in going if each.until is not None and each.until > now)
    held = {each.version.key for each in waiting}
    return ProtectionPlan(
        until=rules.until(now),
        extend=tuple(each for each in extend if rules.is_due(each.until, now)),
        free=(
            *sorting.locks,
            *(each.version for each in going if each.until is None or each.until <= now),
            *(marker for marker in sorting.markers if marker.key not in held),
        ),
        waiting=waiting,
        deleted=tuple(sorting.deleted),
        replaced=tuple(sorting.replaced),
        files=len(sorting.keep),
        let_go=frozenset(sorting.hidden),
        dates=dates,
    )


class _Sorting:
    """What is to become of each version."""

    def __init__(self, cloud: Storage, let_go: Collection[str]) -> None:
        self.cloud = cloud
        self.let_go = let_go
        self.hidden: set[str] = set()
        self.keep: list[Version] = []
        self.going: list[Version] = []
        self.locks: list[Version] = []
        self.markers: list[Version] = []
        self.deleted: list[Version] = []
        self.replaced: list[Version] = []

    def take(self, key: str, group: list[Version]) -> None:
        """All versions of a key, the latest first."""
        latest = group[0]
        older = [version for version in group if not version.marker and not version.latest]
        markers = [version for version in group if version.marker]
        if is_lock(key):
            self.locks += older
            self.markers += markers
        elif latest.marker and key in self.let_go:
            self.hidden.add(key)
            self.going += older
            self.markers += markers
        elif latest.marker:
            kept, again = distinct(older)
            self.keep += kept
            self.going += again
            if kept:
                self.deleted.append(latest)
        else:
            self._take_shown(latest, group)
            self.markers += markers

    def _take_shown(self, latest: Version, group: list[Version]) -> None:
        """A key that shows an object. It is never written with other bytes, so others below it need a look.

        A repair puts the right bytes over damaged ones; a config may have been sealed anew.
        """
        (_, *others), again = distinct(group)
        self.keep.append(latest)
        self.going += again
        if not others or latest.key == CONFIG_KEY:
            self.keep += others
        elif self._is_right(latest.key):
            self.going += others
        else:
            self.keep += others
            self.replaced.append(latest)

    def _is_right(self, key: str) -> bool:
        try:
            return content_id(self.cloud.get(key)).hex() == key.rpartition("/")[2]
        except ObjectNotFound:
            return False


def _dates(
    cloud: Storage, versions: Collection[Version], known: Dates, on_progress: Callable[[Progress], None]
) -> dict[tuple[str, str], datetime | None]:
    dates = {_name(version): known[_name(version)] for version in versions if _name(version) in known}
    unknown = [version for version in versions if _name(version) not in dates]
    for version, until in overlapped(lambda each: _asked(cloud, each), unknown, ASKED_AT_ONCE):
        dates[_name(version)] = until
        on_progress(
            Progress(T("Looking how long the backups are protected"), files_done=len(dates), files_total=len(versions))
        )
    return dates


def _asked(cloud: Storage, version: Version) -> datetime | None:
    try:
        return keeps_versions(cloud).protected_until(version.key, version.id)
    except ObjectNotFound:  # gone since it was listed
        return None


def _name(version: Version) -> tuple[str, str]:
    return version.key, version.id


def remembered(dates: Dates, extended: Iterable[Version], until: datetime) -> dict[tuple[str, str], datetime]:
    """The dates after `extended` were protected `until` then; what is without one is asked for again."""
    after = {**dates, **{_name(version): until for version in extended}}
    return {name: date for name, date in after.items() if date is not None}
