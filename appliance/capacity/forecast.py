"""On which day a contract will be full: from what was counted so far, and only where that tells it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from statistics import median

LOOKED_AT = 90
"""Days of the past that a forecast is made from."""
RECENT = 14
"""Days whose pace counts by itself, where it is faster: who was warned early can wait, who was warned late cannot."""
LEAST_DAYS = 5
LEAST_SPAN = 7
"""At least so many counted days, so far apart, tell a pace from a chance."""
FARTHEST = 5 * 366
"""Days; what is farther off is not foretold."""


class Unknown(StrEnum):
    """Why no day is foretold."""

    NO_CAPACITY = "no_capacity"
    TOO_SHORT = "too_short"
    """Too few days were counted yet."""
    NOT_GROWING = "not_growing"
    FAR_OFF = "far_off"


@dataclass(frozen=True)
class Counted:
    """Bytes that were counted on a day."""

    on: date
    used: int


@dataclass(frozen=True)
class Forecast:
    """`full_on` is the first day on which the capacity is reached at this pace, or else `unknown` says why not.

    `pace` is bytes a day, 0 where it is not known.
    """

    full_on: date | None
    pace: int = 0
    unknown: Unknown | None = None


def foretell(counted: Iterable[Counted], capacity: int | None, today: date) -> Forecast:
    """When `capacity` bytes are reached. Full already is full today.

    The pace is the median of the slopes between all pairs of days (Theil and Sen), so that one large restore or one
    great clean-up does not make it; of the last ninety days or the last fortnight, whichever is faster.
    """
    if capacity is None:
        return Forecast(None, unknown=Unknown.NO_CAPACITY)
    days = _by_day(one for one in counted if today - timedelta(days=LOOKED_AT) <= one.on <= today)
    if days and days[-1].used >= capacity:
        return Forecast(today)
    paces = [_pace(part) for part in (days, [one for one in days if one.on >= today - timedelta(days=RECENT)])]
    known = [pace for pace in paces if pace is not None]
    if not known:
        return Forecast(None, unknown=Unknown.TOO_SHORT)
    pace = max(known)
    if pace <= 0:
        return Forecast(None, unknown=Unknown.NOT_GROWING)
    left = capacity - days[-1].used
    wait = -(-left // pace)
    if wait > FARTHEST:
        return Forecast(None, pace, Unknown.FAR_OFF)
    return Forecast(max(today, days[-1].on + timedelta(days=wait)), pace)


def _by_day(counted: Iterable[Counted]) -> list[Counted]:
    """The most of each day, in order."""
    most: dict[date, int] = {}
    for one in counted:
        most[one.on] = max(one.used, most.get(one.on, 0))
    return [Counted(on, used) for on, used in sorted(most.items())]


def _pace(days: Sequence[Counted]) -> int | None:
    if len(days) < LEAST_DAYS or (days[-1].on - days[0].on).days < LEAST_SPAN:
        return None
    slopes = [
        (later.used - earlier.used) / (later.on - earlier.on).days
        for number, earlier in enumerate(days)
        for later in days[number + 1 :]
    ]
    return int(median(slopes))
