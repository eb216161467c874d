"""Sums in whole yen: computed exactly, cut off once, at the end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction

_DAYS_IN_YEAR = 365
"""No terms say what a leap year divides by."""
FULL_DAY = timedelta(hours=24)


def late_fee(amount: int, due: date, paid: date, *, rate: Fraction, waived_within: int) -> int:
    """What `amount` yen, due on `due` and paid on `paid`, cost at `rate` a year.

    Counted from the day after `due` through `paid`; nothing when that is at most `waived_within` days.
    """
    days = (paid - due).days
    if days <= waived_within:
        return 0
    return int(amount * rate * days / _DAYS_IN_YEAR)


def tax(amount: int, rate: Fraction) -> int:
    """The tax on `amount` yen; fractions of a yen are dropped."""
    return int(amount * rate)


def outage_credit(known: datetime, restored: datetime, monthly_fee: int, *, divisor: int) -> int:
    """`monthly_fee` / `divisor` for each full 24 hours between the provider's knowledge and the restoration."""
    return int(Fraction(monthly_fee, divisor) * ((restored - known) // FULL_DAY))


def months_charged(first: date, last: date) -> int:
    """How many calendar months are charged from the month of `first` through the month of `last`, or 0."""
    return max(0, (last.year - first.year) * 12 + last.month - first.month + 1)
