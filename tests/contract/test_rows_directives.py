"""The acceptance rows about the provider's messages and the end, by their IDs, through what the box itself asks.

Each process of the box is an `Agreement` anew; the provider signs, the box takes, and the clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.agreement import Contract
from appliance.contract.box_state import Action, BoxState
from appliance.contract.directive import Amendment
from appliance.contract.effect import contract_day
from appliance.contract.ending import EndPlan, Erased, Wait, plan_end, reminder
from appliance.contract.files import load_profiles
from appliance.directives import Taken
from appliance.text import Text
from appliance_services import PROFILES
from tests.contract.conftest import Ask
from tests.support.contract import BOX, Place

GB = 1000**3
EVERYTHING = frozenset(Action)
LOCAL = frozenset({Action.COLLECT, Action.LOCAL_RESTORE})

BOUGHT: dict[str, dict[str, Any]] = {
    "ksg": {"contract_date": "2026-05-20", "service_start": "2026-05-20", "term_years": 1, "devices": ["SN-001"]},
    "no1": {"contract_date": "2026-05-20", "service_start": "2026-05-20"},
    "mjs": {
        "contract_date": "2026-05-15",
        "service_start": "2026-05-20",
        "units": 3,
        "capacity": None,
        "org_string": "acme01",
    },
    "knet": {
        "contract_date": "2026-05-20",
        "service_start": "2026-05-20",
        "capacity": None,
        "accounts": [{"user_id": "u1", "buckets": ["one"]}, {"user_id": "u2", "buckets": ["two"]}],
    },
    "dnet": {
        "contract_date": "2026-04-01",
        "service_start": "2026-04-01",
        "capacity": None,
        "delivered_on": "2026-05-20",
        "cloud_arranged_by": "customer",
        "protocols": ["https:443"],
        "options": [{"id": "watch", "starts_on": "2026-04-01"}],
    },
}


def at(text: str) -> datetime:
    """A moment in Japan: `2026-06-10 01:00`."""
    return datetime.fromisoformat(f"{text.replace(' ', 'T')}+09:00")


class Provisioned(Place):
    """A box with its contract, the clock in Japan's time."""

    def bought(self, service: str) -> None:
        self.now = at("2026-05-20 09:00")
        own = {"issued_at": "2026-05-20T09:00:00+09:00", **BOUGHT[service]}
        self.agreement().entitlements.install(self.provider.signed(profile=service, **own))
        self._numbers = iter(range(1, 100))

    def told(self, received: str, kind: str, **says: Any) -> Taken:
        """A directive that arrives at a moment; it was issued then, unless it says otherwise."""
        self.now = at(received)
        says = {"number": next(self._numbers), "issued_at": self.now.isoformat(), **says}
        return self.agreement().directives.take(self.provider.directive(kind, **says), "test")

    def on(self, moment: str) -> Contract:
        """The contract at a moment, as a box sees it that was off until then."""
        self.now = at(moment)
        return self.agreement().contract

    def end(self, moment: str) -> EndPlan:
        contract = self.on(moment)
        return plan_end(contract.terms, contract.standing, self.agreement().directives.recorded())


Provision = Callable[[str], Provisioned]


@pytest.fixture
def provision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provision]:
    monkeypatch.setattr("appliance.agreement.box_id", lambda: BOX)
    place = Provisioned(tmp_path, {profile.id: profile for profile in load_profiles(PROFILES)})

    def provisioned(service: str) -> Provisioned:
        place.bought(service)
        return place

    yield provisioned
    place.close()


def said(text: Text | None) -> str:
    return str(text or "")


def irregular(taken: Taken) -> list[tuple[str, str]]:
    return [(one.field, one.clause) for one in taken.irregular]


def test_KSG_02_silence_renews_and_nothing_stops(provision: Provision, ask: Ask) -> None:
    box = provision("ksg")
    assert ask("ksg", "--contract-date 2026-05-20 --at 2027-04-22")["next_expires_on"] == "2028-05-19"
    for moment in ("2027-04-22 00:00", "2027-05-19 23:59", "2027-05-20 00:00", "2028-05-20 12:00"):
        standing = box.on(moment).standing
        assert (standing.state, standing.allowed) == (BoxState.ACTIVE, EVERYTHING), moment


def test_KSG_10_days_an_amendment_counts_from_its_day_and_not_from_its_acceptance(provision: Provision) -> None:
    box = provision("ksg")
    form = {"requested_on": "2026-07-05", "accepted_on": "2026-07-08", "effective_on": "2026-07-10"}
    box.told("2026-07-08 10:00", "amendment", capacity="600 GB", **form)
    assert box.on("2026-07-09 23:59:59").capacity == 500 * GB
    assert box.on("2026-07-10 00:00").capacity == 600 * GB


def test_KSG_11_days_an_announced_window_is_shown_and_keeps_its_hours(provision: Provision) -> None:
    box = provision("ksg")
    window = {"starts_at": "2026-06-10T01:00:00+09:00", "ends_at": "2026-06-10T05:00:00+09:00"}
    taken = box.told("2026-06-03 09:00", "suspension", reason_code="12-1-ア", **window)
    assert irregular(taken) == []
    (coming,) = box.on("2026-06-03 09:00").standing.upcoming
    assert "2026-06-10 01:00" in said(coming.why)
    assert "2026-06-10 05:00" in said(coming.why)
    assert (coming.clause, box.on("2026-06-10 00:59").standing.allowed) == ("12-1-ア", EVERYTHING)
    assert box.on("2026-06-10 02:00").standing.allowed == LOCAL
    assert box.on("2026-06-10 05:00").standing.allowed == EVERYTHING


def test_KSG_14_a_suspension_of_uploads_leaves_the_restore_and_ends_nothing_by_itself(provision: Provision) -> None:
    box = provision("ksg")
    window = {"suspension": "provision", "scope": "upload", "starts_at": "2026-07-01T10:00:00+09:00"}
    box.told("2026-06-30 10:00", "suspension", reason_code="13-1-エ", **window)
    for moment in ("2026-07-01 10:00", "2026-07-15 23:59", "2026-07-16 00:00", "2027-01-01 00:00"):
        standing = box.on(moment).standing
        assert (standing.state, standing.allowed) == (BoxState.SUSPENDED_PROVISION, EVERYTHING - {Action.UPLOAD})
        assert standing.first is not None
        assert "2026-07-16" in said(standing.first.todo)
        assert box.end(moment).erase == ()


def test_KSG_21_a_notice_counts_from_its_sending_however_late_the_box_hears_of_it(provision: Provision) -> None:
    box = provision("ksg")
    taken = box.told("2026-06-05 12:00", "terms_change", sent_at="2026-06-01T09:00:00+09:00", effective_on=None)
    assert taken.effective_at == at("2026-06-01 09:00")
    told = box.told("2026-06-05 12:01", "notice", sent_at="2026-06-01T09:00:00+09:00")
    assert told.effective_at == at("2026-06-01 09:00")


def test_NO1_08_an_upgrade_counts_at_once_for_the_box_and_next_month_for_the_contract(provision: Provision) -> None:
    box = provision("no1")
    taken = box.told("2026-06-09 09:00", "amendment", capacity="1000 GB", effective_on="2026-06-10")
    assert isinstance(taken.recorded.directive, Amendment)
    contract = box.on("2026-06-09 23:59")
    assert contract.entitlement is not None
    assert contract.entitlement.capacity == 500 * GB
    upgraded = box.on("2026-06-10 00:00").entitlement
    assert upgraded is not None
    assert upgraded.capacity == 1000 * GB
    assert str(contract_day(taken.recorded.directive, contract.terms)) == "2026-07-01"
    box.told("2026-08-10 09:00", "amendment", capacity="300 GB", effective_on="2026-08-10")
    for moment, capacity in (("2026-08-31 23:59", 1000), ("2026-09-01 00:00", 300)):
        smaller = box.on(moment).entitlement
        assert smaller is not None
        assert smaller.capacity == capacity * GB, "less counts from the contract's day"


def test_NO1_15_terms_count_from_the_day_they_state(provision: Provision) -> None:
    box = provision("no1")
    posted = {"sent_at": "2026-08-01T00:00:00+09:00", "effective_on": "2026-09-01", "version": "2026-09-01"}
    taken = box.told("2026-08-02 09:00", "terms_change", **posted)
    assert (taken.effective_at, irregular(taken)) == (at("2026-09-01 00:00"), [])
    early = box.told("2026-08-02 09:01", "terms_change", **posted | {"effective_on": "2026-07-01"})
    assert irregular(early) == [("effective_on", "3-2")]


def test_NO1_16_arrears_elsewhere_are_a_ground_and_are_shown(provision: Provision, ask: Ask) -> None:
    box = provision("no1")
    window = {"starts_at": "2026-07-01T00:00:00+09:00", "ends_at": "2026-07-31T00:00:00+09:00"}
    taken = box.told("2026-06-20 09:00", "suspension", suspension="provision", reason_code="14-1-5", **window)
    standing = box.on("2026-07-02 00:00").standing
    assert (irregular(taken), standing.state) == ([], BoxState.SUSPENDED_PROVISION)
    assert standing.first is not None
    assert standing.first.clause == "14-1-5"
    fees = ask("no1", "--contract-date 2026-05-20 --monthly-fee 8000 --at 2026-08-10")
    assert fees["total_fee"] == 24_000, "June, July and August, suspended or not"


def test_NO1_18_after_a_termination_nobody_claims_when_the_cloud_is_emptied(provision: Provision) -> None:
    box = provision("no1")
    box.told("2026-07-01 09:00", "termination", effective_on="2026-08-01")
    standing = box.on("2026-08-01 00:00").standing
    assert (standing.state, standing.allowed) == (BoxState.ENDED, LOCAL)
    assert standing.first is not None
    assert "not defined in the terms" in said(standing.first.todo)
    assert box.end("2026-08-01 00:00").erase == (Erased.CREDENTIALS,)


@pytest.mark.parametrize(
    ("received", "end", "off"),
    [("2026-08-31 23:59", "2026-09-30", "10-01"), ("2026-09-01 00:00", "2026-10-31", "11-01")],
)
def test_MJS_11_a_cancellation_ends_with_the_month_after_its_arrival(
    provision: Provision, ask: Ask, received: str, end: str, off: str
) -> None:
    moment = received.replace(" ", "T")
    options = f"--contract-date 2026-05-15 --start-date 2026-05-20 --units 3 --end-notice {moment}"
    assert ask("mjs", options)["earliest_end"] == end
    box = provision("mjs")
    box.told("2026-09-02 09:00", "termination", by="customer", effective_on=None, ends_on=end)
    assert box.on(f"{end} 23:59:59").standing.allowed == EVERYTHING
    assert box.on(f"2026-{off} 00:00").standing.allowed == LOCAL


def test_MJS_20_a_suspension_without_its_reason_is_obeyed_and_irregular(provision: Provision) -> None:
    box = provision("mjs")
    window = {"starts_at": "2026-07-01T00:00:00+09:00", "ends_at": "2026-07-08T00:00:00+09:00"}
    taken = box.told("2026-06-20 09:00", "suspension", suspension="provision", **window)
    assert irregular(taken) == [("reason", "9-4")]
    assert box.on("2026-07-01 00:00").standing.allowed == LOCAL
    regular = box.told("2026-07-09 09:00", "suspension", suspension="operational", **window)
    assert irregular(regular) == [], "works may be told of afterwards (9-2)"


def test_MJS_21_days_the_providers_things_are_erased_when_the_end_is_confirmed(provision: Provision) -> None:
    box = provision("mjs")
    cancelled = {"by": "customer", "effective_on": None, "ends_on": "2026-09-30"}
    box.told("2026-08-31 09:00", "termination", **cancelled)
    assert box.end("2026-09-30 23:59").wait is Wait.NOT_ENDED
    unsure = box.end("2026-10-01 00:00")
    assert (unsure.erase, unsure.wait) == ((), Wait.CONFIRMATION)
    box.told("2026-10-02 09:00", "termination", confirmed_on="2026-10-02", **cancelled)
    certain = box.end("2026-10-02 09:00")
    assert (certain.erase, certain.clause) == ((Erased.CREDENTIALS, Erased.SOFTWARE), "12-1")
    box.agreement().entitlements.note_moment()
    wrong = box.end("2026-09-01 00:00")
    assert (wrong.erase, wrong.wait) == ((), Wait.CLOCK)


def test_KNT_08_an_unannounced_interruption_is_regular(provision: Provision) -> None:
    box = provision("knet")
    for kind in ("operational", "provision"):
        taken = box.told("2026-07-01 12:00", "suspension", suspension=kind, starts_at="2026-07-01T11:00:00+09:00")
        assert irregular(taken) == []
    assert box.on("2026-07-01 12:00").standing.allowed == LOCAL


def test_KNT_10_a_users_breach_stops_that_user(provision: Provision) -> None:
    box = provision("knet")
    window = {"suspension": "provision", "scope": "user:u1", "starts_at": "2026-06-01T10:00:00+09:00"}
    box.told("2026-06-01 10:00", "suspension", **window)
    contract = box.on("2026-06-09 10:00")
    mine = contract.against(Action.UPLOAD, "s3:https://storage.example.jp/one/box")
    assert mine is not None
    assert "2026-06-09" in said(mine.todo)
    assert contract.against(Action.UPLOAD, "s3:https://storage.example.jp/two/box") is None
    assert contract.standing.allowed == EVERYTHING


def test_KNT_11_days_before_the_end_people_are_reminded_and_at_the_end_it_is_erased(provision: Provision) -> None:
    box = provision("knet")
    box.told("2026-07-01 09:00", "termination", by="customer", effective_on=None, ends_on="2026-10-31")

    def step(moment: str) -> int:
        contract = box.on(moment)
        due = reminder(contract.terms, contract.standing, at(moment).date())
        return due.step if due is not None else 0

    assert [step(f"2026-{day} 09:00") for day in ("08-31", "09-01", "10-01", "10-24", "10-30")] == [0, 1, 2, 3, 4]
    box.told(
        "2026-10-30 09:00",
        "termination",
        by="customer",
        effective_on=None,
        ends_on="2026-10-31",
        confirmed_on="2026-10-30",
    )
    at_once = box.end("2026-11-01 00:00")
    assert (at_once.erase, at_once.clause) == ((Erased.CREDENTIALS, Erased.SOFTWARE), "17-1")
    assert box.on("2026-11-01 00:00").against(Action.UPLOAD, "s3:https://h/one") is not None, "u1 may nothing more"


def test_KNT_12_terms_before_their_month_are_irregular_unless_urgent(provision: Provision) -> None:
    box = provision("knet")
    change = {"sent_at": "2026-05-20T09:00:00+09:00", "effective_on": "2026-06-10"}
    early = box.told("2026-05-20 10:00", "terms_change", **change)
    assert irregular(early) == [("effective_on", "4-2")]
    assert "2026-06-20" in said(early.irregular[0].why)
    assert irregular(box.told("2026-05-20 10:01", "terms_change", urgent=True, **change)) == []


def test_KNT_13_days_a_posted_notice_counts_from_its_posting(provision: Provision) -> None:
    taken = provision("knet").told("2026-06-09 09:00", "notice", channel="web", sent_at="2026-06-01T12:00:00+09:00")
    assert taken.effective_at == at("2026-06-01 12:00")


def test_DNT_02_the_box_goes_on_when_the_delivery_is_complete(provision: Provision) -> None:
    box = provision("dnet")
    for moment in ("2026-05-20 09:00", "2026-06-20 00:00", "2027-05-20 00:00"):
        assert box.on(moment).standing.allowed == EVERYTHING


def test_DNT_07_a_suspension_without_notice_is_regular(provision: Provision) -> None:
    box = provision("dnet")
    stop = {"suspension": "provision", "starts_at": "2026-07-01T11:00:00+09:00"}
    assert irregular(box.told("2026-07-01 12:00", "suspension", **stop)) == []
    assert box.on("2026-07-01 12:00").standing.allowed == LOCAL


def test_DNT_09_an_option_ends_on_the_day_its_notice_arrives(provision: Provision) -> None:
    box = provision("dnet")
    box.told("2026-06-10 14:00", "amendment", capacity=None, effective_on=None, option_ends="watch")
    after = box.on("2026-06-10 14:00").entitlement
    assert after is not None
    assert [str(one.ends_on) for one in after.options] == ["2026-06-10"]


def test_DNT_10_a_change_needs_its_arrival_and_its_confirmation_and_is_charged_from_its_acceptance(
    provision: Provision,
) -> None:
    box = provision("dnet")
    form = {"capacity": None, "units": 2, "effective_on": None, "arrived_on": "2026-06-10"}
    open_one = box.told("2026-06-10 14:00", "amendment", **form)
    assert (open_one.effective_at, irregular(open_one)) == (None, [("confirmed_on", "19-4")])
    before = box.on("2026-06-14 23:59").entitlement
    done = box.told("2026-06-15 14:00", "amendment", confirmed_on="2026-06-15", **form)
    assert str(done.contract_from) == "2026-06-10", "the fee counts from the acceptance of the form (28-6)"
    assert (done.effective_at, irregular(done)) == (at("2026-06-15 00:00"), [])
    after = box.on("2026-06-15 14:00").entitlement
    assert before is not None
    assert after is not None
    assert (before.units, after.units) == (None, 2)


def test_DNT_11_days_terms_before_fourteen_days_are_irregular_and_open_the_exit(provision: Provision) -> None:
    box = provision("dnet")
    change = {"sent_at": "2026-05-20T09:00:00+09:00", "effective_on": "2026-06-01"}
    taken = box.told("2026-05-20 10:00", "terms_change", **change)
    assert irregular(taken) == [("effective_on", "2")]
    assert "2026-06-03" in said(taken.irregular[0].why)
    rule = box.on("2026-05-20 10:00").terms.terms_change
    assert rule is not None
    assert rule.exit_clause == "25-5"


def test_DNT_16_a_termination_counts_when_it_arrives_and_elsewhere_when_it_is_sent(provision: Provision) -> None:
    sent = {"effective_on": None, "sent_at": "2026-07-01T09:00:00+09:00", "issued_at": "2026-07-01T09:00:00+09:00"}
    box = provision("dnet")
    assert box.told("2026-07-03 11:00", "termination", **sent).effective_at == at("2026-07-03 11:00")
    assert box.on("2026-07-03 11:00").standing.state is BoxState.ENDED


def test_DNT_16_KSG_differs(provision: Provision) -> None:
    sent = {"effective_on": None, "sent_at": "2026-07-01T09:00:00+09:00", "issued_at": "2026-07-01T09:00:00+09:00"}
    assert provision("ksg").told("2026-07-03 11:00", "termination", **sent).effective_at == at("2026-07-01 09:00")


def test_DNT_18_an_end_that_is_announced_late_is_irregular(provision: Provision) -> None:
    box = provision("dnet")
    taken = box.told("2026-11-15 09:00", "end_of_service", announced_on="2026-11-15", ends_on="2026-12-31")
    assert irregular(taken) == [("announced_on", "23-2")]
    assert "2026-10-31" in said(taken.irregular[0].why)
    assert (
        irregular(box.told("2026-11-15 09:01", "end_of_service", announced_on="2026-10-31", ends_on="2026-12-31")) == []
    )
