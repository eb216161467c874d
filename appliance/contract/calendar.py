"""The coming dates of a contract, each with its clause: what ends, what begins, and by when somebody must act.

Pure: from the terms, what was bought and the day it is looked at. A deadline has two readings (contracts 2.2): whoever
must act goes by `safe`, and only after `last` is anything fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.contract.business import BusinessDays, Calendar
from appliance.contract.civil import Deadline
from appliance.contract.entitlement import Entitlement
from appliance.contract.fees import monthly_fees
from appliance.contract.preview import Course, Question, preview
from appliance.contract.terms import Terms

TERMS_SHOWN = 2
"""Terms that are looked ahead: the one that runs, and the one after it."""


class Date(StrEnum):
    """What a date is."""

    MINIMUM_TERM_ENDS = "minimum_term_ends"
    NOTICE_AGAINST_RENEWAL = "notice_against_renewal"
    RENEWAL_PAYMENT = "renewal_payment"
    TERM_ENDS = "term_ends"
    TERM_BEGINS = "term_begins"
    CHARGED_FROM = "charged_from"
    FEE_CHANGES = "fee_changes"
    OPTION_BEGINS = "option_begins"
    OPTION_ENDS = "option_ends"
    ACCEPTANCE = "acceptance"


@dataclass(frozen=True)
class Entry:
    """One date. `on` is the day itself, or a deadline's last day, and `safe` the day to go by.

    `practical` is the last business day up to `safe`, where paper must arrive. `concerns` is the end of the term that
    a deadline is about, `subject` the option or the fee in yen.
    """

    on: date
    what: Date
    clause: str
    safe: date | None = None
    practical: date | None = None
    concerns: date | None = None
    subject: str = ""


@dataclass(frozen=True)
class IfToday:
    """What would follow if the customer acted on the day it is looked at; None where the terms do not say."""

    earliest_end: date | None = None
    end_clause: str = ""
    change_from: date | None = None
    change_clause: str = ""


@dataclass(frozen=True)
class ContractCalendar:
    """The dates from `at` on, in order, and what acting then would bring.

    `renews_until` is the end of the next term where the renewal can no longer be prevented.
    """

    at: date
    entries: tuple[Entry, ...]
    if_today: IfToday
    renews_until: date | None = None


def question(entitlement: Entitlement, at: date) -> Question:
    """What an entitlement says of the contract's days, for `appliance.contract.preview`."""
    return Question(
        contract_date=entitlement.contract_date,
        start_date=entitlement.service_start,
        term_multiple=entitlement.term_years or 1,
        units=entitlement.units,
        at=at,
        closed=frozenset(entitlement.closed),
        delivered=entitlement.delivered_on,
    )


def coming(terms: Terms, entitlement: Entitlement, at: date) -> ContractCalendar:
    """The calendar of a contract as it is seen on the day `at` of Japan's calendar."""
    asked = question(entitlement, at)
    entries = [
        *_terms_of(terms, asked, at),
        *_once(terms, asked),
        *_options(entitlement),
        *_fees(terms, entitlement),
    ]
    today = preview(terms, Question(**{**vars(asked), "end_notice": at, "change_received": at}))
    end, change = today.get("earliest_end"), today.get("change_possible_from")
    return ContractCalendar(
        at=at,
        entries=tuple(
            sorted({entry for entry in entries if entry.on >= at}, key=lambda entry: (entry.on, entry.what.value))
        ),
        if_today=IfToday(
            _day(end.value) if end else None,
            end.clause if end else "",
            _day(change.value) if change else None,
            change.clause if change else "",
        ),
        renews_until=_fixed(terms, asked, at),
    )


def _day(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _terms_of(terms: Terms, asked: Question, at: date) -> Iterator[Entry]:
    course = Course.of(terms, asked)
    if course is None:
        return
    running = course.first(lambda end: end >= at)
    # From the term before: its renewal may be payable when the next one runs already.
    for n in range(max(1, running - 1), running + TERMS_SHOWN):
        end = course.end(n)
        yield Entry(end, Date.TERM_ENDS, course.clause(n))
        if n > 1:
            yield Entry(course.begin(n), Date.TERM_BEGINS, course.clause(n), concerns=end)
        if terms.nonrenewal is not None:
            deadline = terms.nonrenewal.deadline(end)
            practical = _practical(deadline, asked) if terms.nonrenewal.written else None
            yield Entry(
                deadline.last, Date.NOTICE_AGAINST_RENEWAL, terms.nonrenewal.clause, deadline.safe, practical, end
            )
        if terms.renewal_payment is not None:
            due = terms.renewal_payment.due(end, asked.closed)
            yield Entry(due, Date.RENEWAL_PAYMENT, terms.renewal_payment.clause, concerns=end)


def _practical(deadline: Deadline, asked: Question) -> date:
    return BusinessDays(Calendar.PROVIDER, asked.closed).on_or_before(deadline.safe)


def _fixed(terms: Terms, asked: Question, at: date) -> date | None:
    """The end of the next term, once nobody can prevent its renewal any more."""
    course = Course.of(terms, asked)
    if course is None or terms.nonrenewal is None:
        return None
    running = course.first(lambda end: end >= at)
    last = running
    while terms.nonrenewal.deadline(course.end(last)).last < at:
        last += 1
    return course.end(last) if last > running else None


def _once(terms: Terms, asked: Question) -> Iterator[Entry]:
    answers = preview(terms, asked)
    minimum = answers.get("minimum_term_ends_on")
    if minimum is not None and isinstance(minimum.value, date):
        yield Entry(minimum.value, Date.MINIMUM_TERM_ENDS, minimum.clause)
    if terms.acceptance is not None and asked.delivered is not None:
        deadline = terms.acceptance.deadline(asked.delivered)
        yield Entry(deadline.last, Date.ACCEPTANCE, terms.acceptance.clause, deadline.safe)
    if terms.fees is not None and asked.start is not None:
        yield Entry(terms.fees.charged_from(asked.start), Date.CHARGED_FROM, terms.fees.clause)


def _options(entitlement: Entitlement) -> Iterator[Entry]:
    for option in entitlement.options:
        yield Entry(option.starts_on, Date.OPTION_BEGINS, "", subject=option.id)
        if option.ends_on is not None:
            yield Entry(option.ends_on, Date.OPTION_ENDS, "", subject=option.id)


def _fees(terms: Terms, entitlement: Entitlement) -> Iterator[Entry]:
    if terms.fees is None:
        return
    for since, amount in monthly_fees(terms.fees, entitlement)[1:]:
        yield Entry(since, Date.FEE_CHANGES, terms.fees.clause, subject=str(amount))
