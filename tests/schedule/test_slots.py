"""Which planned run is due, also after the box was off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from appliance.schedule import Schedule, due_slots
from appliance.schedule.slots import MISSED_KEPT

NIGHTLY = Schedule(("02:00",), "UTC")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_nothing_is_due_between_two_slots() -> None:
    due = due_slots(NIGHTLY, handled=at(20, 2), now=at(20, 12))
    assert (due.run, due.missed, due.next_at) == (None, (), at(21, 2))


def test_a_slot_is_due_on_time() -> None:
    due = due_slots(NIGHTLY, handled=at(20, 2), now=at(21, 2))
    assert (due.run, due.late, due.missed) == (at(21, 2), False, ())


def test_a_slot_missed_while_the_box_was_off_is_run_late() -> None:
    due = due_slots(NIGHTLY, handled=at(20, 2), now=at(21, 9))
    assert (due.run, due.late, due.missed) == (at(21, 2), True, ())


def test_of_many_missed_slots_only_the_newest_is_run() -> None:
    due = due_slots(NIGHTLY, handled=at(20, 2), now=at(24, 9))
    assert due.run == at(24, 2)
    assert due.missed == (at(21, 2), at(22, 2), at(23, 2))


def test_a_late_run_waits_for_the_next_one_when_that_is_near() -> None:
    waiting = due_slots(NIGHTLY, handled=at(20, 2), now=at(22, 1, 30))
    assert (waiting.run, waiting.late, waiting.missed, waiting.next_at) == (None, False, (), at(22, 2))
    then = due_slots(NIGHTLY, handled=at(20, 2), now=at(22, 2))
    assert (then.run, then.missed) == (at(22, 2), (at(21, 2),))


def test_a_new_box_has_missed_nothing() -> None:
    due = due_slots(NIGHTLY, handled=at(20, 9), now=at(20, 9))
    assert (due.run, due.missed) == (None, ())


def test_a_clock_that_was_set_back_starts_nothing_twice() -> None:
    due = due_slots(NIGHTLY, handled=at(21, 2), now=at(20, 3))
    assert due.run is None


def test_without_a_schedule_nothing_is_due() -> None:
    due = due_slots(Schedule(()), handled=at(20, 2), now=at(24, 9))
    assert (due.run, due.missed, due.next_at) == (None, (), None)


def test_years_off_make_no_endless_list() -> None:
    hourly = Schedule(("0 */2 * * *",), "UTC")
    due = due_slots(hourly, handled=at(20, 2) - timedelta(days=1000), now=at(20, 2))
    assert due.run == at(20, 2)
    assert len(due.missed) == MISSED_KEPT
    assert due.missed[-1] == at(20, 0)


def test_every_slot_of_a_year_is_run_or_missed_exactly_once() -> None:
    schedule = Schedule(("02:00", "mon-fri 14:00"), "Europe/Berlin")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    handled, now, seen = begin, begin, []
    off_days = {12, 13, 14, 87, 88, 200, 201, 202, 203, 204}
    while now < begin + timedelta(days=365):
        now += timedelta(minutes=30)
        if (now - begin).days in off_days:
            continue
        due = due_slots(schedule, handled, now)
        seen.extend(due.missed)
        if due.run is not None:
            seen.append(due.run)
            handled = due.run
    assert seen == list(schedule.between(begin, seen[-1]))[::-1]
    assert len(seen) > 600
