"""On which day a contract will be full: told from what was counted, and not told where that says nothing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capacity.forecast import FARTHEST, Counted, Forecast, Unknown, foretell

TODAY = date(2026, 11, 21)
GB = 1000**3


def days(*used: int, every: int = 1) -> list[Counted]:
    """Counts that end today, `every` so many days."""
    return [Counted(TODAY - timedelta(days=every * back), one) for back, one in enumerate(reversed(used))]


def test_a_steady_pace_reaches_the_capacity_on_its_day() -> None:
    steady = days(*(100 * GB + number * GB for number in range(30)))
    assert foretell(steady, 139 * GB, TODAY) == Forecast(TODAY + timedelta(days=10), GB)
    assert foretell(steady, 129 * GB, TODAY) == Forecast(TODAY)
    assert foretell(steady, 129 * GB + 1, TODAY).full_on == TODAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("counted", "capacity", "unknown"),
    [
        ([], 500 * GB, Unknown.TOO_SHORT),
        (days(1 * GB, 2 * GB, 3 * GB, 4 * GB, 5 * GB, 6 * GB), 500 * GB, Unknown.TOO_SHORT),
        (days(1 * GB, 2 * GB, every=30), 500 * GB, Unknown.TOO_SHORT),
        (days(*[5 * GB] * 20), 500 * GB, Unknown.NOT_GROWING),
        (days(*(30 * GB - number * GB for number in range(20))), 500 * GB, Unknown.NOT_GROWING),
        (days(*(number for number in range(20))), 500 * GB, Unknown.FAR_OFF),
        (days(*(number * GB for number in range(20))), None, Unknown.NO_CAPACITY),
    ],
)
def test_what_cannot_be_told_is_not_told(counted: list[Counted], capacity: int | None, unknown: Unknown) -> None:
    found = foretell(counted, capacity, TODAY)
    assert (found.full_on, found.unknown) == (None, unknown)


def test_one_great_clean_up_or_one_great_restore_is_no_pace() -> None:
    cleaned = days(*(300 * GB + number * GB for number in range(20)), *(200 * GB + number * GB for number in range(20)))
    assert foretell(cleaned, 300 * GB, TODAY).pace == GB
    jumped = days(*(number * GB for number in range(20)), 400 * GB)
    assert foretell(jumped, 500 * GB, TODAY).pace == GB


def test_a_pace_that_grew_counts_at_once() -> None:
    slow = [100 * GB + number * GB for number in range(60)]
    fast = [slow[-1] + 10 * number * GB for number in range(1, 15)]
    assert foretell(days(*slow, *fast), 1000 * GB, TODAY).pace == 10 * GB


def test_the_most_of_each_day_counts_and_what_is_old_does_not() -> None:
    steady = days(*(100 * GB + number * GB for number in range(30)))
    less = [Counted(one.on, one.used - 50 * GB) for one in steady]
    old = [Counted(TODAY - timedelta(days=200 + number), 400 * GB) for number in range(50)]
    assert foretell([*less, *steady, *old], 139 * GB, TODAY) == foretell(steady, 139 * GB, TODAY)


@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 10**12)), max_size=40),
    st.integers(1, 10**12),
)
def test_a_day_is_never_in_the_past_and_never_beyond_the_horizon(counted: list[tuple[int, int]], capacity: int) -> None:
    found = foretell([Counted(TODAY - timedelta(days=back), used) for back, used in counted], capacity, TODAY)
    assert (found.full_on is None) == (found.unknown is not None)
    assert found.full_on is None or TODAY <= found.full_on <= TODAY + timedelta(days=FARTHEST)
    assert found.pace >= 0
