"""An entitlement and the terms it names: what does not go together is refused, what was agreed otherwise counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from appliance.contract.consistent import agreed_profile, capacity_of, require_consistent
from appliance.contract.entitlement import Entitlement, MalformedEntitlement, validate
from appliance.contract.preview import Question, preview
from appliance.contract.profile import ServiceProfile
from appliance_services import service_profiles
from tests.support.contract import fields

PROFILES = {profile.id: profile for profile in service_profiles()}
BOUGHT: Mapping[str, Mapping[str, Any]] = {
    "standard": {},
    "ksg": {"devices": ["SN-001"]},
    "no1": {},
    "mjs": {"capacity": None, "units": 3, "org_string": "acme01"},
    "knet": {"capacity": None},
    "dnet": {"capacity": None, "protocols": ["https:443"]},
}


def bought(service: str, **changes: Any) -> tuple[ServiceProfile, Entitlement]:
    return PROFILES[service], validate(fields(profile=service, **{**BOUGHT[service], **changes}))


def refusal(service: str, **changes: Any) -> str:
    with pytest.raises(MalformedEntitlement) as caught:
        require_consistent(*bought(service, **changes))
    return str(caught.value.what)


@pytest.mark.parametrize("service", BOUGHT)
def test_what_was_bought_goes_with_its_terms(service: str) -> None:
    require_consistent(*bought(service))


def test_MJS_07_a_capacity_that_is_no_multiple_of_100_GB_is_refused() -> None:
    said = refusal("mjs", capacity="250 GB", units=None)
    assert "capacity = 250000000000: write a multiple of 100.0 GB" in said


def test_units_and_capacity_must_say_the_same() -> None:
    assert "4 units are 400.0 GB" in refusal("mjs", capacity="300 GB", units=4)
    assert capacity_of(*bought("mjs")) == 300_000_000_000
    assert capacity_of(*bought("mjs", capacity="300 GB")) == 300_000_000_000
    assert capacity_of(*bought("knet")) is None


@pytest.mark.parametrize(
    ("service", "changes", "said"),
    [
        ("mjs", {"units": None}, "the field units is missing"),
        ("no1", {"capacity": None}, "the field capacity is missing"),
        ("ksg", {"devices": None}, "the field devices is missing"),
        ("mjs", {"org_string": None}, "the field org_string is missing"),
        ("mjs", {"accounts": [{"user_id": "a", "buckets": []}]}, "accounts.a.buckets"),
        ("mjs", {"connection_type": "ip_vpn"}, "vpn_service = False: ip_vpn needs it"),
        ("dnet", {"protocols": None}, "the field protocols is missing"),
    ],
)
def test_what_the_terms_need_and_what_they_do_not_offer(service: str, changes: dict[str, Any], said: str) -> None:
    assert said in refusal(service, **changes)


def test_DNT_14_a_third_information_officer_is_refused() -> None:
    officers = [{"role": "information_officer", "name": name} for name in ("A", "B", "C")]
    assert "at most 2 information officers" in refusal("dnet", contacts=officers)
    require_consistent(*bought("dnet", contacts=officers[:2]))


def test_an_individual_agreement_comes_before_the_terms() -> None:
    agreement = {
        "minimum_term": {"clause": "覚書 2", "rule": "from_month_after_start", "length": "6 months"},
        "capacity": {"clause": "覚書 1", "exceeded": {"clause": "覚書 1", "then": "warn"}},
        "late_fee": None,
    }
    profile, entitlement = bought("mjs", overrides=agreement)
    agreed = agreed_profile(profile, entitlement)
    assert agreed.terms is not None and profile.terms is not None
    end = preview(agreed.terms, Question(start_date=date(2026, 5, 20)))["minimum_term_ends_on"]
    assert (end.value, end.clause) == (date(2026, 11, 30), "覚書 2")
    assert (agreed.holds, profile.holds) == (False, True)
    assert agreed.terms.capacity is not None and agreed.terms.capacity.unit == 100_000_000_000
    assert agreed.terms.late_fee is None
    assert agreed.terms.customer_end == profile.terms.customer_end


@pytest.mark.parametrize(
    ("agreement", "said"),
    [
        (
            {"minimum_term": {"length": "6 weeks", "clause": "x"}},
            "overrides.minimum_term.from_month_after_start.length",
        ),
        ({"minimum_term": {"length": "6 months"}}, "write the agreement's own clause into it"),
        ({"discount": {"clause": "x"}}, "there is no field overrides.discount"),
        ({"term": {"clause": "x"}}, "overrides.term.length is missing"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "there is no table so deep"),
    ],
)
def test_a_wrong_agreement_is_named_by_its_field(agreement: dict[str, Any], said: str) -> None:
    assert said in refusal("mjs", overrides=agreement)


def test_a_service_without_terms_has_none_to_override() -> None:
    assert "no terms that could be overridden" in refusal("standard", overrides={"late_fee": None})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backup_window": {"starts": "22:00", "ends": "22:00"}}, "starts and ends must not be the same time"),
        ({"backup_window": {"starts": "24:00", "ends": "05:00"}}, "write a time of day such as 22:00"),
        ({"protocols": ["https"]}, "write a protocol and its port, such as https:443"),
        ({"protocols": ["https:70000"]}, "write a protocol and its port, such as https:443"),
        ({"hosts": [{"what": "storage", "name": "s3.example.jp", "address": "10.1"}]}, "write an IP address"),
        ({"fees": [{"amount": -1, "effective_on": "2026-05-20"}]}, "write 0 or more"),
    ],
)
def test_a_wrong_value_of_what_was_bought_says_what_is_allowed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedEntitlement) as caught:
        validate(fields(**changes))
    assert said in str(caught.value.what)
