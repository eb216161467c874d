"""The decision whether bytes may be stored, from values alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capacity import CapacityExceeded, Limits, Purpose, decide, purpose_of
from appliance.errors import ExitCode


def test_data_stops_at_the_reserve_and_upkeep_at_the_capacity() -> None:
    limits = Limits(capacity=1000, reserve=100)
    assert decide(800, 50, 50, limits, Purpose.DATA).allowed
    assert not decide(800, 50, 51, limits, Purpose.DATA).allowed
    assert decide(800, 50, 150, limits, Purpose.UPKEEP).allowed
    assert not decide(800, 50, 151, limits, Purpose.UPKEEP).allowed


def test_a_decision_tells_needed_and_left() -> None:
    decision = decide(900, 60, 41, Limits(1000), Purpose.DATA)
    assert (decision.allowed, decision.needed, decision.left) == (False, 41, 40)


def test_nothing_is_left_below_zero_when_the_contract_was_made_smaller() -> None:
    decision = decide(2000, 0, 1, Limits(1000), Purpose.UPKEEP)
    assert (decision.allowed, decision.left) == (False, 0)


def test_without_a_capacity_everything_fits() -> None:
    assert decide(10**15, 10**15, 10**15, Limits(None), Purpose.DATA).allowed


@pytest.mark.parametrize(("capacity", "reserve"), [(-1, 0), (10, 11), (10, -1)])
def test_limits_that_make_no_sense_are_refused(capacity: int, reserve: int) -> None:
    with pytest.raises(ValueError):
        Limits(capacity, reserve)


@given(*[st.integers(0, 10**6)] * 5)
def test_what_is_allowed_never_exceeds_the_limit(used: int, claimed: int, size: int, capacity: int, cut: int) -> None:
    limits = Limits(capacity, min(cut, capacity))
    for purpose in Purpose:
        decision = decide(used, claimed, size, limits, purpose)
        limit = limits.limit(purpose)
        assert limit is not None
        if size:
            assert decision.allowed == (used + claimed + size <= limit)


def test_only_packs_are_data() -> None:
    name = "ab" * 32
    assert purpose_of(f"data/ab/{name}") is Purpose.DATA
    for key in ("config", f"keys/{name}", f"locks/{name}", f"index/{name}", f"snapshots/{name}"):
        assert purpose_of(key) is Purpose.UPKEEP


def test_the_refusal_tells_a_person_what_is_needed_left_and_safe() -> None:
    refusal = CapacityExceeded(needed=1_234_567, left=1_000, capacity=2_000_000)
    assert refusal.exit_code is ExitCode.CAPACITY_REFUSED
    assert refusal.code == "capacity.exceeded"
    assert "1,234,567 bytes (1.235 MB)" in str(refusal)
    assert "1,000 bytes" in str(refusal)
    assert "already stored" in str(refusal)
    japanese = refusal.render("ja")
    assert "1,234,567" in japanese
    assert "契約容量" in japanese
