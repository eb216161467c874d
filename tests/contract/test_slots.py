"""What becomes of planned runs under the five terms: what is made up for, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.contract.box_state import BoxState, Condition
from appliance.contract.entitlement import BackupWindow
from appliance.contract.slots import (
    Cause,
    Collected,
    JobEnd,
    Verdict,
    against_recollection,
    came_late,
    kept_back,
    overran,
    verdict,
)
from appliance.contract.terms import Terms
from appliance.text import T
from appliance_services import service_profiles

TERMS: dict[str, Terms] = {profile.id: profile.terms for profile in service_profiles() if profile.terms is not None}
NOW = datetime(2026, 6, 10, 17, 0, tzinfo=UTC)
DONE, PARTIAL = JobEnd("done"), JobEnd("partial")


def condition(state: BoxState, clause: str = "x") -> Condition:
    return Condition(state, T("Because."), clause, NOW)


def test_works_at_the_slots_time_are_made_up_for_by_some_and_not_by_others() -> None:
    """The differential vector: provider maintenance hits the slot; no catch-up run under KSG and No.1."""
    found = {
        service: kept_back(terms, condition(BoxState.SUSPENDED_OPERATIONAL)).result for service, terms in TERMS.items()
    }
    missed, again = Collected.MISSED_NO_RECOLLECT, Collected.RETRYABLE
    assert found == {"ksg": missed, "no1": missed, "mjs": again, "knet": again, "dnet": again}


@pytest.mark.parametrize(("service", "clause"), [("ksg", "18-1-ウ"), ("no1", "18-3")])
def test_KSG_11_days_a_run_that_falls_into_works_stays_lost(service: str, clause: str) -> None:
    lost = kept_back(TERMS[service], condition(BoxState.SUSPENDED_OPERATIONAL, "12"))
    assert lost == Verdict(Collected.MISSED_NO_RECOLLECT, Cause.OPERATIONAL_SUSPENSION, clause)


def test_KSG_16_days_an_emergency_restriction_is_no_suspension_so_the_same_run_goes_on() -> None:
    assert kept_back(TERMS["ksg"], condition(BoxState.RESTRICTED_TELECOM8)).result is Collected.RETRYABLE
    assert against_recollection(TERMS["ksg"], Cause.RESTRICTION) is None


@pytest.mark.parametrize("code", ["source.not-found", "source.unreadable", "source.not-collectable"])
def test_KSG_13_days_what_is_lost_through_the_customer_stays_lost(code: str) -> None:
    lost = verdict(TERMS["ksg"], [JobEnd("failed", code), DONE])
    assert lost == Verdict(Collected.MISSED_NO_RECOLLECT, Cause.CUSTOMER, "18-1-エ")
    assert verdict(TERMS["mjs"], [JobEnd("failed", code)]).result is Collected.RETRYABLE


def test_a_box_that_slept_through_its_time_makes_up_for_it_where_the_terms_let_it() -> None:
    assert came_late(TERMS["ksg"]) == Verdict(Collected.MISSED_NO_RECOLLECT, Cause.CUSTOMER, "18-1-エ")
    assert came_late(TERMS["no1"]) == Verdict(Collected.MISSED_NO_RECOLLECT, Cause.CUSTOMER, "18-4")
    assert came_late(TERMS["mjs"]) is came_late(TERMS["knet"]) is came_late(TERMS["dnet"]) is None


def test_trouble_of_the_line_is_not_the_customers_and_is_made_up_for() -> None:
    for terms in TERMS.values():
        assert verdict(terms, [DONE, JobEnd("failed", "storage.unreachable")]).result is Collected.RETRYABLE


def test_KSG_09_days_what_does_not_fit_is_missed_for_want_of_capacity() -> None:
    assert verdict(TERMS["ksg"], [DONE, JobEnd("refused", "capacity.exceeded")]) == Verdict(
        Collected.MISSED_CAPACITY, Cause.CAPACITY, "18-1-カ"
    )
    assert kept_back(TERMS["ksg"], condition(BoxState.HOLD_CAPACITY)).result is Collected.MISSED_CAPACITY


def test_what_the_contract_forbids_is_skipped() -> None:
    for state in (BoxState.SUSPENDED_PROVISION, BoxState.ENDED, BoxState.HOLD_REGION, BoxState.HOLD_CONFIG):
        assert kept_back(TERMS["ksg"], condition(state, "13")).result is Collected.SKIPPED_SUSPENDED


def test_a_run_is_as_good_as_its_worst_job() -> None:
    assert verdict(TERMS["ksg"], [DONE, PARTIAL]).result is Collected.PARTIAL
    assert verdict(TERMS["ksg"], []).result is Collected.DONE
    assert verdict(TERMS["ksg"], [JobEnd("failed", "repository.damaged")]).result is Collected.FAILED


def test_NO1_07_days_a_run_over_the_windows_end_is_not_cut_and_told_by_its_minutes() -> None:
    window = BackupWindow.model_validate({"starts": "22:00", "ends": "05:00"})
    begun, ended = datetime(2026, 6, 10, 13, 30, tzinfo=UTC), datetime(2026, 6, 10, 21, 30, tzinfo=UTC)
    late = overran(window, begun, ended)  # 22:30 to 06:30 in Japan
    assert late == timedelta(minutes=90)
    assert verdict(TERMS["no1"], [DONE], late) == Verdict(Collected.OVERRUN, None, "18-5", late)
    assert overran(window, begun, datetime(2026, 6, 10, 20, 0, tzinfo=UTC)) == timedelta()
    assert overran(None, begun, ended) == timedelta()


def test_NO1_14_works_during_the_slot_leave_it_lost() -> None:
    lost = kept_back(TERMS["no1"], condition(BoxState.SUSPENDED_OPERATIONAL, "13"))
    assert (lost.result, lost.clause) == (Collected.MISSED_NO_RECOLLECT, "18-3")
