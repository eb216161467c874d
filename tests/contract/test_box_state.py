"""How the contract stands: priorities, what is allowed, and what a wrong clock does not change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.box_state import (
    ALWAYS,
    CLOUD,
    PRIORITY,
    Action,
    BoxState,
    Case,
    Condition,
    Standing,
    judge,
    unsaid,
)
from appliance.contract.directive import Recorded, validate
from appliance.contract.entitlement import validate as entitlement
from appliance.text import T
from tests.support.contract import directive_fields, fields

DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """A moment in Japan."""
    return datetime.fromisoformat(f"{text}+09:00")


def recorded(kind: str, number: int = 1, received: str = "2026-06-01T09:00", **changes: Any) -> Recorded:
    return Recorded(validate(directive_fields(kind, number=number, **changes)), at(received), "test")


def standing(now: str, *directives: Recorded, **more: Any) -> Standing:
    case = {"terms": unsaid(), "entitlement": entitlement(fields()), "directives": directives, "now": at(now)}
    return judge(Case(**(case | more)))


def test_a_contract_that_runs_is_active_and_everything_is_allowed() -> None:
    found = standing("2026-06-02T00:00")
    assert (found.state, found.first, found.allowed) == (BoxState.ACTIVE, None, frozenset(Action))


def test_a_suspension_begins_and_ends_at_its_moments() -> None:
    window = recorded("suspension", ends_at="2026-06-10T05:00:00+09:00")
    before = standing("2026-06-10T00:59:59", window)
    assert (before.state, [one.state for one in before.upcoming]) == (
        BoxState.ACTIVE,
        [BoxState.SUSPENDED_OPERATIONAL],
    )
    during = standing("2026-06-10T01:00", window)
    assert (during.state, during.allowed) == (BoxState.SUSPENDED_OPERATIONAL, ALWAYS)
    assert during.first is not None
    assert during.first.until == at("2026-06-10T05:00")
    after = standing("2026-06-10T05:00", window)
    assert (after.state, after.upcoming) == (BoxState.ACTIVE, ())


def test_a_scope_stops_what_it_says_and_nothing_else() -> None:
    def allowed(scope: str) -> frozenset[Action]:
        return standing("2026-06-11T00:00", recorded("suspension", suspension="provision", scope=scope)).allowed

    assert allowed("all") == ALWAYS
    assert allowed("upload") == ALWAYS | {Action.CLOUD_RESTORE}
    assert allowed("restore") == ALWAYS | {Action.UPLOAD}
    assert allowed("console") == frozenset(Action)
    narrow = standing("2026-06-11T00:00", recorded("suspension", suspension="provision", scope="user:u1"))
    assert narrow.allowed == frozenset(Action)
    assert narrow.against(Action.UPLOAD, users=["u1"]) is not None
    assert narrow.against(Action.UPLOAD, users=["u2"]) is None


def test_a_resumption_ends_what_it_names_also_one_that_had_no_end() -> None:
    stop = recorded("suspension", number=1, suspension="provision")
    other = recorded("suspension", number=2)
    go = recorded("resumption", number=3, of=1, resumes_at="2026-06-20T10:00:00+09:00")
    assert standing("2026-06-20T09:59", stop, go).state is BoxState.SUSPENDED_PROVISION
    assert standing("2026-06-20T10:00", stop, go).state is BoxState.ACTIVE
    assert standing("2026-06-20T10:00", stop, other, go).state is BoxState.SUSPENDED_OPERATIONAL


def test_an_end_is_known_then_comes_and_can_be_taken_back() -> None:
    end = recorded("termination", by="customer", effective_on=None, ends_on="2026-09-30")
    known = standing("2026-09-30T23:59:59", end)
    assert (known.state, known.allowed) == (BoxState.ENDING, frozenset(Action))
    assert "2026-09-30" in str(known.first and known.first.why)
    over = standing("2026-10-01T00:00", end)
    assert (over.state, over.allowed) == (BoxState.ENDED, ALWAYS)
    back = recorded("resumption", number=2, of=1, resumes_at="2026-09-20T00:00:00+09:00")
    assert standing("2026-10-01T00:00", end, back).state is BoxState.ACTIVE


def test_a_restriction_pauses_or_slows() -> None:
    paused = standing("2026-06-10T02:10", recorded("restriction", ends_at="2026-06-10T03:00:00+09:00"))
    assert (paused.state, paused.allowed, paused.rate) == (BoxState.RESTRICTED_TELECOM8, ALWAYS, None)
    slow = standing("2026-06-10T02:10", recorded("restriction", mode="rate_limit", limit="1 MB"))
    assert (slow.state, slow.allowed, slow.rate) == (BoxState.RESTRICTED_TELECOM8, frozenset(Action), 1_000_000)


def test_before_the_contract_and_before_its_start() -> None:
    none = standing("2026-05-19T00:00", entitlement=None, provisioned=False)
    assert (none.state, none.allowed) == (BoxState.UNPROVISIONED, ALWAYS)
    early = standing("2026-05-31T23:59:59")
    assert (early.state, early.allowed) == (BoxState.CONTRACTED_NOT_STARTED, frozenset(Action))
    assert standing("2026-06-01T00:00").state is BoxState.ACTIVE


@given(st.lists(st.sampled_from(PRIORITY[:-1]), min_size=1, unique=True), st.randoms())
def test_of_several_conditions_the_weightiest_is_the_state_and_each_forbids(
    states: list[BoxState], chance: Any
) -> None:
    now = datetime(2026, 6, 10, tzinfo=UTC)
    forbids = {state: frozenset(chance.sample(sorted(CLOUD), chance.randint(0, 2))) for state in states}
    findings = [Condition(one, T("why"), "1", now - DAY, forbids=forbids[one]) for one in states]
    chance.shuffle(findings)
    found = judge(Case(unsaid(), None, (), now, tuple(findings)))
    assert found.state is min(states, key=PRIORITY.index)
    assert found.allowed == frozenset(Action) - frozenset().union(*forbids.values())
    assert found.allowed >= ALWAYS


KINDS = ["suspension", "restriction", "termination", "end_of_service", "resumption"]


@given(st.lists(st.sampled_from(KINDS), max_size=5), st.integers(0, 400))
def test_collecting_and_restoring_locally_are_allowed_in_every_state(kinds: list[str], days: int) -> None:
    directives = tuple(recorded(kind, number) for number, kind in enumerate(kinds, 1))
    found = judge(Case(unsaid(), None, directives, at("2026-06-01T00:00") + days * DAY))
    assert found.allowed >= ALWAYS
    assert found.state is (found.first.state if found.first else BoxState.ACTIVE)
    assert all(one.since <= at("2026-06-01T00:00") + days * DAY for one in found.conditions)


@pytest.mark.parametrize("day", [date(2026, 7, 1), date(2027, 7, 1)])
def test_no_date_that_passes_ends_a_contract(day: date) -> None:
    stop = recorded("suspension", suspension="provision", scope="upload")
    found = standing(f"{day}T00:00", stop)
    assert found.state is BoxState.SUSPENDED_PROVISION
    assert Action.CLOUD_RESTORE in found.allowed
