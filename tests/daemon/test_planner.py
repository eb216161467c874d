"""Planned runs against a clock that the test holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.daemon.planner import BACKUP, Planner
from appliance.schedule import Schedule
from appliance.state import SlotOutcome, State
from appliance.status.model import Outcome

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TWO = datetime(2026, 11, 21, 2, tzinfo=UTC)
NIGHTLY = Schedule(("02:00",), "UTC")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_a_slot_runs_once_at_its_time(state: State) -> None:
    planner = Planner(NIGHTLY, state)
    assert planner.look(NOON) is None
    assert planner.next_after(NOON) == TWO
    assert planner.look(TWO + timedelta(seconds=3)) == TWO
    assert planner.look(TWO + timedelta(seconds=8)) is None
    assert Planner(NIGHTLY, state).look(TWO + timedelta(seconds=9)) is None, "nor after a restart"
    planner.ended(TWO, [Outcome.DONE, Outcome.PARTIAL])
    assert [slot.outcome for slot in state.slots(BACKUP)] == [SlotOutcome.PARTIAL]


def test_a_box_that_was_off_runs_once_and_tells_what_it_missed(state: State) -> None:
    assert Planner(NIGHTLY, state).look(NOON) is None
    later = TWO + timedelta(days=3, hours=5)
    assert Planner(NIGHTLY, state).look(later) == TWO + timedelta(days=3)
    assert [slot.outcome for slot in state.slots(BACKUP)] == [SlotOutcome.STARTED] + [SlotOutcome.MISSED] * 3


def test_a_changed_schedule_catches_up_with_nothing(state: State) -> None:
    assert Planner(NIGHTLY, state).look(NOON) is None
    earlier = Schedule(("10:00",), "UTC")
    assert Planner(earlier, state).look(NOON) is None, "10:00 today was not planned when it passed"
    assert Planner(earlier, state).look(NOON + timedelta(hours=22)) == NOON + timedelta(hours=22)


def test_a_run_is_as_good_as_its_worst_job(state: State) -> None:
    planner = Planner(NIGHTLY, state)
    planner.ended(TWO, [Outcome.DONE, Outcome.FAILED, Outcome.REFUSED])
    planner.ended(TWO + timedelta(days=1), [])
    assert [slot.outcome for slot in state.slots(BACKUP)] == [SlotOutcome.DONE, SlotOutcome.FAILED]
