"""What a contract costs, month by month: display only, never a ground for the box to do anything."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import NamedTuple

from appliance.contract.civil import next_month
from appliance.contract.entitlement import Entitlement
from appliance.contract.terms import Fees, Terms


class MonthlyFee(NamedTuple):
    """Whole yen a month, without tax, from the first of a month on."""

    since: date
    amount: int


def monthly_fees(fees: Fees, entitlement: Entitlement) -> tuple[MonthlyFee, ...]:
    """The monthly fees in order, each from the month it is first charged for.

    The first is charged from the month after the start of use. The month of a change is charged at the old fee or at
    the new one, as the terms say, whatever its day. Without fees in the entitlement, units have the terms' price.
    """
    first = fees.charged_from(entitlement.service_start)
    agreed = sorted((fee.effective_on, fee.amount) for fee in entitlement.fees if fee.kind == "monthly")
    if not agreed:
        if fees.per_unit is None or entitlement.units is None:
            return ()
        return (MonthlyFee(first, fees.per_unit * entitlement.units),)
    found = [MonthlyFee(first, agreed[0][1])]
    for (_, before), (since, amount) in pairwise(agreed):
        if amount == before:
            continue
        charged = max(first, next_month(since) if fees.change_month == "old" else since.replace(day=1))
        if found[-1].since == charged:
            found.pop()
        found.append(MonthlyFee(charged, amount))
    return tuple(found)


def fee_of(month: date, fees: Fees, entitlement: Entitlement) -> int | None:
    """What the month of this day costs, in yen; 0 before the first that is charged, None where nobody agreed on it."""
    known = monthly_fees(fees, entitlement)
    if not known:
        return None
    return next((fee.amount for fee in reversed(known) if fee.since <= month), 0)


def monthly_fee(day: date, terms: Terms, entitlement: Entitlement) -> int | None:
    """The basic monthly fee on a day, in yen, also where the terms themselves say nothing of fees; None: unknown."""
    if terms.fees is not None:
        return fee_of(day, terms.fees, entitlement)
    agreed = sorted((fee.effective_on, fee.amount) for fee in entitlement.fees if fee.kind == "monthly")
    return next((amount for since, amount in reversed(agreed) if since <= day), None)
