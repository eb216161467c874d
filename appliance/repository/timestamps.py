"""Times as restic writes them: RFC 3339 with up to nanoseconds, always in UTC (format 1.8).

UTC because a change of the host's time zone must not rewrite every tree.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

from appliance.repository.errors import DamagedData
from appliance.text import T

_NANOSECONDS = 1_000_000_000
_MIN_SECONDS = -62_167_219_200  # 0000-01-01T00:00:00Z, the first moment Go can write as JSON
_MAX_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z, the last
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:[.,](\d{1,30}))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def format_time(ns: int) -> str:
    """`ns` nanoseconds since 1970 as `2024-01-02T03:04:05.123456789Z`; moments outside years 0..9999 are clamped."""
    seconds, fraction = divmod(ns, _NANOSECONDS)
    if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:
        seconds, fraction = (_MIN_SECONDS, 0) if seconds < 0 else (_MAX_SECONDS, _NANOSECONDS - 1)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    if fraction:
        return f"{text}.{fraction:09d}".rstrip("0") + "Z"
    return text + "Z"


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 UTC of a time in any zone. Raises `DamagedData` when it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise DamagedData(T("A time in it is not valid."))
    minutes, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    seconds = _minutes(minutes) * 60 + int(second)
    if second >= "60":
        raise DamagedData(T("A time in it is not valid."))
    if sign:
        offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * _NANOSECONDS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


@lru_cache(maxsize=4096)
def _minutes(text: str) -> int:
    """Minutes since 1970 of `2024-01-02T03:04`; many files share one, and the calendar is the slow part."""
    year, month, day, hour, minute = int(text[:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), int(text[14:])
    if not (1 <= month <= 12 and 1 <= day <= _DAYS_IN_MONTH[month - 1] and hour < 24 and minute < 60):
        raise DamagedData(T("A time in it is not valid."))
    return (_days(year, month, day) * 24 + hour) * 60 + minute


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar, year 0 included (which `datetime` cannot)."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def from_datetime(moment: datetime) -> str:
    """An aware `datetime` as text."""
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return format_time(((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000)


def to_datetime(text: str) -> datetime:
    """The moment in UTC, cut to microseconds. Raises `DamagedData` when it is none or before year 1."""
    seconds, fraction = divmod(parse_time(text), _NANOSECONDS)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction // 1000)
    except (ValueError, OverflowError, OSError):
        raise DamagedData(T("A time in it is not valid.")) from None
