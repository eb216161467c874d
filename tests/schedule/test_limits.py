"""Windows of the week with rates: which holds when, also over midnight and through daylight saving."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.schedule import RateSchedule, ScheduleError
from appliance.schedule.limits import parse_rate, parse_window

TOKYO = ZoneInfo("Asia/Tokyo")
MONDAY = datetime(2026, 11, 23, tzinfo=TOKYO)


def rates(windows: tuple[str, ...], *moments: datetime) -> list[int | None]:
    schedule = RateSchedule(windows, "Asia/Tokyo")
    return [schedule.rate_at(moment) for moment in moments]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def test_a_window_holds_from_its_begin_until_its_end() -> None:
    office = ("mon-fri 08:00-18:00 1 MB",)
    moments = (at(0, 7, 59), at(0, 8), at(4, 17, 59), at(4, 18), at(5, 12))
    assert rates(office, *moments) == [None, 10**6, 10**6, None, None]


def test_over_midnight_a_window_belongs_to_the_day_it_begins_on() -> None:
    night = ("fri 22:00-06:00 500 kB/s",)
    assert rates(night, at(4, 5), at(4, 22), at(5, 5, 59), at(5, 6), at(5, 23)) == [None, 500_000, 500_000, None, None]


def test_of_several_the_least_counts_and_all_day_is_a_window() -> None:
    both = ("00:00-24:00 2 MB", "mon 09:00-10:00 1 MiB")
    assert rates(both, at(0, 9, 30), at(0, 10)) == [1024**2, 2 * 10**6]


def test_the_clock_that_counts_is_the_zones() -> None:
    schedule = RateSchedule(("02:00-03:00 1 MB",), "Europe/Berlin")
    twice = datetime(2026, 10, 25, 0, 30, tzinfo=ZoneInfo("UTC"))
    assert [schedule.rate_at(twice + timedelta(hours=hour)) for hour in range(3)] == [10**6, 10**6, None]


@pytest.mark.parametrize(
    "text",
    ["", "1 MB", "08:00-18:00", "mon-fri 1 MB", "mon-fri 08:00 1 MB", "funday 08:00-18:00 1 MB", "08:00-25:00 1 MB",
     "08:00-18:00 fast", "08:00-18:00 0", "08:00-18:00 999", "mon tue 08:00-18:00 1 MB"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_window(text)


def test_a_rate_is_a_size_a_second() -> None:
    assert parse_rate("2 MB") == parse_rate("2MB/s") == 2 * 10**6
    with pytest.raises(ValueError, match="pause"):
        parse_rate("10")
