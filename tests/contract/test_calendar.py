"""The coming dates of a contract: the rows of each service, and that deadlines never come after what they precede."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.calendar import ContractCalendar, Date, coming
from appliance.contract.consistent import agreed_profile
from appliance.contract.entitlement import validate
from appliance.contract.fees import fee_of
from appliance_services import service_profiles
from tests.contract.test_consistent import BOUGHT
from tests.support.contract import fields

PROFILES = {profile.id: profile for profile in service_profiles()}
SERVICES = ("ksg", "no1", "mjs", "knet", "dnet")
days = st.dates(date(2026, 1, 1), date(2046, 12, 31))


def calendar(service: str, at: str, contract_date: str = "2026-05-20", **changes: Any) -> ContractCalendar:
    bought = {"contract_date": contract_date, "service_start": contract_date, **BOUGHT[service], **changes}
    entitlement = validate(fields(profile=service, **bought))
    terms = agreed_profile(PROFILES[service], entitlement).terms
    assert terms is not None
    return coming(terms, entitlement, date.fromisoformat(at))


def entries(found: ContractCalendar, what: Date) -> list[tuple[str, str, str]]:
    return [(str(one.on), str(one.safe or ""), one.clause) for one in found.entries if one.what is what]


def test_a_year_of_ksg_with_its_clauses() -> None:
    found = calendar("ksg", "2026-11-21")
    assert entries(found, Date.TERM_ENDS) == [("2027-05-19", "", "21-1"), ("2028-05-19", "", "21-2")]
    assert entries(found, Date.NOTICE_AGAINST_RENEWAL) == [
        ("2027-04-21", "2027-04-20", "21-2"),
        ("2028-04-21", "2028-04-20", "21-2"),
    ]
    assert entries(found, Date.RENEWAL_PAYMENT) == [("2027-05-31", "", "24-3"), ("2028-05-31", "", "24-3")]
    assert found.renews_until is None
    assert (str(found.if_today.earliest_end), found.if_today.end_clause) == ("2027-05-19", "23-1")


def test_the_day_after_the_last_one_the_renewal_is_fixed() -> None:
    assert calendar("ksg", "2027-04-21").renews_until is None
    assert calendar("ksg", "2027-04-22").renews_until == date(2028, 5, 19)
    assert calendar("no1", "2026-05-21").renews_until == date(2026, 7, 20)


def test_the_payment_for_a_renewal_may_be_due_after_it_began() -> None:
    (first, *_) = calendar("ksg", "2027-05-25").entries
    assert (first.on, first.what, first.concerns) == (date(2027, 5, 31), Date.RENEWAL_PAYMENT, date(2027, 5, 19))


def test_paper_must_arrive_on_a_business_day() -> None:
    (first, *_) = [one for one in calendar("no1", "2026-05-21").entries if one.what is Date.NOTICE_AGAINST_RENEWAL]
    assert (first.on, first.safe, first.practical) == (date(2026, 6, 20), date(2026, 6, 20), date(2026, 6, 19))


def test_what_acting_today_would_bring() -> None:
    mjs = calendar("mjs", "2026-05-20", contract_date="2026-05-15").if_today
    assert (mjs.change_from, mjs.change_clause) == (date(2026, 6, 3), "別紙B 変更6")
    assert mjs.earliest_end == date(2026, 8, 31)
    closed = calendar("mjs", "2026-07-30", closed=["2026-08-12", "2026-08-13", "2026-08-14"]).if_today
    assert closed.change_from == date(2026, 8, 19)
    assert calendar("dnet", "2026-06-01").if_today.earliest_end is None, "by agreement"


def test_KNT_02_a_notice_that_is_too_late_still_has_the_other_way() -> None:
    found = calendar("knet", "2027-03-20")
    assert found.renews_until == date(2028, 5, 19), "too late against the renewal"
    assert (found.if_today.earliest_end, found.if_today.end_clause) == (date(2027, 5, 20), "14-1")
    assert calendar("knet", "2027-03-19").renews_until is None


def test_acceptance_options_and_fees_are_dates_too() -> None:
    found = calendar("dnet", "2026-05-21", delivered_on="2026-05-20")
    assert entries(found, Date.ACCEPTANCE) == [("2026-06-19", "2026-06-18", "4-3")]
    option = {"id": "restore_verification", "starts_on": "2026-06-01", "ends_on": "2026-12-31"}
    found = calendar("ksg", "2026-05-21", options=[option])
    assert [(str(one.on), one.subject) for one in found.entries if one.what is Date.OPTION_ENDS] == [
        ("2026-12-31", "restore_verification")
    ]


@pytest.mark.parametrize("changed", ["2026-07-01", "2026-07-31"])
def test_NO1_10_the_month_of_a_change_of_plan_is_charged_at_the_old_fee(changed: str) -> None:
    fees = [{"amount": 8000, "effective_on": "2026-05-20"}, {"amount": 12000, "effective_on": changed}]
    changes = {"contract_date": "2026-05-20", "service_start": "2026-05-20", "fees": fees}
    entitlement = validate(fields(profile="no1", **changes))
    terms = PROFILES["no1"].terms
    assert terms is not None and terms.fees is not None
    months = [fee_of(date(2026, month, 1), terms.fees, entitlement) for month in (5, 6, 7, 8)]
    assert months == [0, 8000, 8000, 12000]
    found = calendar("no1", "2026-06-30", fees=fees)
    assert [(str(one.on), one.subject) for one in found.entries if one.what is Date.FEE_CHANGES] == [
        ("2026-08-01", "12000")
    ]


@given(st.sampled_from(SERVICES), days, st.integers(0, 4000), st.integers(1, 3))
def test_deadlines_come_before_what_they_are_about(service: str, contract: date, later: int, years: int) -> None:
    found = calendar(service, str(contract + timedelta(days=later)), str(contract), term_years=years)
    for one in found.entries:
        assert one.on >= found.at
        assert one.safe is None or one.safe <= one.on
        assert one.practical is None or one.safe is None or one.practical <= one.safe
        if one.what is Date.NOTICE_AGAINST_RENEWAL:
            assert one.concerns is not None and one.on <= one.concerns
    assert [one.on for one in found.entries] == sorted(one.on for one in found.entries)
    assert found.renews_until is None or found.renews_until > found.at


@given(st.sampled_from(("ksg", "no1", "knet")), days, st.integers(0, 4000))
def test_terms_follow_one_another_without_a_gap(service: str, contract: date, later: int) -> None:
    found = calendar(service, str(contract + timedelta(days=later)), str(contract))
    ends = [one for one in found.entries if one.what is Date.TERM_ENDS]
    begins = [one for one in found.entries if one.what is Date.TERM_BEGINS]
    assert len(ends) == 2
    assert begins[-1].on == ends[0].on + timedelta(days=1)
    assert begins[-1].concerns == ends[1].on


@given(st.sampled_from(("ksg", "no1", "knet")), days, st.integers(0, 1500))
def test_the_calendar_of_the_next_day_is_todays_without_what_has_passed(
    service: str, contract: date, later: int
) -> None:
    today, tomorrow = (calendar(service, str(contract + timedelta(days=later + day)), str(contract)) for day in (0, 1))
    kept = {(one.on, one.what, one.concerns) for one in today.entries if one.on >= tomorrow.at}
    assert kept <= {(one.on, one.what, one.concerns) for one in tomorrow.entries}


def test_a_year_of_each_contract_day_by_day() -> None:
    """Every day of a year, under each of the five terms: the renewals that pass are the ones that were foretold."""
    for service in SERVICES:
        ends: list[date] = []
        for number in range(366):
            found = calendar(service, str(date(2026, 5, 20) + timedelta(days=number)))
            running = next((one.on for one in found.entries if one.what is Date.TERM_ENDS), None)
            if running is not None and running not in ends:
                ends.append(running)
        assert all(earlier < later for earlier, later in pairwise(ends))
        assert len(ends) == {"ksg": 2, "no1": 12, "knet": 2}.get(service, 0), service
