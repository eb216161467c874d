"""The entitlement: what it may say, and when a box takes it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contract.clock import SETBACK, UNSET_BEFORE, is_trusted, untrusted
from appliance.contract.entitlement import Entitlement, MalformedEntitlement, parse, validate
from appliance.contract.taking import TOLERANCE, Expired, NotYetValid, Older, WrongBox, require_for, require_installable
from tests.support.contract import BOX, fields

NOW = datetime(2026, 5, 20, tzinfo=UTC)


FULL = fields(
    valid_from="2026-05-20T00:00:00+09:00",
    valid_until="2026-06-20T00:00:00+09:00",
    term_years=3,
    units=5,
    devices=["SN-001"],
    accounts=[{"user_id": "u1", "buckets": ["acme01-backup"]}],
    org_string="acme01",
    connection_type="ip_vpn",
    contacts=[{"role": "administrator", "name": "花田", "mail": "admin@example.co.jp"}],
    options=[{"id": "restore-test", "starts_on": "2026-06-01", "ends_on": "2027-05-31"}],
)


def test_an_entitlement_says_what_was_bought() -> None:
    entitlement = validate(FULL)
    assert entitlement.capacity == 500 * 1000**3
    assert entitlement.issued_at == NOW
    assert entitlement.contract_date == date(2026, 5, 20)
    assert entitlement.accounts[0].buckets == ("acme01-backup",)
    assert entitlement.contacts[0].mail == "admin@example.co.jp"


@pytest.mark.parametrize("document", [fields(), FULL], ids=["least", "full"])
def test_what_is_encoded_is_what_is_read(document: dict[str, Any]) -> None:
    entitlement = validate(document)
    assert parse(entitlement.encode()) == entitlement
    assert set(entitlement.to_json()) == set(document), "what says nothing is left out"


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"capacity": "lots"}, ["capacity", '"lots"', "500 GB"]),
    ({"capacity": 0}, ["capacity", "0", "greater than 0"]),
    ({"capacity": -5}, ["capacity", "-5", "500 GB"]),
    ({"capacity": True}, ["capacity", "true"]),
    ({"serial": 0}, ["serial", "1 or more"]),
    ({"serial": "3"}, ["serial", '"3"', "whole number"]),
    ({"serial": True}, ["serial", "true", "whole number"]),
    ({"serial": 2.5}, ["serial", "2.5", "whole number"]),
    ({"format": 2}, ["format", "2", "1"]),
    ({"box": "my-box"}, ["box", '"my-box"']),
    ({"box": None}, ["box", "missing"]),
    ({"holder": ""}, ["holder", "at least 1"]),
    ({"holder": "a\nb"}, ["holder"]),
    ({"issued_at": "2026-05-20T09:00:00"}, ["issued_at", "offset"]),
    ({"issued_at": 5}, ["issued_at", "offset"]),
    ({"contract_date": "2026-02-30"}, ["contract_date", "2026-02-30", "2026-05-20"]),
    ({"contract_date": 20260520}, ["contract_date"]),
    ({"service_start": "2026-05-19"}, ["service_start", "contract_date"]),
    ({"term_years": 31}, ["term_years", "31", "30 or less"]),
    ({"units": 0}, ["units", "1 or more"]),
    ({"connection_type": "modem"}, ["connection_type", "modem", "internet_vpn"]),
    ({"org_string": "ACME 01"}, ["org_string"]),
    ({"capcity": "1 TB"}, ["there is no field capcity"]),
    ({"contacts": [{"role": "administrator", "name": "花田", "mail": "nobody"}]}, ["contacts.0.mail", '"nobody"']),
    ({"options": [{"id": "a", "starts_on": "2026-06-02", "ends_on": "2026-06-01"}]}, ["options.0", "starts_on"]),
    (
        {"valid_from": "2026-05-20T09:00:00+09:00", "valid_until": "2026-05-20T00:00:00+00:00"},
        ["valid_until", "valid_from"],
    ),
    ({"devices": ["SN-001"] * 101}, ["devices", "100"]),
    ({"devices": "SN-001"}, ["devices", "list"]),
]


@pytest.mark.parametrize(("changes", "told"), WRONG, ids=lambda value: json.dumps(value)[:50])
def test_a_mistake_names_the_field_the_value_and_what_is_allowed(changes: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(MalformedEntitlement) as caught:
        validate(fields(**changes))
    assert all(word in caught.value.render("en") for word in told)
    field = told[0].removeprefix("there is no field ")
    assert field in caught.value.render("ja")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(MalformedEntitlement) as caught:
        validate(fields(serial=0, capacity="x", box=None, surprise=1))
    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", "null", "5", '"text"', "{}", '{"serial": 1, "serial": 2}', "[" * 100_000, "\xff", '{"a": NaN}'],
)
def test_what_is_no_document_is_told(document: str) -> None:
    with pytest.raises(MalformedEntitlement):
        parse(document)


@given(st.dictionaries(st.sampled_from([*Entitlement.model_fields, "other"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3,
)))  # fmt: skip
def test_whatever_stands_in_it_the_answer_is_a_sentence(changes: dict[str, Any]) -> None:
    try:
        entitlement = validate(fields() | changes)
    except MalformedEntitlement as error:
        assert error.render("ja")
        assert error.render("en")
    else:
        assert parse(entitlement.encode()) == entitlement


def test_it_is_for_one_box() -> None:
    require_for(validate(fields()), BOX)
    with pytest.raises(WrongBox, match=BOX):
        require_for(validate(fields()), "0" * 32)


def test_only_a_higher_number_replaces_a_lower() -> None:
    require_installable(validate(fields(serial=4)), NOW, 3)
    for serial in (1, 3):
        with pytest.raises(Older, match="number 3"):
            require_installable(validate(fields(serial=serial)), NOW, 3)


@pytest.mark.parametrize(
    ("changes", "at", "error"),
    [
        ({}, NOW, None),
        ({}, NOW - TOLERANCE, None),
        ({}, NOW - TOLERANCE - timedelta(seconds=1), NotYetValid),
        ({"valid_from": "2026-05-25T00:00:00+00:00"}, NOW, NotYetValid),
        ({"valid_from": "2026-05-25T00:00:00+00:00"}, datetime(2026, 5, 25, tzinfo=UTC), None),
        ({"valid_until": "2026-05-25T00:00:00+00:00"}, datetime(2026, 5, 25, tzinfo=UTC) + TOLERANCE, None),
        ({"valid_until": "2026-05-25T00:00:00+00:00"}, datetime(2026, 5, 25, 1, tzinfo=UTC), Expired),
    ],
)
def test_it_is_installed_in_its_time(changes: dict[str, Any], at: datetime, error: type[Exception] | None) -> None:
    entitlement = validate(fields(**changes))
    if error is None:
        require_installable(entitlement, at, 0)
    else:
        with pytest.raises(error, match="2026-05-2"):
            require_installable(entitlement, at, 0)


def test_a_clock_is_not_believed_that_is_unset_or_went_back() -> None:
    assert is_trusted(NOW, None)
    assert is_trusted(NOW, NOW + SETBACK)
    assert not is_trusted(NOW, NOW + SETBACK + timedelta(seconds=1))
    assert not is_trusted(UNSET_BEFORE - timedelta(seconds=1), None)
    assert "1970-01-01" in str(untrusted(datetime(1970, 1, 1, tzinfo=UTC), None))
    assert "2026-05-20" in str(untrusted(NOW, NOW + timedelta(days=40)))
    assert "2026-06-29" in str(untrusted(NOW, NOW + timedelta(days=40)))
