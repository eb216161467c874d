"""The planned moments of a schedule, forwards and backwards, in a time zone with its daylight saving.

A local time that the clock skips in spring is planned for the moment of the skip, so no run is lost. One that the
clock shows twice in autumn is planned for the first of the two; only a rule for every hour counts both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.schedule.rule import Rule, ScheduleError, parse_rule
from appliance.text import T

_DAY = timedelta(days=1)
_HORIZON = 9 * 366
"""Days after which a rule that has not come up never will: 29 February is at most eight years away (2096-2104)."""


@dataclass(frozen=True)
class Schedule:
    """Planned local times (`parse_rule` says how they are written) in an IANA time zone.

    Raises `ScheduleError`. Without times nothing is ever planned. Moments given must know their zone; moments
    returned are UTC.
    """

    times: tuple[str, ...]
    timezone: str = "UTC"
    _rules: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", tuple(parse_rule(text) for text in self.times))
        try:
            zone = ZoneInfo(self.timezone)
        except (OSError, ValueError, KeyError):
            raise ScheduleError(T('There is no time zone "{name}".', name=self.timezone)) from None
        object.__setattr__(self, "_zone", zone)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first planned moment later than `moment`; None when nothing is planned."""
        day = moment.astimezone(self._zone).date() - _DAY
        for _ in range(_HORIZON):
            for planned in self._on(day):
                if planned > moment:
                    return planned
            day += _DAY
        return None

    def previous(self, moment: datetime) -> datetime | None:
        """The last planned moment that is not later than `moment`; None when nothing is planned."""
        day = moment.astimezone(self._zone).date() + _DAY
        for _ in range(_HORIZON):
            for planned in reversed(self._on(day)):
                if planned <= moment:
                    return planned
            day -= _DAY
        return None

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The planned moments later than `after` and not later than `until`, the newest first."""
        planned = self.previous(until)
        while planned is not None and planned > after:
            yield planned
            planned = self.previous(planned - timedelta(microseconds=1))

    def _on(self, day: date) -> list[datetime]:
        """The planned moments of one local day, in order."""
        moments: set[datetime] = set()
        for rule in self._rules:
            if rule.on(day):
                for at in rule.times:
                    moments.update(self._moments(day, at, twice=rule.hourly))
        return sorted(moments)

    def _moments(self, day: date, at: time, *, twice: bool) -> Iterator[datetime]:
        first = datetime.combine(day, at, self._zone)
        second = first.replace(fold=1)
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != first.replace(tzinfo=None):
            yield self._skip_between(second.astimezone(UTC), first.astimezone(UTC))
            return
        yield first.astimezone(UTC)
        if twice:
            yield second.astimezone(UTC)

    def _skip_between(self, before: datetime, after: datetime) -> datetime:
        """The moment between two at which the zone's offset changes, to the second."""
        low, high = int(before.timestamp()), int(after.timestamp())
        offset = before.astimezone(self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, self._zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)
