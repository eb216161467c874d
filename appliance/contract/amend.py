"""What an entitlement comes to with the amendments that count by now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from appliance.contract.civil import civil_day
from appliance.contract.directive import Amendment, Recorded
from appliance.contract.effect import effective_at
from appliance.contract.entitlement import Entitlement
from appliance.contract.terms import Terms


def amended(entitlement: Entitlement, directives: Iterable[Recorded], terms: Terms, now: datetime) -> Entitlement:
    """The entitlement at `now`, `directives` in order. Amendments older than the entitlement are in it already.

    A pending one, or one that lacks what it needs to count, changes nothing.
    """
    for recorded in directives:
        amendment = recorded.directive
        if not isinstance(amendment, Amendment) or amendment.issued_at < entitlement.issued_at:
            continue
        since = effective_at(recorded, terms, shrinks=shrinks(amendment, entitlement))
        if since is not None and since <= now:
            entitlement = apply(entitlement, amendment, since)
    return entitlement


def shrinks(amendment: Amendment, entitlement: Entitlement) -> bool:
    """Whether it makes the capacity or the units fewer."""
    pairs = ((amendment.capacity, entitlement.capacity), (amendment.units, entitlement.units))
    return any(new is not None and old is not None and new < old for new, old in pairs)


def apply(entitlement: Entitlement, amendment: Amendment, since: datetime) -> Entitlement:
    """The entitlement with what an amendment changes, from `since` on."""
    changes: dict[str, Any] = {
        name: getattr(amendment, name)
        for name in ("capacity", "units", "devices")
        if getattr(amendment, name) is not None
    }
    # The two say the same; the one that was not amended would contradict the other.
    if amendment.units is not None and amendment.capacity is None:
        changes["capacity"] = None
    if amendment.capacity is not None and amendment.units is None:
        changes["units"] = None
    if amendment.option_ends is not None:
        changes["options"] = tuple(
            one.model_copy(update={"ends_on": max(one.starts_on, civil_day(since))})
            if one.id == amendment.option_ends
            else one
            for one in entitlement.options
        )
    return entitlement.model_copy(update=changes)
