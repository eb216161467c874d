"""Business days: weekends, Japan's national holidays (as `jpholiday` lists them) and what else a calendar closes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_SATURDAY = 5


class Calendar(StrEnum):
    """Whose days count."""

    BANK = "bank"
    """Japan's banks: also closed from 31 December to 3 January (Order for Enforcement of the Banking Act, 5)."""
    PROVIDER = "provider"
    """The provider: also closed on the days it names itself (summer, the turn of the year)."""


@dataclass(frozen=True)
class BusinessDays:
    """Which days are open in `calendar`; `closed` are the provider's own closed days, which no bank knows."""

    calendar: Calendar
    closed: Collection[date] = frozenset()

    def is_open(self, day: date) -> bool:
        """Whether `day` is a business day."""
        # Imported late: every command knows profiles, few ask for a business day.
        import jpholiday

        if day.weekday() >= _SATURDAY or jpholiday.is_holiday(day):
            return False
        if self.calendar is Calendar.BANK:
            return (day.month, day.day) not in ((12, 31), (1, 1), (1, 2), (1, 3))
        return day not in self.closed

    def on_or_after(self, day: date) -> date:
        """`day`, or the next business day where it is none."""
        while not self.is_open(day):
            day += timedelta(days=1)
        return day

    def on_or_before(self, day: date) -> date:
        """`day`, or the business day before where it is none."""
        while not self.is_open(day):
            day -= timedelta(days=1)
        return day

    def nth_after(self, day: date, n: int) -> date:
        """The `n`-th business day after `day`, which itself never counts."""
        for _ in range(n):
            day = self.on_or_after(day + timedelta(days=1))
        return day
