"""What a provider's terms come to on given days, without a box: a pure function of the terms and the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from appliance.contract import money
from appliance.contract.civil import Deadline, before, civil_day, last_day, month_end
from appliance.contract.terms import (
    EndAtExpiry,
    EndByAgreement,
    EndOfMonth,
    FirstTerm,
    MonthsAfterStart,
    Term,
    Terms,
    UntilDelivery,
    Within,
)


@dataclass(frozen=True)
class Outage:
    """A total outage: when the provider knew of it, and when it was over for certain."""

    known: datetime
    restored: datetime


@dataclass(frozen=True)
class Question:
    """The days and sums to compute from; what is None is not known, and nothing that needs it is answered.

    `suspended_at_midnight`: the suspension began at 00:00 to the second, so that its day counts (Civil Code 140).
    `closed` are the provider's own holidays. `at` is the day it is looked at, the contract's day if None.
    """

    contract_date: date | None = None
    start_date: date | None = None
    term_multiple: int = 1
    units: int | None = None
    monthly_fee: int | None = None
    at: date | None = None
    end_notice: date | None = None
    wish: date | None = None
    invoice_received: date | None = None
    due: date | None = None
    paid: date | None = None
    amount: int | None = None
    tax_rate: Fraction | None = None
    suspended_on: date | None = None
    suspended_at_midnight: bool = False
    change_received: date | None = None
    closed: frozenset[date] = frozenset()
    outage: Outage | None = None
    delivered: date | None = None
    terms_notice: date | None = None
    service_ends: date | None = None
    inquiry_sent: date | None = None

    @property
    def start(self) -> date | None:
        """The start of use: the contract's day where no other is known."""
        return self.start_date or self.contract_date


class Month(NamedTuple):
    """A calendar month: `2026-06`."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


Value = date | Month | int


class Answer(NamedTuple):
    """A value with the clause it comes from; `concerns` is the end of the term that a deadline is about."""

    value: Value
    clause: str
    concerns: date | None = None


def preview(terms: Terms, question: Question) -> dict[str, Answer]:
    """Every answer that the terms give and the question allows, by its name, always in the same order."""
    answers: dict[str, Answer] = {}
    for name, rule in ANSWERS.items():
        answer = rule(terms, question)
        if answer is not None:
            answers[name] = answer
    return answers


class Course(NamedTuple):
    """A contract's terms one after another, the first being number 1."""

    term: Term
    contract: date
    multiple: int

    @classmethod
    def of(cls, terms: Terms, question: Question) -> Course | None:
        """None where the contract has no terms, or its day is not known."""
        if terms.term is None or question.contract_date is None:
            return None
        return cls(terms.term, question.contract_date, question.term_multiple)

    def end(self, n: int) -> date:
        """The last day of term `n`."""
        return self.term.end(self.contract, n, self.multiple)

    def begin(self, n: int) -> date:
        """The first day of term `n`, from the second on."""
        return self.end(n - 1) + timedelta(days=1)

    def clause(self, n: int) -> str:
        """Where the terms say how long term `n` is."""
        return self.term.clause if n == 1 else self.term.renewal_clause

    def first(self, is_it: Callable[[date], bool]) -> int:
        """The number of the first term whose end fulfils `is_it`, which every later one does too."""
        n = 1
        while not is_it(self.end(n)):
            n += 1
        return n


def _expires_on(terms: Terms, question: Question) -> Answer | None:
    return _expiry(terms, question, 0)


def _next_expires_on(terms: Terms, question: Question) -> Answer | None:
    return _expiry(terms, question, 1)


def _expiry(terms: Terms, question: Question, later: int) -> Answer | None:
    """The end of the term that runs on the day it is looked at, or of one after it."""
    course = Course.of(terms, question)
    if course is None:
        return None
    day = question.at or course.contract
    n = course.first(lambda end: end >= day) + later
    return Answer(course.end(n), course.clause(n))


def _notice_last(terms: Terms, question: Question) -> Answer | None:
    return _notice(terms, question, lambda deadline: deadline.last)


def _notice_safe(terms: Terms, question: Question) -> Answer | None:
    return _notice(terms, question, lambda deadline: deadline.safe)


def _notice(terms: Terms, question: Question, reading: Callable[[Deadline], date]) -> Answer | None:
    """The first deadline that can still be kept, and the end of the term it is about."""
    course, rule = Course.of(terms, question), terms.nonrenewal
    if course is None or rule is None:
        return None
    day = question.at or course.contract
    expiry = course.end(course.first(lambda end: rule.deadline(end).last >= day))
    return Answer(reading(rule.deadline(expiry)), rule.clause, expiry)


def _minimum_term_ends_on(terms: Terms, question: Question) -> Answer | None:
    rule = terms.minimum_term
    end: date | None = None
    if isinstance(rule, FirstTerm):
        course = Course.of(terms, question)
        end = course.end(1) if course is not None else None
    elif isinstance(rule, MonthsAfterStart):
        end = rule.end(question.start) if question.start is not None else None
    elif isinstance(rule, UntilDelivery):
        end = question.delivered
    return Answer(end, rule.clause) if rule is not None and end is not None else None


def _earliest_end(terms: Terms, question: Question) -> Answer | None:
    """The end that a customer's notice brings: never within a minimum term, and not before the day that is wished."""
    rule, notice = terms.customer_end, question.end_notice
    if rule is None or notice is None or isinstance(rule, EndByAgreement):
        return None
    wish = question.wish or notice
    if isinstance(rule, EndAtExpiry):
        return _end_at_expiry(terms, question, rule, notice, wish)
    minimum = _minimum_term_ends_on(terms, question)
    if terms.minimum_term is not None and minimum is None:
        return None
    bounds = [(rule.end(notice), rule.clause), (wish, rule.clause)]
    if minimum is not None and isinstance(minimum.value, date):
        bounds.append((minimum.value, minimum.clause))
    end, clause = max(bounds, key=lambda bound: bound[0])
    return Answer(month_end(end) if isinstance(rule, EndOfMonth) else end, clause)


def _end_at_expiry(terms: Terms, question: Question, rule: EndAtExpiry, notice: date, wish: date) -> Answer | None:
    course, nonrenewal = Course.of(terms, question), terms.nonrenewal
    if course is None or nonrenewal is None:
        return None
    n = course.first(lambda end: nonrenewal.deadline(end).last >= notice and end >= wish)
    return Answer(course.end(n), rule.clause)


def _first_charged_month(terms: Terms, question: Question) -> Answer | None:
    if terms.fees is None or question.start is None:
        return None
    first = terms.fees.charged_from(question.start)
    return Answer(Month(first.year, first.month), terms.fees.clause)


def _total_fee(terms: Terms, question: Question) -> Answer | None:
    """All fees, without tax, through the month of the end, or else of the day it is looked at."""
    fees = terms.fees
    if fees is None or question.start is None:
        return None
    end = _earliest_end(terms, question) if question.end_notice is not None else None
    through = end.value if end is not None else question.service_ends or question.at
    monthly = question.monthly_fee
    if monthly is None and fees.per_unit is not None and question.units is not None:
        monthly = fees.per_unit * question.units
    if not isinstance(through, date) or monthly is None:
        return None
    months = money.months_charged(fees.charged_from(question.start), through)
    return Answer(fees.initial + months * monthly, fees.clause)


def _payment_due(terms: Terms, question: Question) -> Answer | None:
    rule = terms.payment
    if rule is None or question.invoice_received is None:
        return None
    return Answer(rule.due(question.invoice_received, question.closed), rule.clause)


def _renewal_payment_due(terms: Terms, question: Question) -> Answer | None:
    rule, expiry = terms.renewal_payment, _expires_on(terms, question)
    if rule is None or expiry is None or not isinstance(expiry.value, date):
        return None
    return Answer(rule.due(expiry.value, question.closed), rule.clause, expiry.value)


def _tax(terms: Terms, question: Question) -> Answer | None:
    """On the amount that is asked about, otherwise on the fees."""
    rule, net = terms.tax, _net(terms, question)
    if rule is None or question.tax_rate is None or net is None:
        return None
    clause = rule.clause if terms.rounding is None else f"{rule.clause}, {terms.rounding.clause}"
    return Answer(money.tax(net, question.tax_rate), clause)


def _with_tax(terms: Terms, question: Question) -> Answer | None:
    tax, net = _tax(terms, question), _net(terms, question)
    if tax is None or net is None or not isinstance(tax.value, int):
        return None
    return Answer(net + tax.value, tax.clause)


def _net(terms: Terms, question: Question) -> int | None:
    if question.amount is not None:
        return question.amount
    total = _total_fee(terms, question)
    return total.value if total is not None and isinstance(total.value, int) else None


def _late_fee(terms: Terms, question: Question) -> Answer | None:
    rule = terms.late_fee
    if rule is None or question.due is None or question.paid is None or question.amount is None:
        return None
    fee = money.late_fee(
        question.amount, question.due, question.paid, rate=rule.rate, waived_within=rule.waived_within_days
    )
    return Answer(fee, rule.clause)


def _termination_possible_from(terms: Terms, question: Question) -> Answer | None:
    """The first day on which the provider may terminate; nothing ends by itself then."""
    found: list[tuple[date, str]] = []
    if terms.cure is not None and question.suspended_on is not None:
        found.append((terms.cure.passed(question.suspended_on, question.suspended_at_midnight), terms.cure.clause))
    if terms.cure_unpaid is not None and question.due is not None:
        passed = terms.cure_unpaid.passed(question.due)
        if question.paid is None or question.paid >= passed:
            found.append((passed, terms.cure_unpaid.clause))
    return Answer(*min(found)) if found else None


def _change_possible_from(terms: Terms, question: Question) -> Answer | None:
    if terms.change is None or question.change_received is None:
        return None
    first = terms.change.first(question.change_received, question.closed)
    return Answer(first, terms.change.clause) if first is not None else None


def _outage_credit(terms: Terms, question: Question) -> Answer | None:
    rule, outage = terms.outage_credit, question.outage
    if rule is None or outage is None or question.monthly_fee is None:
        return None
    credit = money.outage_credit(outage.known, outage.restored, question.monthly_fee, divisor=rule.divisor)
    return Answer(credit, rule.clause)


def _claim_until(terms: Terms, question: Question) -> Answer | None:
    rule, outage = terms.outage_credit, question.outage
    if rule is None or outage is None or outage.restored - outage.known < money.FULL_DAY:
        return None
    first_credited = civil_day(outage.known + money.FULL_DAY)
    return Answer(last_day(first_credited, rule.claim, counted=False), rule.clause)


def _acceptance_last(terms: Terms, question: Question) -> Answer | None:
    return _last(terms.acceptance, question.delivered)


def _terms_effective_earliest(terms: Terms, question: Question) -> Answer | None:
    rule = terms.terms_change
    if rule is None or question.terms_notice is None:
        return None
    earliest = rule.last(question.terms_notice)
    return Answer(earliest, rule.clause) if earliest is not None else None


def _answer_by(terms: Terms, question: Question) -> Answer | None:
    return _last(terms.inquiry, question.inquiry_sent)


def _last(rule: Within | None, event: date | None) -> Answer | None:
    if rule is None or event is None:
        return None
    return Answer(rule.last(event), rule.clause)


def _announce_by(terms: Terms, question: Question) -> Answer | None:
    rule = terms.end_of_service
    if rule is None or question.service_ends is None:
        return None
    return Answer(before(question.service_ends, rule.lead).last, rule.clause)


def _capacity_bytes(terms: Terms, question: Question) -> Answer | None:
    if terms.capacity is None or terms.capacity.unit is None or question.units is None:
        return None
    return Answer(question.units * terms.capacity.unit, terms.capacity.clause)


ANSWERS: Mapping[str, Callable[[Terms, Question], Answer | None]] = {
    "expires_on": _expires_on,
    "next_expires_on": _next_expires_on,
    "notice_last": _notice_last,
    "notice_safe": _notice_safe,
    "minimum_term_ends_on": _minimum_term_ends_on,
    "earliest_end": _earliest_end,
    "first_charged_month": _first_charged_month,
    "total_fee": _total_fee,
    "tax": _tax,
    "with_tax": _with_tax,
    "payment_due": _payment_due,
    "renewal_payment_due": _renewal_payment_due,
    "late_fee": _late_fee,
    "termination_possible_from": _termination_possible_from,
    "change_possible_from": _change_possible_from,
    "outage_credit": _outage_credit,
    "claim_until": _claim_until,
    "acceptance_last": _acceptance_last,
    "terms_effective_earliest": _terms_effective_earliest,
    "announce_by": _announce_by,
    "answer_by": _answer_by,
    "capacity_bytes": _capacity_bytes,
}
"""Every name an answer may have, in the order in which they are read."""
