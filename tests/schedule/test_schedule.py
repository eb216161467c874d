"""Planned moments: how times are written, and what daylight saving makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.schedule import Schedule, ScheduleError

TOKYO = ZoneInfo("Asia/Tokyo")
BERLIN = ZoneInfo("Europe/Berlin")


def following(schedule: Schedule, moment: datetime, count: int) -> list[str]:
    """The next planned moments, in the schedule's own zone."""
    found = []
    zone = ZoneInfo(schedule.timezone)
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(moment.astimezone(zone).strftime("%a %d %b %H:%M %z"))
    return found


def test_every_night_in_japan() -> None:
    schedule = Schedule(("02:00",), "Asia/Tokyo")
    assert schedule.next_after(datetime(2026, 11, 20, 12, tzinfo=TOKYO)) == datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert schedule.previous(datetime(2026, 11, 20, 12, tzinfo=TOKYO)) == datetime(2026, 11, 20, 2, tzinfo=TOKYO)


def test_a_planned_moment_is_its_own_previous_and_not_its_own_next() -> None:
    schedule = Schedule(("02:00",), "Asia/Tokyo")
    planned = datetime(2026, 11, 20, 2, tzinfo=TOKYO)
    assert schedule.previous(planned) == planned
    assert schedule.next_after(planned) == planned + timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-fri 02:00", ["Mon 23 Nov 02:00 +0900", "Tue 24 Nov 02:00 +0900"]),
        ("Sat,Sun 3:05", ["Sat 21 Nov 03:05 +0900", "Sun 22 Nov 03:05 +0900"]),
        ("sat-mon 23:59", ["Sat 21 Nov 23:59 +0900", "Sun 22 Nov 23:59 +0900"]),
        ("sunday 00:00", ["Sun 22 Nov 00:00 +0900", "Sun 29 Nov 00:00 +0900"]),
        ("30 2 * * *", ["Sat 21 Nov 02:30 +0900", "Sun 22 Nov 02:30 +0900"]),
        ("0 2,14 * * *", ["Fri 20 Nov 14:00 +0900", "Sat 21 Nov 02:00 +0900"]),
        ("*/20 13 * * *", ["Fri 20 Nov 13:00 +0900", "Fri 20 Nov 13:20 +0900"]),
        ("0 2 1 * *", ["Tue 01 Dec 02:00 +0900", "Fri 01 Jan 02:00 +0900"]),
        ("0 2 * * 0", ["Sun 22 Nov 02:00 +0900", "Sun 29 Nov 02:00 +0900"]),
        ("0 2 * * 7", ["Sun 22 Nov 02:00 +0900", "Sun 29 Nov 02:00 +0900"]),
        ("0 2 * * 5-7", ["Sat 21 Nov 02:00 +0900", "Sun 22 Nov 02:00 +0900"]),
        ("0 2 22 * sat", ["Sat 21 Nov 02:00 +0900", "Sun 22 Nov 02:00 +0900"]),
        ("0 2 29 feb *", ["Tue 29 Feb 02:00 +0900", "Sun 29 Feb 02:00 +0900"]),
    ],
)
def test_times_as_people_write_them(text: str, expected: list[str]) -> None:
    schedule = Schedule((text,), "Asia/Tokyo")
    assert following(schedule, datetime(2026, 11, 20, 12, tzinfo=TOKYO), 2) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "2", "24:00", "02:60", "２:00", "02:00 mon", "someday 02:00", "mon- 02:00", "0 2 * *", "0 2 * * *  *"),
        *("0 24 * * *", "61 2 * * *", "0 2 32 * *", "*/0 2 * * *", "0 2 * * 8", "5-1 2 * * *"),
        *("0 2 30 2 *", "0 2 * dec-jan mon"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        Schedule((text,))
    assert "02:00" in str(refusal.value)
    assert isinstance(refusal.value, ValueError)


@pytest.mark.parametrize("name", ["Asia/Nowhere", "", "../../etc/passwd", "/etc/localtime"])
def test_an_unknown_zone_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(ScheduleError, match="time zone"):
        Schedule(("02:00",), name)


def test_a_time_that_spring_skips_runs_at_the_skip() -> None:
    schedule = Schedule(("02:30",), "Europe/Berlin")
    assert following(schedule, datetime(2026, 3, 27, 12, tzinfo=UTC), 3) == [
        "Sat 28 Mar 02:30 +0100",
        "Sun 29 Mar 03:00 +0200",
        "Mon 30 Mar 02:30 +0200",
    ]
    skip = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert schedule.previous(skip) == skip


def test_a_time_that_autumn_repeats_runs_once() -> None:
    schedule = Schedule(("02:30",), "Europe/Berlin")
    assert following(schedule, datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "Sun 25 Oct 02:30 +0200",
        "Mon 26 Oct 02:30 +0100",
    ]


def test_an_hourly_rule_counts_real_hours() -> None:
    schedule = Schedule(("0 * * * *",), "Europe/Berlin")
    for start in (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)):
        moment = start
        for hour in range(1, 6):
            moment = schedule.next_after(moment)
            assert moment == start + timedelta(hours=hour)


def test_several_times_are_merged() -> None:
    schedule = Schedule(("12:00", "mon-fri 02:00", "0 12 * * *"), "Asia/Tokyo")
    assert following(schedule, datetime(2026, 11, 20, 1, tzinfo=TOKYO), 4) == [
        "Fri 20 Nov 02:00 +0900",
        "Fri 20 Nov 12:00 +0900",
        "Sat 21 Nov 12:00 +0900",
        "Sun 22 Nov 12:00 +0900",
    ]


def test_without_times_nothing_is_planned() -> None:
    schedule = Schedule((), "Asia/Tokyo")
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert schedule.next_after(now) is None
    assert schedule.previous(now) is None


@given(
    st.lists(st.sampled_from(["02:30", "sun 03:00", "0 */6 * * *", "15 1 1,15 * *", "0 0 * * *"]), min_size=1),
    st.sampled_from(["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
)
def test_next_and_previous_agree(times: list[str], zone: str, moment: datetime) -> None:
    schedule = Schedule(tuple(times), zone)
    after = schedule.next_after(moment)
    before = schedule.previous(moment)
    assert before <= moment < after
    assert schedule.previous(after) == after
    assert schedule.next_after(before) == after
    assert list(schedule.between(before, after)) == [after]
