"""Whatever value stands wrong in a provider's document or profile: the message names field, value and what is allowed,
in our own words, which exist in Japanese."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.contract import directive, entitlement
from appliance.contract.document import Malformed, Mistaken, validated
from appliance.contract.profile import ServiceProfile
from appliance.text import Text
from appliance_services import service_profiles
from tests.contract.test_consistent import BOUGHT
from tests.support.contract import directive_fields, fields

WRONG = (None, True, -1, 1.5, 10**30, "", "x\n", "あ" * 5000, [], [{}], {}, {"no": 1})

ENTITLEMENT = fields(
    **BOUGHT["mjs"],
    valid_from="2026-05-20T09:00:00+09:00",
    valid_until="2027-05-20T09:00:00+09:00",
    term_years=1,
    contacts=[{"role": "administrator", "name": "花田", "mail": "a@example.co.jp"}],
    hosts=[{"what": "storage", "name": "s3.example.jp", "address": "10.1.2.3"}],
    fees=[{"amount": 8000, "kind": "monthly", "effective_on": "2026-06-01"}],
    closed=["2026-08-12"],
    backup_window={"starts": "22:00", "ends": "05:00"},
    options=[{"id": "a", "starts_on": "2026-06-01", "ends_on": "2026-07-01"}],
    protocols=["https:443"],
    site_country="JP",
)


def documents() -> Iterator[tuple[str, dict[str, Any], Callable[[Any], object]]]:
    yield "entitlement", ENTITLEMENT, entitlement.validate
    for kind in directive.KINDS:
        yield kind, directive_fields(kind, valid_until="2027-01-01T00:00:00+09:00"), directive.validate
    for profile in service_profiles():
        data = profile.model_dump(mode="json", exclude_unset=True)
        yield profile.id, data, lambda data: validated(ServiceProfile, data)


def spots(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield (*path, name)
        yield from spots(value, (*path, name))


def put(data: Any, path: tuple[str | int, ...], value: object) -> Any:
    changed = copy.deepcopy(data)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def messages(text: Text) -> Iterator[str]:
    yield text.message
    for value in text.values.values():
        if isinstance(value, Text):
            yield from messages(value)


@pytest.mark.parametrize(("name", "data", "read"), [*documents()], ids=lambda one: one if isinstance(one, str) else "")
def test_every_wrong_value_is_told_in_our_own_words(
    name: str, data: dict[str, Any], read: Callable[[Any], object]
) -> None:
    read(copy.deepcopy(data))
    refused, bad = 0, []
    for path in spots(data):
        for wrong in WRONG:
            try:
                read(put(data, path, wrong))
            except (Malformed, Mistaken) as error:
                refused += 1
                bad += [(path, wrong, str(mistake)) for mistake in error.mistakes if not well_said(mistake)]
    assert bad == []
    assert refused > 5, name


def well_said(mistake: Text) -> bool:
    """Whether it names the field, in words that are ours and exist in Japanese."""
    said = [*messages(mistake)]
    ours = "this is not allowed ({message})" not in said
    quoted = [value for value in mistake.values.values() if isinstance(value, str)]
    foreign = any("Input should" in one or "Value error" in one for one in quoted)
    japanese = any("ぁ" <= letter <= "ヿ" for letter in mistake.render("ja"))
    return (
        ours and not foreign and japanese and (len(said) == 1 or "field" in mistake.values or "why" in mistake.values)
    )
