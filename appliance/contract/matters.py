"""Matters between customer and provider: what happened, who knows of it since when, and what follows. Pure.

A matter begins when somebody or something saw it, and is over when it is mended or settled. Terms let clocks run from
the moment at which the *provider* knows, so that is kept apart from when the box saw it (contracts 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from appliance.contract.civil import civil_day
from appliance.contract.directive import Notice, Recorded, Resumption, Topic
from appliance.contract.entitlement import Entitlement
from appliance.contract.fees import monthly_fee
from appliance.contract.preview import Answer, Outage, Question, preview
from appliance.contract.terms import Terms, Within


class MatterKind(StrEnum):
    """What a matter is about."""

    OUTAGE = "outage"
    """The cloud does not answer."""
    FAULT = "fault"
    """Something on the cloud's side does not work as it should."""
    INTRUSION_RISK = "intrusion-risk"
    INTRUSION = "intrusion"
    VIRUS = "virus"
    LEAK = "leak"
    """The cloud's key may be known to others."""
    ENQUIRY = "enquiry"
    """The provider asked something."""
    UNPAID = "unpaid"
    """The provider says that a fee is not paid."""


ON_THE_CLOUDS_SIDE = (MatterKind.FAULT, MatterKind.INTRUSION_RISK, MatterKind.INTRUSION, MatterKind.VIRUS)
"""What whoever arranged the cloud is told of and repairs."""


@dataclass(frozen=True)
class Matter:
    """One matter. Moments have their offset; days are Japan's.

    `told_at`: the provider was told; `known_at`: it says it knew. `over_at`: mended or answered; `settled_at`: nothing
    is left to be done about it. `partial`: only a part of the service was concerned. `due_on`: the day of the unpaid
    fee, or by which to answer.
    """

    id: str
    kind: MatterKind
    since: datetime
    subject: str = ""
    told_at: datetime | None = None
    known_at: datetime | None = None
    over_at: datetime | None = None
    settled_at: datetime | None = None
    partial: bool = False
    due_on: date | None = None

    @property
    def provider_knew_at(self) -> datetime | None:
        """From when the provider is known to have known, the earlier of the two."""
        return min((at for at in (self.told_at, self.known_at) if at is not None), default=None)


def asked_by(directives: tuple[Recorded, ...], terms: Terms) -> tuple[Matter, ...]:
    """The matters that the provider's notices open; one that a resumption takes back is over."""
    over = {one.directive.of: one.directive.resumes_at for one in directives if isinstance(one.directive, Resumption)}
    found = []
    for one in directives:
        notice = one.directive
        if not isinstance(notice, Notice) or notice.topic not in _TOPICS:
            continue
        due = notice.due_on
        if notice.topic is Topic.ENQUIRY:
            due = notice.answer_by or (terms.inquiry.last(civil_day(notice.sent_at)) if terms.inquiry else None)
        found.append(
            Matter(
                f"D{one.number}",
                _TOPICS[notice.topic],
                notice.sent_at,
                notice.subject,
                known_at=notice.sent_at,
                over_at=over.get(one.number),
                due_on=due,
            )
        )
    return tuple(found)


_TOPICS = {Topic.ENQUIRY: MatterKind.ENQUIRY, Topic.UNPAID: MatterKind.UNPAID}


def known_outages(directives: tuple[Recorded, ...]) -> tuple[datetime, ...]:
    """The moments from which the provider says it knew of an outage."""
    notices = (one.directive for one in directives)
    return tuple(one.known_at for one in notices if isinstance(one, Notice) and one.known_at is not None)


def credit(matter: Matter, terms: Terms, entitlement: Entitlement) -> dict[str, Answer]:
    """What an outage that is over comes to (`outage_credit`, `claim_until`); nothing where the terms credit nothing.

    The clock runs from the provider's knowledge; what was only partly out of use is not credited.
    """
    knew, over = matter.provider_knew_at, matter.over_at
    if matter.kind is not MatterKind.OUTAGE or knew is None or over is None or over <= knew or matter.partial:
        return {}
    fee = monthly_fee(civil_day(knew), terms, entitlement)
    return preview(terms, Question(outage=Outage(knew, over), monthly_fee=fee))


def terminable_from(matter: Matter, terms: Terms) -> tuple[date, str] | None:
    """From when the provider may end the contract over a fee that stays unpaid, and the clause."""
    rule = terms.cure_unpaid
    if matter.kind is not MatterKind.UNPAID or rule is None or matter.due_on is None:
        return None
    return rule.passed(matter.due_on), rule.clause


REMINDERS = (14, 7, 3, 1, 0)
"""Days before the last one on which an answer is reminded of."""


def reminder_step(last: date, today: date) -> int:
    """How often an answer due by `last` has been reminded of, that it is too late included."""
    return sum(today >= last - timedelta(days=days) for days in REMINDERS) + (today > last)


def acceptance_days(rule: Within, delivered: date, today: date) -> int | None:
    """How many days are left to report defects; None once it is too late."""
    left = (rule.deadline(delivered).last - today).days
    return left if left >= 0 else None
