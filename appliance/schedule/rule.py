"""One planned local time, as people write it: `02:00`, `mon-fri 02:00`, `30 2 * * sat,sun`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time

from appliance.errors import KurabakoError
from appliance.text import T, Text

_WEEKDAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class ScheduleError(KurabakoError, ValueError):
    """A planned time or a time zone that makes no sense. A `ValueError` too, for validators of settings."""

    code = "schedule.invalid"

    def __init__(self, what: Text, todo: Text | None = None) -> None:
        super().__init__(
            what,
            todo=todo
            or T(
                "Write a time such as 02:00, one with weekdays such as mon-fri 02:00, or the five fields of cron such "
                "as 30 2 * * sat,sun."
            ),
        )


@dataclass(frozen=True)
class Rule:
    """A planned local time: at `times`, on the days that `on` accepts.

    `hourly`: the rule holds for every hour of the day, so that an hour the clock shows twice counts twice.
    Weekdays are 0 (Monday) to 6. As in cron, when both days of the month and weekdays are limited, a day that is
    either is meant (`either`).
    """

    times: tuple[time, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool = False
    hourly: bool = False

    def on(self, day: date) -> bool:
        """Whether the rule holds on this day."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.weekday() in self.weekdays
        return (of_month or of_week) if self.either else (of_month and of_week)


def parse_rule(text: str) -> Rule:
    """The rule that `text` writes: `HH:MM`, weekdays and `HH:MM`, or five cron fields. `ScheduleError`."""
    words = text.casefold().split()
    if words and _CLOCK.fullmatch(words[-1]) and len(words) <= 2:
        hour, minute = words[-1].split(":")
        weekdays = weekdays_of(text, words[0]) if len(words) == 2 else _all(0, 6)
        return Rule((time(int(hour), int(minute)),), _all(1, 31), _all(1, 12), weekdays)
    if len(words) == 5:
        return _cron(text, words)
    raise ScheduleError(T('"{text}" is not a planned time.', text=text))


def weekdays_of(text: str, word: str) -> frozenset[int]:
    """The weekdays (0 is Monday) that `word` names: `mon-fri`, `sat,sun`. Raises `ScheduleError` about `text`."""
    return _field(text, word, _Numbers(0, 6, _WEEKDAYS, wraps=True))


def _cron(text: str, words: list[str]) -> Rule:
    """Minute, hour, day of month, month, weekday (0 or 7 is Sunday), as crontab(5) describes them."""
    minutes = _field(text, words[0], _Numbers(0, 59))
    hours = _field(text, words[1], _Numbers(0, 23))
    days = _field(text, words[2], _Numbers(1, 31))
    months = _field(text, words[3], _Numbers(1, 12, _MONTHS))
    names = {name: (number + 1) % 7 for name, number in _WEEKDAYS.items()}
    weekdays = frozenset((number - 1) % 7 for number in _field(text, words[4], _Numbers(0, 7, names, wraps=True)))
    either = not words[2].startswith("*") and not words[4].startswith("*")
    if not either and min(days) > max(_LONGEST.get(month, 31) for month in months):
        raise ScheduleError(T('"{text}" names a day that no month has.', text=text))
    times = tuple(time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes))
    return Rule(times, days, months, weekdays, either, hourly=len(hours) == 24)


def _all(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 1))


@dataclass(frozen=True)
class _Numbers:
    """What a field may hold: numbers, names for them, and whether a range may pass the end (`sat-mon`)."""

    first: int
    last: int
    names: dict[str, int] | None = None
    wraps: bool = False

    def one(self, text: str, word: str) -> int:
        number = (self.names or {}).get(word[:3] if word.isalpha() else word)
        if number is None and word.isascii() and word.isdigit() and self.first <= int(word) <= self.last:
            number = int(word)
        if number is None:
            raise ScheduleError(T('"{word}" in the planned time "{text}" is not possible.', word=word, text=text))
        return number


def _field(text: str, word: str, numbers: _Numbers) -> frozenset[int]:
    """The numbers of one field: lists of numbers, ranges and `*`, each with an optional `/step`."""
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step_word = part.partition("/")
        step = _Numbers(1, numbers.last + 1).one(text, step_word) if slash else 1
        if span == "*":
            first, last = numbers.first, numbers.last
        else:
            low, dash, high = span.partition("-")
            first = numbers.one(text, low)
            last = numbers.one(text, high) if dash else numbers.last if slash else first
        if last < first:
            if not numbers.wraps:
                raise ScheduleError(T('"{word}" in the planned time "{text}" is not possible.', word=part, text=text))
            last += 7
            found.update((number - numbers.first) % 7 + numbers.first for number in range(first, last + 1, step))
        else:
            found.update(range(first, last + 1, step))
    return frozenset(found)
