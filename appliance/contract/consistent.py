"""Whether an entitlement and the terms it names go together, and the terms as this contract has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from appliance.contract.conduct import ConnectionType, Role
from appliance.contract.document import Mistaken, validated
from appliance.contract.entitlement import Entitlement, MalformedEntitlement
from appliance.contract.profile import Meter, ServiceProfile
from appliance.contract.terms import Terms
from appliance.text import T, Text
from appliance.units import format_size

_DEEPEST = 4
"""Tables of the terms stand in one another at most so deep."""


def agreed_profile(profile: ServiceProfile, entitlement: Entitlement) -> ServiceProfile:
    """The profile with what was agreed otherwise. Raises `MalformedEntitlement` with the mistakes in that.

    An individual agreement comes before the terms (MJS 7-5, DNT 1). Each rule that is changed names its clause in
    that agreement; `null` takes one away.
    """
    if not entitlement.overrides:
        return profile
    try:
        if profile.terms is None:
            raise Mistaken(_mistake("", entitlement.overrides, T("this service has no terms that could be overridden")))
        written = profile.terms.model_dump(mode="json", exclude_unset=True)
        merged = _merged(written, entitlement.overrides)
        return profile.model_copy(update={"terms": validated(Terms, merged)})
    except Mistaken as error:
        raise MalformedEntitlement(*(_in_overrides(mistake) for mistake in error.mistakes)) from None


def capacity_of(profile: ServiceProfile, entitlement: Entitlement) -> int | None:
    """The bytes that were bought: as written, or what the units come to. None: the contract has no capacity."""
    if entitlement.capacity is not None:
        return entitlement.capacity
    unit = _unit(profile)
    return unit * entitlement.units if unit is not None and entitlement.units is not None else None


def require_consistent(profile: ServiceProfile, entitlement: Entitlement) -> None:
    """Raises `MalformedEntitlement` with everything that does not go with the profile's terms."""
    agreed = agreed_profile(profile, entitlement)
    mistakes = tuple(_mistakes(agreed, entitlement))
    if mistakes:
        raise MalformedEntitlement(*mistakes)


def _mistakes(profile: ServiceProfile, entitlement: Entitlement) -> Iterator[Text]:
    yield from _capacity(profile, entitlement)
    terms = profile.terms
    if terms is None:
        return
    if terms.selection is not None and terms.selection.by == "device" and not entitlement.devices:
        yield _missing("devices")
    if terms.buckets is not None:
        if terms.buckets.contain_org_string and entitlement.org_string is None:
            yield _missing("org_string")
        for account in entitlement.accounts:
            if len(account.buckets) < terms.buckets.per_account:
                why = T("the terms give each account at least {count}", count=terms.buckets.per_account)
                yield _mistake(f"accounts.{account.user_id}.buckets", list(account.buckets), why)
    protocols = terms.network.protocols if terms.network is not None else None
    if protocols is not None and protocols.listed and not entitlement.protocols:
        yield _missing("protocols")
    if terms.network is not None and terms.network.connections is not None:
        rule, chosen = terms.network.connections, entitlement.connection_type or ConnectionType.INTERNET
        if chosen not in rule.types:
            yield _mistake("connection_type", chosen.value, T("write one of {choices}", choices=", ".join(rule.types)))
        if rule.vpn_is_separate and chosen is not ConnectionType.INTERNET and not entitlement.vpn_service:
            yield _mistake("vpn_service", False, T("{connection} needs it", connection=chosen.value))
    officers = [contact for contact in entitlement.contacts if contact.role is Role.INFORMATION_OFFICER]
    if terms.confidentiality is not None and terms.confidentiality.officers is not None:
        most = terms.confidentiality.officers
        if len(officers) > most:
            why = T("the terms allow at most {most} information officers", most=most)
            yield _mistake("contacts", len(officers), why)


def _capacity(profile: ServiceProfile, entitlement: Entitlement) -> Iterator[Text]:
    unit, capacity = _unit(profile), entitlement.capacity
    if capacity is None and (unit is None or entitlement.units is None):
        if profile.meter is not Meter.NONE:
            yield _missing("capacity" if unit is None else "units")
        return
    if unit is None or capacity is None:
        return
    if capacity % unit:
        yield _mistake("capacity", capacity, T("write a multiple of {unit}", unit=format_size(unit)))
    elif entitlement.units is not None and entitlement.units * unit != capacity:
        why = T("{units} units are {size}", units=entitlement.units, size=format_size(entitlement.units * unit))
        yield _mistake("capacity", capacity, why)


def _unit(profile: ServiceProfile) -> int | None:
    terms = profile.terms
    return terms.capacity.unit if terms is not None and terms.capacity is not None else None


def _missing(field: str) -> Text:
    return T("the field {field} is missing", field=field)


def _mistake(field: str, value: object, why: Text) -> Text:
    return T("{field} = {value}: {why}", field=field or "overrides", value=str(value)[:80], why=why)


def _in_overrides(mistake: Text) -> Text:
    field = mistake.values.get("field")
    return Text(mistake.message, {**mistake.values, "field": f"overrides.{field}"}) if field else mistake


def _merged(terms: Mapping[str, Any], changes: Mapping[str, Any], path: str = "", depth: int = 1) -> dict[str, Any]:
    merged = dict(terms)
    for name, change in changes.items():
        where = f"{path}.{name}" if path else name
        if change is None:
            merged.pop(name, None)
        elif not isinstance(change, dict):
            merged[name] = change
        elif depth == _DEEPEST:
            raise Mistaken(_mistake(where, change, T("there is no table so deep")))
        else:
            before = terms.get(name)
            merged[name] = _merged(before if isinstance(before, dict) else {}, change, where, depth + 1)
            if "clause" in merged[name] and not change.get("clause"):
                raise Mistaken(_mistake(where, change, T("write the agreement's own clause into it")))
    return merged
