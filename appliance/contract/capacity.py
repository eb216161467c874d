"""What the terms make of how full the contract is: the state it is in, and when more must be applied for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from appliance.contract.box_state import BoxState, Condition
from appliance.contract.entitlement import Entitlement
from appliance.contract.profile import Meter, ServiceProfile
from appliance.contract.terms import Capacity, ChangeInBusinessDays, Terms
from appliance.text import T
from appliance.units import format_size

_LONGEST_WAIT = 400
"""Days before the capacity is full in which an application could still be too late."""


@dataclass(frozen=True)
class Figures:
    """What was counted, in bytes, and since when it has been so. None: not counted.

    `provider` is the provider's own figure of what is stored, `unseen` what it counted then that the box did not.
    `waiting` are snapshots that did not fit, of which the oldest needs `needed`. `held_at` is the capacity at which the
    provider's figure was above it, until that hold ends.
    """

    at: datetime
    stored: int | None = None
    collected: int | None = None
    provider: int | None = None
    unseen: int = 0
    waiting: int = 0
    needed: int | None = None
    held_at: int | None = None


def counted(profile: ServiceProfile, figures: Figures) -> int | None:
    """What the meter counts: what is stored, by whichever figure is more, or what is collected."""
    if profile.meter is Meter.COLLECTED:
        return figures.collected
    return max((one for one in (figures.stored, figures.provider) if one is not None), default=None)


def held_by_provider(profile: ServiceProfile, capacity: int | None, figures: Figures) -> int | None:
    """The capacity at which the provider's figure holds everything back, None where it does not.

    By the letter, what the provider counts above the capacity waits for an upgrade; freed room does not help then.
    """
    if capacity is None or not profile.holds:
        return None
    if figures.provider is not None and figures.provider > capacity:
        return capacity
    if figures.held_at is None or capacity > figures.held_at:
        return None
    exceeded = _rules(profile).exceeded
    ends_by_itself = exceeded is None or "below_capacity" in exceeded.release_from_provider
    return None if ends_by_itself else figures.held_at


def findings(profile: ServiceProfile, capacity: int | None, figures: Figures) -> tuple[Condition, ...]:
    """The state that the capacity brings, if any: at most one condition.

    None forbids anything: the gate itself lets nothing through that does not fit, and what makes room must go on.
    """
    used = counted(profile, figures)
    if capacity is None or used is None or profile.meter is Meter.NONE:
        return ()
    rules = _rules(profile)
    sizes = {"used": format_size(used), "capacity": format_size(capacity)}
    exceeded = rules.exceeded.clause if rules.exceeded is not None else _UNSAID
    if held_by_provider(profile, capacity, figures) is not None:
        why = T("The provider counts {used} under a capacity of {capacity}: no more backups are sent.", **sizes)
        return (Condition(BoxState.HOLD_CAPACITY, why, exceeded, figures.at, todo=MORE),)
    if profile.holds and figures.waiting:
        why = T(
            "{count} snapshots do not fit in the contracted capacity of {capacity} and are held back.",
            count=figures.waiting,
            **sizes,
        )
        return (Condition(BoxState.HOLD_CAPACITY, why, exceeded, figures.at, todo=MORE),)
    if used > capacity and not profile.holds:
        why = T("{used} are collected under a capacity of {capacity}; backups go on and may take longer.", **sizes)
        return (Condition(BoxState.OVER_CAPACITY_WARN, why, exceeded, figures.at, todo=MORE),)
    if used >= capacity:
        why = T("The contracted capacity is reached: {used} of {capacity}.", **sizes)
        reached = rules.reached.clause if rules.reached is not None else _UNSAID
        return (Condition(BoxState.CAPACITY_REACHED, why, reached, figures.at, todo=MORE),)
    return ()


MORE = T("Ask your service provider for more capacity, or back up fewer sources.")
_UNSAID = "–"


def _rules(profile: ServiceProfile) -> Capacity:
    capacity = profile.terms.capacity if profile.terms is not None else None
    return capacity or Capacity(clause=_UNSAID)


class Upgrade(NamedTuple):
    """A capacity that would do: `units` and `fee` (yen a month, without tax) where the terms say them."""

    capacity: int
    units: int | None = None
    fee: int | None = None
    clause: str = ""


def proposal(profile: ServiceProfile, needed: int) -> Upgrade | None:
    """The least capacity in which `needed` bytes fit; None where it is sold in no units."""
    rules, fees = _rules(profile), profile.terms.fees if profile.terms is not None else None
    if rules.unit is None:
        return None
    units = max(1, -(-needed // rules.unit))
    fee = units * fees.per_unit if fees is not None and fees.per_unit is not None else None
    return Upgrade(units * rules.unit, units, fee, rules.clause)


def apply_by(terms: Terms, entitlement: Entitlement | None, full_on: date) -> date | None:
    """The last day for an application so that more capacity is there on `full_on`; None where the terms do not say.

    A day on which the provider is closed is none on which it arrives.
    """
    change = terms.change
    if not isinstance(change, ChangeInBusinessDays):
        return None
    closed = frozenset(entitlement.closed) if entitlement is not None else frozenset()
    for back in range(_LONGEST_WAIT):
        day = full_on - timedelta(days=back)
        if change.first(day, closed) <= full_on and change.days_open(closed).is_open(day):
            return day
    return None
