"""When a directive counts, and what of it is not as the terms demand. Pure; all days are Japan's.

A message that says less than the terms demand, or comes later than they allow, is obeyed all the same and noted as
irregular: whether it binds the customer is for people to settle, not for a box.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from appliance.contract.civil import JAPAN, before, civil_day
from appliance.contract.directive import (
    Amendment,
    Channel,
    EndOfService,
    Notice,
    PluginOff,
    Recorded,
    Restriction,
    Resumption,
    Suspension,
    Termination,
    TermsChange,
    Window,
)
from appliance.contract.terms import ChangeAsStated, ChangeNextMonth, Terms
from appliance.text import T, Text


@dataclass(frozen=True)
class Irregularity:
    """Something in a directive that is not as the terms demand."""

    field: str
    why: Text
    clause: str


def midnight(day: date) -> datetime:
    """00:00 in Japan at the beginning of `day`."""
    return datetime.combine(day, time(), JAPAN)


def effective_at(recorded: Recorded, terms: Terms, *, shrinks: bool = False) -> datetime | None:
    """From when a directive counts, whether or not the box was on or anybody read it.

    None: it does not count, or lacks what it needs to. `shrinks`: it is an amendment to a smaller capacity.
    """
    match recorded.directive:
        case Window() as window:
            return window.starts_at
        case Resumption() as resumption:
            return resumption.resumes_at
        case Termination() as termination:
            return _terminated(termination, recorded.received_at, terms)
        case EndOfService() as end:
            return midnight(end.ends_on + timedelta(days=1))
        case Amendment() as amendment:
            return _amended(amendment, recorded.received_at, terms, shrinks=shrinks)
        case TermsChange() as change:
            return _changed(change, terms)
        case Notice() as notice:
            return _noticed(notice, recorded.received_at, terms)
        case PluginOff() as off:
            return off.effective_at or off.issued_at
    raise TypeError(recorded.directive)


def _terminated(termination: Termination, received_at: datetime, terms: Terms) -> datetime:
    stated = termination.sent_at or termination.issued_at
    if termination.effective_on is not None:
        stated = midnight(termination.effective_on)
    elif termination.ends_on is not None:
        stated = midnight(termination.ends_on + timedelta(days=1))
    on_arrival = terms.notices is not None and terms.notices.termination == "arrived"
    return max(stated, received_at) if on_arrival else stated


def _amended(amendment: Amendment, received_at: datetime, terms: Terms, *, shrinks: bool) -> datetime | None:
    if amendment.refused_on is not None:
        return None
    if amendment.option_ends is not None and terms.end_of_option is not None:
        return received_at
    day = amendment.effective_on or amendment.accepted_on or civil_day(amendment.issued_at)
    change = terms.change
    if isinstance(change, ChangeAsStated) and change.rule == "as_confirmed":
        if amendment.arrived_on is None or amendment.confirmed_on is None:
            return None
        day = max(amendment.effective_on or amendment.confirmed_on, amendment.arrived_on, amendment.confirmed_on)
    if isinstance(change, ChangeNextMonth) and shrinks:
        day = change.first(day, frozenset())
    return midnight(day)


def contract_day(amendment: Amendment, terms: Terms) -> date | None:
    """The day from which an amendment counts for the contract and its fees, where that is another than for the box."""
    if isinstance(terms.change, ChangeAsStated):
        return amendment.accepted_on or amendment.arrived_on if terms.change.fees_clause is not None else None
    day = amendment.effective_on or amendment.accepted_on
    if day is None or not isinstance(terms.change, ChangeNextMonth):
        return None
    return terms.change.first(day, frozenset())


def _changed(change: TermsChange, terms: Terms) -> datetime:
    day = change.effective_on or _earliest(change, terms)
    return change.sent_at if day is None else max(change.sent_at, midnight(day))


def _earliest(change: TermsChange, terms: Terms) -> date | None:
    return terms.terms_change.last(civil_day(change.sent_at)) if terms.terms_change is not None else None


def _noticed(notice: Notice, received_at: datetime, terms: Terms) -> datetime:
    rule = terms.notices
    if rule is None:
        return received_at
    on_sending = {
        Channel.MAIL: rule.mail == "sent",
        Channel.WEB: rule.web == "posted",
        Channel.PAPER: rule.paper == "sent",
    }
    return notice.sent_at if on_sending[notice.channel] else received_at


def irregularities(recorded: Recorded, terms: Terms) -> tuple[Irregularity, ...]:
    """What of a directive is not as the terms demand: the field, what is wrong, and the clause."""
    match recorded.directive:
        case Suspension() as suspension:
            return _suspension(suspension, terms)
        case Restriction() if terms.restriction is None:
            return (Irregularity("kind", T("the terms know no such restriction"), "–"),)
        case Amendment() as amendment:
            return _amendment(amendment, terms)
        case EndOfService() as end:
            return _end_of_service(end, terms)
        case TermsChange() as change:
            return _terms_change(change, terms)
        case PluginOff() if terms.replacement is None:
            return (Irregularity("kind", T("the terms do not say that a part may be switched off"), "–"),)
    return ()


def _missing(field: str, clause: str) -> Irregularity:
    return Irregularity(field, T("the field {field} is missing", field=field), clause)


def _suspension(suspension: Suspension, terms: Terms) -> tuple[Irregularity, ...]:
    rule = getattr(terms.suspension, suspension.suspension.value) if terms.suspension is not None else None
    if rule is None:
        return ()
    found = []
    if "period" in rule.required and suspension.ends_at is None:
        found.append(_missing("ends_at", rule.clause))
    if "reason" in rule.required and suspension.reason is None and suspension.reason_code is None:
        found.append(_missing("reason", rule.clause))
    if rule.grounds and suspension.reason_code is not None and suspension.reason_code not in rule.grounds:
        grounds = T("the terms know the grounds {grounds}", grounds=", ".join(rule.grounds))
        found.append(Irregularity("reason_code", grounds, rule.clause))
    told = suspension.notice_sent_at or suspension.issued_at
    if rule.prior and told >= suspension.starts_at and not (rule.urgent and suspension.urgent):
        late = T("it was told only when it had begun, and it does not say that it is urgent")
        found.append(Irregularity("notice_sent_at", late, rule.clause))
    return tuple(found)


def _amendment(amendment: Amendment, terms: Terms) -> tuple[Irregularity, ...]:
    change = terms.change
    if not isinstance(change, ChangeAsStated) or change.rule != "as_confirmed" or amendment.option_ends is not None:
        return ()
    return tuple(
        _missing(field, change.clause) for field in ("arrived_on", "confirmed_on") if getattr(amendment, field) is None
    )


def _end_of_service(end: EndOfService, terms: Terms) -> tuple[Irregularity, ...]:
    rule = terms.end_of_service
    if rule is None or end.ground in rule.exceptions:
        return ()
    last = before(end.ends_on, rule.lead).last
    if end.announced_on <= last:
        return ()
    why = T("the end was to be announced by {day}", day=last.isoformat())
    return (Irregularity("announced_on", why, rule.clause),)


def _terms_change(change: TermsChange, terms: Terms) -> tuple[Irregularity, ...]:
    rule, earliest = terms.terms_change, _earliest(change, terms)
    if rule is None or change.effective_on is None or (rule.urgent and change.urgent):
        return ()
    if rule.stated:
        earliest = civil_day(change.sent_at)
    if earliest is None or change.effective_on >= earliest:
        return ()
    why = T("new terms take effect on {day} at the earliest", day=earliest.isoformat())
    return (Irregularity("effective_on", why, rule.clause),)
