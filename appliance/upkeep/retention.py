"""Which snapshots a policy keeps, and why: pure, with the clock and the time zone passed in.

The rules are those of restic's `forget --keep-…`, to the snapshot: counted rules walk a group from the newest
snapshot to the oldest and keep the newest of each hour, day, week (ISO), month or year; a rule that is not used up at
the oldest snapshot keeps that one too; durations count back from the newest snapshot that is not in the future.

Counted rules can be played: somebody who may only add can push real snapshots out with faked later ones. Durations
(`within`) cannot; append-only places are better served by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Self

from appliance.errors import KurabakoError
from appliance.repository import Snapshot
from appliance.text import T, Text

UNLIMITED = -1
"""A count that keeps one snapshot of every period, however old."""


class Period(StrEnum):
    """What a rule keeps one snapshot of; `LAST` keeps each."""

    LAST = "last"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


_NAMES: dict[Period, Callable[[datetime], object]] = {
    Period.HOURLY: lambda moment: (moment.date(), moment.hour),
    Period.DAILY: lambda moment: moment.date(),
    Period.WEEKLY: lambda moment: moment.isocalendar()[:2],
    Period.MONTHLY: lambda moment: (moment.year, moment.month),
    Period.YEARLY: lambda moment: moment.year,
}
"""The period a local time lies in."""


_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)$")
_DURATION = re.compile(r"(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,6})d)?(?:(\d{1,7})h)?")


@dataclass(frozen=True)
class Duration:
    """A time span as calendars count it: `1y6m14d12h`."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The duration written as `1y6m14d12h`, any part left out. Raises `ValueError`."""
        match = _DURATION.fullmatch(text.strip())
        if match is None or not any(match.groups()):
            raise ValueError(f"{text!r} is not a duration; write for example 1y6m14d12h, 30d or 2y")
        return cls(*(int(part or 0) for part in match.groups()))

    def __str__(self) -> str:
        parts = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0h"

    def __bool__(self) -> bool:
        return any((self.years, self.months, self.days, self.hours))

    def before(self, local: datetime) -> datetime:
        """The moment, in UTC, this long before `local` by the clocks of its zone.

        A day that a month does not have runs over into the next, as in Go: 31 March less a month is 3 March.
        """
        month = local.year * 12 + local.month - 1 - self.years * 12 - self.months
        try:
            begin = local.replace(year=month // 12, month=month % 12 + 1, day=1)
            return (begin + timedelta(days=local.day - 1 - self.days)).astimezone(UTC) - timedelta(hours=self.hours)
        except (ValueError, OverflowError):  # before the first year
            return datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Policy:
    """What to keep. A snapshot stays when any rule wants it; a policy without rules keeps everything.

    `counts` holds how many of a period (`UNLIMITED`: all), `within` everything in a duration, `within_periods` one of
    each period in a duration, `tags` sets of tags: who has all of one set stays.
    """

    counts: dict[Period, int] = field(default_factory=dict)
    within: Duration = field(default_factory=Duration)
    within_periods: dict[Period, Duration] = field(default_factory=dict)
    tags: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if any(count < UNLIMITED for count in self.counts.values()):
            raise ValueError("a count is not negative")
        if Period.LAST in self.within_periods:
            raise ValueError("all snapshots within a duration are `within`")

    def __bool__(self) -> bool:
        return any((*self.counts.values(), self.within, *self.within_periods.values(), self.tags))


_OF_PERIOD: dict[Period, Text] = {
    Period.LAST: T("one of the last"),
    Period.HOURLY: T("the last of an hour"),
    Period.DAILY: T("the last of a day"),
    Period.WEEKLY: T("the last of a week"),
    Period.MONTHLY: T("the last of a month"),
    Period.YEARLY: T("the last of a year"),
}


@dataclass(frozen=True)
class Reason:
    """Why a snapshot stays. `match` is how restic's JSON says it, `text` how a person is told."""

    match: str
    text: Text


_POLICY_EMPTY = Reason("policy is empty", T("no rule is given"))


def _reason(period: Period, *, oldest: bool, within: Duration | None = None) -> Reason:
    match = f"{period} snapshot" if within is None else f"{period} within {within}"
    text = T("the oldest of all") if oldest else _OF_PERIOD[period]
    if within is not None:
        text = T("{reason}, within {duration}", reason=text, duration=str(within))
    return Reason(f"oldest {match}" if oldest else match, text)


@dataclass(frozen=True)
class GroupKey:
    """What the snapshots of a group share; None where the grouping does not look at it."""

    hostname: str | None = None
    paths: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None

    def __str__(self) -> str:
        parts = (self.hostname or "", ",".join(self.paths or ()), ",".join(self.tags or ()))
        return " ".join(part for part in parts if part)


class GroupBy(StrEnum):
    """What tells one group of snapshots from another."""

    HOST = "host"
    PATHS = "paths"
    TAGS = "tags"


DEFAULT_GROUPS = (GroupBy.HOST, GroupBy.PATHS)


@dataclass(frozen=True)
class Retained:
    """A policy's word on one group, both parts newest first."""

    key: GroupKey
    keep: tuple[tuple[Snapshot, tuple[Reason, ...]], ...]
    remove: tuple[Snapshot, ...]


class EmptiesGroup(KurabakoError):
    """A policy would leave nothing of a group of snapshots."""

    code = "upkeep.empties-group"

    def __init__(self, key: GroupKey) -> None:
        super().__init__(
            T("By these rules no snapshot of {group} would be left.", group=str(key)),
            safe=T("No snapshot was deleted."),
            todo=T("Add a rule that keeps some, such as the last one, or allow explicitly that all are deleted."),
        )


def group(snapshots: Iterable[Snapshot], by: Sequence[GroupBy] = DEFAULT_GROUPS) -> dict[GroupKey, list[Snapshot]]:
    """The snapshots by what they share, in the order the groups first appear."""
    groups: dict[GroupKey, list[Snapshot]] = {}
    for snapshot in snapshots:
        key = GroupKey(
            snapshot.hostname if GroupBy.HOST in by else None,
            tuple(sorted(snapshot.paths)) if GroupBy.PATHS in by else None,
            tuple(sorted(snapshot.tags)) if GroupBy.TAGS in by else None,
        )
        groups.setdefault(key, []).append(snapshot)
    return groups


def retain(
    snapshots: Iterable[Snapshot],
    policy: Policy,
    *,
    now: datetime,
    zone: tzinfo | None,
    by: Sequence[GroupBy] = DEFAULT_GROUPS,
    may_empty: bool = False,
) -> tuple[Retained, ...]:
    """What `policy` keeps of each group.

    `zone` says when days and months begin; None: by the clock that each snapshot's time is written in, as in restic.
    The box's snapshots tell their time in UTC, so a zone is passed that people live in.

    Raises `EmptiesGroup` when a group would be left with none, unless `may_empty`.
    """
    result = tuple(_retain(key, members, policy, now, zone) for key, members in group(snapshots, by).items())
    for each in result:
        if not each.keep and not may_empty:
            raise EmptiesGroup(each.key)
    return result


def _retain(key: GroupKey, members: list[Snapshot], policy: Policy, now: datetime, zone: tzinfo | None) -> Retained:
    newest_first = sorted(members, key=lambda snapshot: (-snapshot.time_ns, snapshot.id))
    if not policy:
        return Retained(key, tuple((snapshot, (_POLICY_EMPTY,)) for snapshot in newest_first), ())
    latest = next((snapshot for snapshot in newest_first if snapshot.moment < now), None)
    rules: list[_Rule] = [_Tagged(policy.tags)]
    if policy.within:
        rules.append(_Within(_since(policy.within, latest, zone), policy.within))
    # In restic's order, so that reasons read the same.
    rules += [_Counted(period, policy.counts[period], zone) for period in Period if policy.counts.get(period)]
    for period in Period:
        duration = policy.within_periods.get(period)
        if duration:
            rules.append(_Counted(period, UNLIMITED, zone, _since(duration, latest, zone), duration))
    keep: list[tuple[Snapshot, tuple[Reason, ...]]] = []
    remove: list[Snapshot] = []
    for number, snapshot in enumerate(newest_first, start=1):
        oldest = number == len(newest_first)
        reasons = tuple(reason for rule in rules for reason in rule.reasons(snapshot, oldest))
        if reasons:
            keep.append((snapshot, reasons))
        else:
            remove.append(snapshot)
    return Retained(key, tuple(keep), tuple(remove))


def _since(duration: Duration, latest: Snapshot | None, zone: tzinfo | None) -> int:
    """Nanoseconds since 1970: what is later is within the duration."""
    if latest is None:  # all snapshots are in the future, and so within any duration
        return -1 << 62
    begin = duration.before(_local(latest, zone)) - datetime(1970, 1, 1, tzinfo=UTC)
    return begin // timedelta(microseconds=1) * 1000 + latest.time_ns % 1000


def _local(snapshot: Snapshot, zone: tzinfo | None) -> datetime:
    """The snapshot's time by the clocks of `zone`, or by the offset from UTC that is written in it."""
    if zone is None:
        written = _OFFSET.search(snapshot.time)
        offset = timedelta() if written is None else timedelta(hours=int(written[2]), minutes=int(written[3]))
        zone = timezone(-offset if written and written[1] == "-" else offset)
    return snapshot.moment.astimezone(zone)


class _Rule:
    """Asked about the snapshots of one group, the newest first."""

    def reasons(self, snapshot: Snapshot, oldest: bool) -> Iterable[Reason]:
        raise NotImplementedError


class _Tagged(_Rule):
    def __init__(self, tags: tuple[tuple[str, ...], ...]) -> None:
        self._tags = tags

    def reasons(self, snapshot: Snapshot, oldest: bool) -> Iterable[Reason]:  # noqa: ARG002
        for wanted in self._tags:
            if set(wanted) <= set(snapshot.tags):
                yield Reason(f"has tags [{', '.join(wanted)}]", T("has the tags {tags}", tags=", ".join(wanted)))


class _Within(_Rule):
    def __init__(self, since_ns: int, duration: Duration) -> None:
        self._since_ns = since_ns
        self._duration = duration

    def reasons(self, snapshot: Snapshot, oldest: bool) -> Iterable[Reason]:  # noqa: ARG002
        if snapshot.time_ns > self._since_ns:
            yield Reason(f"within {self._duration}", T("within {duration}", duration=str(self._duration)))


class _Counted(_Rule):
    """One snapshot of each period, `count` of them, later than `since_ns` if that is given."""

    def __init__(
        self,
        period: Period,
        count: int,
        zone: tzinfo | None,
        since_ns: int | None = None,
        duration: Duration | None = None,
    ) -> None:
        self._period = period
        self._left = count
        self._zone = zone
        self._since_ns = since_ns
        self._duration = duration
        self._current: object = None

    def reasons(self, snapshot: Snapshot, oldest: bool) -> Iterable[Reason]:
        if not self._left or (self._since_ns is not None and snapshot.time_ns <= self._since_ns):
            return
        current: object = snapshot.id
        if self._period is not Period.LAST:
            current = _NAMES[self._period](_local(snapshot, self._zone))
        same = current == self._current
        if same and not oldest:
            return
        self._current = current
        if self._left > 0:
            self._left -= 1
        yield _reason(self._period, oldest=same, within=self._duration)
