"""How the contract of a box stands: one state, why, under which clause, what a person can do, and what is allowed.

The box computes and warns. Only a directive, an acknowledged end, or the contract's own capacity, region, protocol and
credential rules stop it (contracts 10): in no text does a date that passes, an unpaid fee or silence end anything by
itself. Collecting into the vault and restoring from it are allowed in every state.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache

from appliance.contract.civil import JAPAN, civil_day
from appliance.contract.directive import (
    EndOfService,
    PluginOff,
    Recorded,
    Restriction,
    Resumption,
    Suspension,
    SuspensionKind,
    Termination,
    Window,
)
from appliance.contract.effect import effective_at, midnight
from appliance.contract.entitlement import Entitlement
from appliance.contract.terms import Terms
from appliance.text import T, Text


@cache
def unsaid() -> Terms:
    """Terms that say nothing, for a service of which only storing is agreed."""
    return Terms(version=date(2000, 1, 1))


class BoxState(StrEnum):
    """How the contract stands, the weightiest first (contracts 8.2)."""

    ENDED = "ended"
    SUSPENDED_PROVISION = "suspended_provision"
    HOLD_REGION = "hold_region"
    HOLD_CONFIG = "hold_config"
    HOLD_CAPACITY = "hold_capacity"
    SUSPENDED_OPERATIONAL = "suspended_operational"
    RESTRICTED_TELECOM8 = "restricted_telecom8"
    OVER_CAPACITY_WARN = "over_capacity_warn"
    ENDING = "ending"
    CAPACITY_REACHED = "capacity_reached"
    UNPROVISIONED = "unprovisioned"
    CONTRACTED_NOT_STARTED = "contracted_not_started"
    ACTIVE = "active"


PRIORITY = tuple(BoxState)


class Action(StrEnum):
    """What a box may do, or not, as its contract stands."""

    COLLECT = "collect"
    """Back up into the vault."""
    LOCAL_RESTORE = "local_restore"
    UPLOAD = "upload"
    """Send to the cloud, and delete or rewrite there."""
    CLOUD_RESTORE = "cloud_restore"
    """Read from the cloud."""


ALWAYS = frozenset({Action.COLLECT, Action.LOCAL_RESTORE})
CLOUD = frozenset({Action.UPLOAD, Action.CLOUD_RESTORE})

_SCOPES = {"all": CLOUD, "upload": frozenset({Action.UPLOAD}), "restore": frozenset({Action.CLOUD_RESTORE})}


@dataclass(frozen=True)
class Condition:
    """One thing that holds now, or will from `since` on: what follows from it for the box, and the clause.

    `forbids` never holds what is always allowed. `only` narrows it to one device or user (`device:SN-001`). `rate` is
    the most bytes per second that may be sent. `directive` is the number of the one that orders it.
    """

    state: BoxState
    why: Text
    clause: str
    since: datetime
    until: datetime | None = None
    todo: Text | None = None
    forbids: frozenset[Action] = frozenset()
    only: str = ""
    rate: int | None = None
    directive: int | None = None


@dataclass(frozen=True)
class Standing:
    """How the contract stands. `conditions` are all that hold, the weightiest first; `upcoming` those that will."""

    state: BoxState
    conditions: tuple[Condition, ...] = ()
    upcoming: tuple[Condition, ...] = ()
    clock_trusted: bool = True

    @property
    def first(self) -> Condition | None:
        """The condition behind the state; None where all is well."""
        return self.conditions[0] if self.conditions else None

    @property
    def allowed(self) -> frozenset[Action]:
        """What the whole box may do."""
        return frozenset(action for action in Action if self.against(action) is None)

    @property
    def rate(self) -> int | None:
        """The most bytes per second that may be sent; None: no limit."""
        return min((one.rate for one in self.conditions if one.rate is not None), default=None)

    def against(self, action: Action, *, device: Collection[str] = (), users: Collection[str] = ()) -> Condition | None:
        """The weightiest condition that forbids `action` to the device with these names and these users; None: none."""
        return next((one for one in self.conditions if action in one.forbids and _meant(one, device, users)), None)


def is_named(device: str, names: Iterable[str]) -> bool:
    """Whether one of the names is the device, or has it as a part of its own: `disk:serial/SN-001`."""
    part = re.compile(rf"(?<![A-Za-z0-9]){re.escape(device)}(?![A-Za-z0-9])")
    return any(part.search(name) is not None for name in names)


def _meant(condition: Condition, device: Collection[str], users: Collection[str]) -> bool:
    kind, _, name = condition.only.partition(":")
    match kind:
        case "device":
            return is_named(name, device)
        case "user":
            return name in users
    return True


@dataclass(frozen=True)
class Case:
    """What the standing is judged from. `findings` are conditions that others saw: capacity, region, configuration.

    `now` is a moment that is trusted: while the clock is not (`clock_trusted`), the last one that was, so that a wrong
    clock neither locks nor unlocks. `provisioned`: an entitlement, or settings that stand for one, are there.
    """

    terms: Terms
    entitlement: Entitlement | None
    directives: tuple[Recorded, ...]
    now: datetime
    findings: tuple[Condition, ...] = ()
    provisioned: bool = True
    clock_trusted: bool = True


def judge(case: Case) -> Standing:
    """How the contract stands at `case.now`."""
    found = [*_provisioning(case), *case.findings, *_ordered(case)]
    found.sort(key=lambda one: (PRIORITY.index(one.state), one.since))
    holding = tuple(one for one in found if one.since <= case.now)
    upcoming = tuple(sorted((one for one in found if one.since > case.now), key=lambda one: one.since))
    state = holding[0].state if holding else BoxState.ACTIVE
    return Standing(state, holding, upcoming, case.clock_trusted)


def in_force(directives: Iterable[Recorded], contract_id: str | None) -> tuple[Recorded, ...]:
    """The directives of this contract, by number; those of an earlier contract no longer count."""
    mine = (one for one in directives if contract_id is None or one.directive.contract_id == contract_id)
    return tuple(sorted(mine, key=lambda one: one.number))


def taken_back(directives: Iterable[Recorded]) -> dict[int, datetime]:
    """By number, from when a directive no longer counts."""
    found: dict[int, datetime] = {}
    for one in directives:
        if isinstance(one.directive, Resumption):
            of, at = one.directive.of, one.directive.resumes_at
            found[of] = min(at, found.get(of, at))
    return found


def switched_off(directives: Iterable[Recorded], terms: Terms, now: datetime) -> tuple[str, ...]:
    """The plugins that the provider had switched off by `now`, by name."""
    directives = tuple(directives)
    ends = taken_back(directives)
    names = set()
    for one in directives:
        if isinstance(one.directive, PluginOff):
            since, until = effective_at(one, terms), ends.get(one.number)
            if since is not None and since <= now and (until is None or now < until):
                names.add(one.directive.plugin)
    return tuple(sorted(names))


def _provisioning(case: Case) -> Iterator[Condition]:
    entitlement = case.entitlement
    if not case.provisioned:
        yield Condition(
            BoxState.UNPROVISIONED,
            T("No contract is in force on this box yet."),
            _formation_clause(case.terms),
            since=case.now,
            todo=T("Install the entitlement from your service provider: kurabako contract install FILE"),
            forbids=CLOUD,
        )
    elif entitlement is not None and civil_day(case.now) < entitlement.service_start:
        yield Condition(
            BoxState.CONTRACTED_NOT_STARTED,
            T("The service starts on {day}.", day=entitlement.service_start.isoformat()),
            _formation_clause(case.terms),
            since=case.now,
            until=midnight(entitlement.service_start),
        )


def _formation_clause(terms: Terms) -> str:
    return terms.formation.clause if terms.formation is not None else "–"


def _ordered(case: Case) -> Iterator[Condition]:
    """What the directives order: what holds and what will; what is over is left out."""
    ends = taken_back(case.directives)
    for recorded in case.directives:
        for condition in _conditions(recorded, case):
            until = min((one for one in (condition.until, ends.get(recorded.number)) if one is not None), default=None)
            if until is None or (until > case.now and until > condition.since):
                yield replace(condition, until=until, directive=recorded.number)


def _conditions(recorded: Recorded, case: Case) -> tuple[Condition, ...]:
    match recorded.directive:
        case Suspension() as suspension:
            return (_suspension(suspension, case.terms),)
        case Restriction() as restriction:
            return (_restriction(restriction, case.terms),)
        case Termination() | EndOfService():
            return _end(recorded, case)
    return ()


SUSPENDED = (
    T("The provider suspends the service from {begin} to {end}."),
    T("The provider suspends the service from {begin} on."),
)
ENDED = T("The contract ended on {day}.")
REASONED = T("{what} Reason given: {reason}")
"""What is said of a suspension, of the end, and beside a reason that was given; to whom, is for who shows it."""


def _suspension(suspension: Suspension, terms: Terms) -> Condition:
    forbids, only = _scope(suspension)
    rule = getattr(terms.suspension, suspension.suspension.value) if terms.suspension is not None else None
    clause = suspension.reason_code or (rule.clause if rule is not None else "–")
    period = {"begin": shown(suspension.starts_at), "end": shown(suspension.ends_at)}
    provision = suspension.suspension is SuspensionKind.PROVISION
    if provision:
        why = Text(SUSPENDED[suspension.ends_at is None].message, period)
    elif suspension.ends_at is not None:
        why = T("The service is down for works or a fault from {begin} to {end}.", **period)
    else:
        why = T("The service is down for works or a fault since {begin}.", **period)
    if suspension.reason is not None:
        why = Text(REASONED.message, {"what": why, "reason": suspension.reason})
    return Condition(
        BoxState.SUSPENDED_PROVISION if provision else BoxState.SUSPENDED_OPERATIONAL,
        why,
        clause,
        since=suspension.starts_at,
        until=suspension.ends_at,
        todo=_cure(suspension, terms) if provision else T("Nothing is to be done; it ends by itself."),
        forbids=forbids,
        only=only,
    )


def _cure(suspension: Suspension, terms: Terms) -> Text:
    settle = T("Settle it with your service provider.")
    by_user = suspension.scope.startswith("user:")
    rule = terms.cure_user if by_user else terms.cure
    if rule is None:
        return settle
    began = suspension.starts_at.astimezone(JAPAN)
    at_midnight = began == midnight(began.date())
    day = rule.passed(began.date(), at_midnight=at_midnight)
    return T(
        "{settle} The provider may terminate the contract from {day} on ({clause}).",
        settle=settle,
        day=day.isoformat(),
        clause=rule.clause,
    )


def _restriction(restriction: Restriction, terms: Terms) -> Condition:
    forbids, only = _scope(restriction)
    paused = restriction.mode == "pause"
    return Condition(
        BoxState.RESTRICTED_TELECOM8,
        T("Important communications go first: transfers are paused.")
        if paused
        else T("Important communications go first: transfers are slowed down."),
        terms.restriction.clause if terms.restriction is not None else "–",
        since=restriction.starts_at,
        until=restriction.ends_at,
        todo=T("Nothing is to be done; transfers go on by themselves."),
        forbids=forbids if paused else frozenset(),
        only=only,
        rate=None if paused else restriction.limit,
    )


def _scope(window: Window) -> tuple[frozenset[Action], str]:
    """What a window forbids, and to whom; the provider's console is no matter of the box."""
    narrowed = window.scope.startswith(("device:", "user:"))
    return (CLOUD, window.scope) if narrowed else (_SCOPES.get(window.scope, frozenset()), "")


def _end(recorded: Recorded, case: Case) -> tuple[Condition, ...]:
    """The end, and until it comes that it is known."""
    off = effective_at(recorded, case.terms)
    assert off is not None
    day = last_day_before(off).isoformat()
    clause = case.terms.end.clause if case.terms.end is not None else "–"
    known = Condition(
        BoxState.ENDING,
        T("The contract ends on {day}.", day=day),
        clause,
        since=min(recorded.received_at, case.now),
        until=off,
        todo=T("Restore what you need from the cloud before that day; what is in the vault stays."),
    )
    ended = Condition(
        BoxState.ENDED,
        Text(ENDED.message, {"day": day}),
        getattr(recorded.directive, "ground", None) or clause,
        since=off,
        todo=_after_the_end(case.terms),
        forbids=CLOUD,
    )
    return (known, ended)


def _after_the_end(terms: Terms) -> Text:
    deletes = terms.end.provider_deletes if terms.end is not None else "unspecified"
    match deletes:
        case "without_notice":
            return T("The provider may delete what is in the cloud without notice: take it to be gone.")
        case "complete" | "promptly":
            return T("The provider erases what is in the cloud: take it to be gone.")
        case "return_or_destroy":
            return T("The provider returns or destroys what it holds: ask for the certificate.")
        case _:
            return T("When the data in the cloud is deleted is not defined in the terms: ask your service provider.")


def last_day_before(moment: datetime) -> date:
    """The last day that begins before `moment`: the last day of what is off from then on."""
    return civil_day(moment - timedelta(microseconds=1))


def shown(moment: datetime | None) -> str:
    """A moment in Japan's time, as people write it."""
    return "" if moment is None else moment.astimezone(JAPAN).strftime("%Y-%m-%d %H:%M")
