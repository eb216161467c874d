"""Directives: what each kind may say, and when a box takes one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.contract.directive import KINDS, MalformedDirective, parse, validate
from appliance.contract.taking import TOLERANCE, Expired, NotYetValid, Older, WrongBox, require_takeable
from tests.support.contract import BOX, directive_fields

NOW = datetime(2026, 5, 20, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_encoded_is_what_is_read(kind: str) -> None:
    directive = validate(directive_fields(kind))
    assert parse(directive.encode()) == directive
    assert set(directive.to_json()) == set(directive_fields(kind)), "what says nothing is left out"


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("suspension", {"kind": "holiday"}, ["kind", '"holiday"', "suspension", "plugin_off"]),
    ("suspension", {"kind": None}, ["kind", "null", "suspension"]),
    ("suspension", {"number": 0}, ["number", "1 or more"]),
    ("suspension", {"number": "1"}, ["number", '"1"', "whole number"]),
    ("suspension", {"box": "mine"}, ["box", '"mine"']),
    ("suspension", {"suspension": "total"}, ["suspension", '"total"', "operational"]),
    ("suspension", {"starts_at": None}, ["starts_at", "missing"]),
    ("suspension", {"starts_at": "2026-06-10T01:00:00"}, ["starts_at", "offset"]),
    ("suspension", {"ends_at": "2026-06-10T00:00:00+09:00"}, ["ends_at", "after starts_at"]),
    ("suspension", {"scope": "disk"}, ["scope", '"disk"', "upload", "device:SERIAL"]),
    ("suspension", {"scope": "device:SN 1"}, ["scope"]),
    ("suspension", {"wipe": True}, ["no field wipe"]),
    ("restriction", {"mode": "slow"}, ["mode", '"slow"', "rate_limit"]),
    ("restriction", {"mode": "rate_limit"}, ["limit"]),
    ("restriction", {"limit": "1 MB"}, ["limit"]),
    ("resumption", {"of": None}, ["of", "missing"]),
    ("amendment", {"capacity": None}, ["changes nothing"]),
    ("amendment", {"capacity": "lots"}, ["capacity", '"lots"', "500 GB"]),
    ("amendment", {"effective_on": "2026-02-30"}, ["effective_on", "2026-02-30"]),
    ("termination", {"ends_on": "2026-07-15"}, ["ends_on or effective_on"]),
    ("termination", {"by": "somebody"}, ["by", '"somebody"', "customer"]),
    ("end_of_service", {"ends_on": "2026-09-30"}, ["announced_on"]),
    ("terms_change", {"url": "http://example.com"}, ["url"]),
    ("notice", {"channel": "drum"}, ["channel", '"drum"', "paper"]),
    ("plugin_off", {"plugin": "../x"}, ["plugin"]),
]


@pytest.mark.parametrize(("kind", "changes", "told"), WRONG)
def test_a_mistake_names_the_field_the_value_and_what_is_allowed(
    kind: str, changes: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(MalformedDirective) as caught:
        validate(directive_fields(kind, **changes))
    for word in told:
        assert word in str(caught.value)


@pytest.mark.parametrize("document", [b"", b"[]", b'{"kind": "notice"', b"\xff", b'{"kind":"notice","kind":"notice"}'])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedDirective):
        parse(document)


def take(now: datetime = NOW, highest: int = 0, contract: str | None = "C-2026/17", **changes: Any) -> None:
    require_takeable(validate(directive_fields("notice", **changes)), BOX, contract, now, highest)


def test_a_box_takes_its_own_next_message() -> None:
    take()
    take(highest=6, number=7)
    take(contract=None)
    take(NOW - TOLERANCE)


def test_what_is_not_for_this_box_or_not_for_now_is_refused() -> None:
    with pytest.raises(WrongBox):
        take(box="0" * 32)
    with pytest.raises(WrongBox):
        take(contract="C-9")
    for number in (6, 7):
        with pytest.raises(Older):
            take(highest=7, number=number)
    with pytest.raises(NotYetValid):
        take(NOW - TOLERANCE - timedelta(seconds=1))
    until = NOW + timedelta(hours=1)
    take(until, valid_until=until.isoformat())
    with pytest.raises(Expired):
        take(until + TOLERANCE + timedelta(seconds=1), valid_until=until.isoformat())
