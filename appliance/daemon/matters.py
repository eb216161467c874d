"""What is to be settled with the provider, as problems for people: each matter with what to do about it now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.box_state import shown
from appliance.contract.civil import civil_day
from appliance.contract.entitlement import Entitlement
from appliance.contract.matters import (
    ON_THE_CLOUDS_SIDE,
    Matter,
    MatterKind,
    acceptance_days,
    credit,
    reminder_step,
    terminable_from,
)
from appliance.contract.support import telephone
from appliance.contract.terms import Terms
from appliance.contract.words import MATTERS
from appliance.errors import KurabakoError
from appliance.status.model import Problem, Severity
from appliance.text import T, Text

CLOSED_NEWS = 30
"""Days for which it is told that the time to report defects is over."""


def matter_problems(box: Box, contract: Contract) -> Iterator[Problem]:
    """What is open between customer and provider."""
    entitlement = contract.entitlement
    if entitlement is None:
        return
    try:
        matters = box.agreement.all_matters(contract)
    except KurabakoError:
        return  # told as the contract's refusal
    now, _ = box.agreement.entitlements.present()
    for matter in matters:
        if matter.settled_at is None:
            yield from _problem(matter, contract.terms, entitlement, now)
    yield from _acceptance(contract.terms, entitlement, now)


def _problem(matter: Matter, terms: Terms, entitlement: Entitlement, now: datetime) -> Iterator[Problem]:
    match matter.kind:
        case MatterKind.OUTAGE:
            yield from _outage(matter, terms, entitlement, now)
        case MatterKind.ENQUIRY:
            yield from _enquiry(matter, terms, now)
        case MatterKind.UNPAID:
            yield from _unpaid(matter, terms)
        case MatterKind.LEAK:
            yield from _leak(matter, terms, entitlement, now)
        case _:
            yield from _on_the_clouds_side(matter, terms, entitlement)


def _outage(matter: Matter, terms: Terms, entitlement: Entitlement, now: datetime) -> Iterator[Problem]:
    knew, rule = matter.provider_knew_at, terms.outage_credit
    if matter.over_at is None:
        what = T("The cloud has not answered since {moment}.", moment=shown(matter.since))
        if knew is not None:
            todo: Text | None = T("The provider has known of it since {moment}.", moment=shown(knew))
        elif rule is not None:
            todo = T(
                "Tell the provider at once, since a credit counts from its knowledge ({clause}); then type: "
                "kurabako contract told {id}",
                clause=rule.clause,
                id=matter.id,
            )
        else:
            todo = None
        severity = Severity.WARNING if rule is not None and knew is None else Severity.INFO
        yield Problem("matter.outage", severity, what, matter.since, matter.id, todo=_and(todo, _posted(terms)))
        return
    found = credit(matter, terms, entitlement)
    claim, sum_ = found.get("claim_until"), found.get("outage_credit")
    if claim is None or str(civil_day(now)) > str(claim.value):
        return
    what = T(
        "The cloud was out of use from {begin} to {end}, as the provider knew.",
        begin=shown(knew),
        end=shown(matter.over_at),
    )
    figures = {"day": str(claim.value), "clause": claim.clause, "id": matter.id}
    todo = (
        T(
            "Claim {amount} yen by {day} ({clause}); then type: kurabako contract settle {id}",
            amount=sum_.value,
            **figures,
        )
        if sum_ is not None
        else T("A credit can be claimed by {day} ({clause}); then type: kurabako contract settle {id}", **figures)
    )
    yield Problem("matter.credit", Severity.WARNING, what, matter.over_at, matter.id, todo=todo)


def _posted(terms: Terms) -> Text | None:
    """Where the provider posts what is wrong: nobody need wait for its mail."""
    if terms.support is None or terms.support.faults_url is None:
        return None
    return T("The provider posts what is wrong at {url}.", url=terms.support.faults_url)


def _enquiry(matter: Matter, terms: Terms, now: datetime) -> Iterator[Problem]:
    if matter.over_at is not None or matter.due_on is None:
        return
    today, last = civil_day(now), matter.due_on
    clause = terms.inquiry.clause if terms.inquiry is not None else "–"
    says = {"subject": matter.subject, "day": last.isoformat(), "clause": clause}
    late = today > last
    what = (
        T(
            "The provider's enquiry “{subject}” was to be answered by {day}; it may withdraw the service ({clause}).",
            **says,
        )
        if late
        else T("The provider's enquiry “{subject}” is to be answered by {day} ({clause}).", **says)
    )
    yield Problem(
        "matter.enquiry",
        Severity.ATTENTION if late else Severity.WARNING,
        what,
        matter.since,
        f"{matter.id}/{reminder_step(last, today)}",
        todo=T("Answer it, then type: kurabako contract settle {id}", id=matter.id),
    )


def _unpaid(matter: Matter, terms: Terms) -> Iterator[Problem]:
    if matter.over_at is not None or matter.due_on is None:
        return
    ends = terminable_from(matter, terms)
    pay = T("Pay it, or settle it with the provider; then type: kurabako contract settle {id}", id=matter.id)
    todo = (
        T("{pay} It may terminate the contract from {day} on ({clause}).", pay=pay, day=str(ends[0]), clause=ends[1])
        if ends is not None
        else pay
    )
    what = T("The provider says that the fee due on {day} is not paid.", day=matter.due_on.isoformat())
    safe = T("Backups go on; the box ends nothing by itself.")
    yield Problem("matter.unpaid", Severity.WARNING, what, matter.since, matter.id, safe=safe, todo=todo)


def _leak(matter: Matter, terms: Terms, entitlement: Entitlement, now: datetime) -> Iterator[Problem]:
    if matter.over_at is not None:
        return
    what = T(
        "Others may know the key of the cloud since {moment}; this box does not use it.", moment=shown(matter.since)
    )
    safe = T("What is in the vault and in the cloud is unharmed; backups into the vault go on.")
    if matter.told_at is None:
        todo: Text | None = T(
            "Tell the provider at once ({clause}); then type: kurabako contract told {id}",
            clause=terms.credentials.clause if terms.credentials is not None else "–",
            id=matter.id,
        )
        phone = telephone(terms.support, now, entitlement.closed) if terms.support is not None else None
        todo = _and(todo, phone)
        severity = Severity.ATTENTION
    else:
        told = shown(matter.told_at)
        todo = T(
            "The provider was told at {moment}. When it has changed the key: kurabako credentials set", moment=told
        )
        severity = Severity.WARNING
    yield Problem("matter.leak", severity, what, matter.since, matter.id, safe=safe, todo=todo)


def _on_the_clouds_side(matter: Matter, terms: Terms, entitlement: Entitlement) -> Iterator[Problem]:
    if matter.over_at is not None:
        return
    assert matter.kind in ON_THE_CLOUDS_SIDE
    what = T("On the cloud's side since {moment}: {what}.", moment=shown(matter.since), what=MATTERS[matter.kind])
    if matter.subject:
        what = T("{what} ({subject})", what=what, subject=matter.subject)
    todo = None
    if terms.routing is not None:
        todo = (
            T("The provider arranged the cloud and repairs it ({clause}).", clause=terms.routing.clause)
            if entitlement.cloud_arranged_by == "provider"
            else T("You arranged the cloud, so you have it repaired ({clause}).", clause=terms.routing.clause)
        )
    settled = T("When it is mended, type: kurabako contract settle {id}", id=matter.id)
    code = f"matter.{matter.kind.value}"
    yield Problem(code, Severity.ATTENTION, what, matter.since, matter.id, todo=_and(todo, settled))


def _acceptance(terms: Terms, entitlement: Entitlement, now: datetime) -> Iterator[Problem]:
    """The time in which defects of what was delivered can be reported, and that it is over."""
    rule, delivered, today = terms.acceptance, entitlement.delivered_on, civil_day(now)
    if rule is None or delivered is None or today < delivered:
        return
    deadline, left = rule.deadline(delivered), acceptance_days(rule, delivered, today)
    if left is None:
        if (today - deadline.last).days <= CLOSED_NEWS:
            what = T(
                "The time to report defects is closed since {day} ({clause}).",
                day=str(deadline.last),
                clause=rule.clause,
            )
            yield Problem("acceptance.closed", Severity.INFO, what, now)
        return
    yield Problem(
        "acceptance.open",
        Severity.WARNING if left <= 7 else Severity.INFO,
        T(
            "What was delivered on {delivered} can be found wanting until {last} ({clause}); do so by {safe}.",
            delivered=str(delivered),
            last=str(deadline.last),
            safe=str(deadline.safe),
            clause=rule.clause,
        ),
        now,
        todo=T("For a dated report, type: kurabako contract acceptance --output FILE"),
    )


def _and(first: Text | None, second: Text | None) -> Text | None:
    if first is None or second is None:
        return first or second
    return T("{first} {second}", first=first, second=second)
