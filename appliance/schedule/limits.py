"""How much of the line may be used when: windows of the week, as people write them. Pure; the clock is passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.schedule.rule import ScheduleError, weekdays_of
from appliance.text import T
from appliance.units import parse_size

_SPAN = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)")


@dataclass(frozen=True)
class Window:
    """On these weekdays (0 is Monday), from `begin` until `end` of the clock, at most `rate` bytes a second.

    A window whose end is not after its begin goes on into the next day.
    """

    weekdays: frozenset[int]
    begin: time
    end: time
    rate: int

    def holds(self, local: datetime) -> bool:
        """Whether the local time lies in the window."""
        at, today, yesterday = local.time(), local.weekday(), (local - timedelta(days=1)).weekday()
        if self.begin < self.end:
            return today in self.weekdays and self.begin <= at < self.end
        return (today in self.weekdays and at >= self.begin) or (yesterday in self.weekdays and at < self.end)


def parse_window(text: str) -> Window:
    """The window that `text` writes: `mon-fri 08:00-18:00 1 MB`, `22:00-06:00 500 kB`. `ScheduleError`."""
    words = text.casefold().split()
    span = next((number for number, word in enumerate(words) if _SPAN.fullmatch(word)), None)
    if span is None or span > 1 or span == len(words) - 1:
        raise _not_a_window(text)
    match = _SPAN.fullmatch(words[span])
    assert match is not None
    try:
        rate = parse_rate(" ".join(words[span + 1 :]))
    except ValueError:
        raise _not_a_window(text) from None
    end = time(int(match[3]), int(match[4])) if match[3] else time()
    weekdays = weekdays_of(text, words[0]) if span else frozenset(range(7))
    return Window(weekdays, time(int(match[1]), int(match[2])), end, rate)


LEAST_RATE = 1000
"""Bytes a second below which nothing would ever arrive; to send nothing at all, transfers are paused."""


def parse_rate(text: str) -> int:
    """Bytes a second: `2 MB`, `500 kB/s`. Raises `ValueError`."""
    rate = parse_size(text.strip().removesuffix("/s"))
    if rate < LEAST_RATE:
        raise ValueError(f"{text!r} is less than {LEAST_RATE} bytes a second; to send nothing, pause transfers")
    return rate


def _not_a_window(text: str) -> ScheduleError:
    return ScheduleError(
        T('"{text}" is no window of the week with a rate.', text=text),
        T("Write for example mon-fri 08:00-18:00 1 MB, or 22:00-06:00 500 kB; at least 1 kB."),
    )


@dataclass(frozen=True)
class RateSchedule:
    """Windows of the week with rates, in an IANA time zone. Raises `ScheduleError` for a window that makes no sense."""

    windows: tuple[str, ...]
    timezone: str = "UTC"
    _windows: tuple[Window, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_windows", tuple(parse_window(text) for text in self.windows))

    def rate_at(self, moment: datetime) -> int | None:
        """Bytes a second at `moment`: the least of the windows that hold then; None when there is none."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        return min((window.rate for window in self._windows if window.holds(local)), default=None)
