"""Dates as Japanese contracts count them: periods, and deadlines before a day (Civil Code 138-143).

Everything is a civil date in Japan. A moment becomes one in `civil_day`, and nowhere else.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from typing import NamedTuple, Self

JAPAN = timezone(timedelta(hours=9), "JST")
"""Japan's time has had no summer time since 1951."""


def civil_day(moment: datetime) -> date:
    """The day in Japan at `moment`; a moment without an offset is Japan's time."""
    return (moment if moment.tzinfo is None else moment.astimezone(JAPAN)).date()


class Unit(StrEnum):
    """What a period counts; a year is twelve months."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


_SPAN = re.compile(r"(0|[1-9][0-9]{0,3}) (day|month|year)s?")


@dataclass(frozen=True)
class Span:
    """A length of time as contracts write it: `40 days`, `1 month`, `1 year`."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Self:
        """The span that `text` says. Raises `ValueError`."""
        match = _SPAN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a period; write for example 40 days, 1 month or 1 year")
        return cls(int(match[1]), Unit(match[2]))

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @property
    def months(self) -> int:
        """Its months; only where it counts months or years."""
        return self.count * 12 if self.unit is Unit.YEAR else self.count

    def times(self, n: int) -> Self:
        """`n` of these in a row, as one period."""
        return type(self)(self.count * n, self.unit)


class Deadline(NamedTuple):
    """A deadline under both defensible readings: `safe` never comes after `last`.

    Whoever must act goes by `safe`; only after `last` is anything closed.
    """

    safe: date
    last: date


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def next_month(day: date) -> date:
    """The first day of the month after the day's."""
    return month_end(day) + timedelta(days=1)


def shift_months(day: date, months: int) -> date:
    """The same day of the month `months` later (or earlier), or that month's last where it has no such day."""
    first = _first_of_month(day, months)
    return first.replace(day=min(day.day, month_end(first).day))


def last_day(event: date, span: Span, *, counted: bool) -> date:
    """The last day of a period of `span` that `event` begins.

    `counted`: the event's own day is the first of the period (「起算して」); otherwise the next day is (Civil Code
    140). A period of months from the first of a month ends with a month; any other ends the day before the
    corresponding day, or on the month's last where there is none (Civil Code 143).
    """
    first = event if counted else event + timedelta(days=1)
    if span.unit is Unit.DAY:
        return first + timedelta(days=span.count - 1)
    if first.day == 1:
        return _first_of_month(first, span.months) - timedelta(days=1)
    target = _first_of_month(first, span.months)
    if first.day > month_end(target).day:
        return month_end(target)
    return target.replace(day=first.day) - timedelta(days=1)


def before(day: date, span: Span) -> Deadline:
    """By when something must be done that is due `span` before `day`.

    Days: `span` back, or that many clear days. Months: the corresponding day, or the period that ends with `day`
    counted back; at the ends of months the two differ. A deadline on a holiday stays there.
    """
    if span.unit is Unit.DAY:
        last = day - timedelta(days=span.count)
        return Deadline(last - timedelta(days=1), last)
    same_day = shift_months(day, -span.months)
    whole_months = shift_months(day + timedelta(days=1), -span.months) - timedelta(days=1)
    return Deadline(min(same_day, whole_months), max(same_day, whole_months))


def _first_of_month(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)
