"""Business days across Golden Week, Silver Week and the turn of the year."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.business import BusinessDays, Calendar

BANK = BusinessDays(Calendar.BANK)
PROVIDER = BusinessDays(Calendar.PROVIDER)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize("day", ["2026-05-06", "2026-09-22", "2027-03-22", "2026-05-23", "2026-05-24"])
def test_substitute_and_bridge_holidays_and_weekends_are_closed(day: str) -> None:
    assert not BANK.is_open(date.fromisoformat(day))
    assert not PROVIDER.is_open(date.fromisoformat(day))


def test_banks_close_over_the_turn_of_the_year_and_keep_open_on_a_providers_holiday() -> None:
    turn = [date(2026, 12, 31), date(2027, 1, 1), date(2029, 1, 2), date(2029, 1, 3)]
    assert [BANK.is_open(day) for day in turn] == [False] * 4
    assert PROVIDER.is_open(date(2026, 12, 31))
    summer = frozenset({date(2026, 8, 12)})
    assert not BusinessDays(Calendar.PROVIDER, summer).is_open(date(2026, 8, 12))
    assert BusinessDays(Calendar.BANK, summer).is_open(date(2026, 8, 12))


@given(days)
def test_rolling_finds_the_nearest_open_day_on_its_side(day: date) -> None:
    after, earlier = BANK.on_or_after(day), BANK.on_or_before(day)
    assert earlier <= day <= after
    assert BANK.is_open(after)
    assert BANK.is_open(earlier)
    between = [earlier + timedelta(days=n) for n in range(1, (after - earlier).days)]
    assert not any(BANK.is_open(one) for one in between)


@given(days, st.integers(1, 30))
def test_the_nth_business_day_has_n_open_days_up_to_it(day: date, n: int) -> None:
    found = PROVIDER.nth_after(day, n)
    assert sum(PROVIDER.is_open(day + timedelta(days=i)) for i in range(1, (found - day).days + 1)) == n
    assert PROVIDER.is_open(found)
