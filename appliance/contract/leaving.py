"""Leaving a contract as a customer: whether, from when, by which clause, and by when a renewal is declined. Pure.

Nothing here ends anything: the customer's notice does, once the provider has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from appliance.contract.calendar import question
from appliance.contract.civil import Deadline
from appliance.contract.entitlement import Entitlement
from appliance.contract.preview import Course, Question, preview
from appliance.contract.terms import EndAtExpiry, Terms


@dataclass(frozen=True)
class Declining:
    """Declining the next renewal: the term that then is the last, and by when the provider must have the notice."""

    ends_on: date
    deadline: Deadline
    clause: str
    written: bool


@dataclass(frozen=True)
class Leaving:
    """What the terms say to a customer who wants to leave on `on`.

    `possible`: the contract can be ended within a term; `ends_on` then is the earliest end, None where the parties have
    to agree on it. `declining` is the other way, where the contract is renewed.
    """

    on: date
    possible: bool
    ends_on: date | None
    clause: str
    declining: Declining | None


def leaving(terms: Terms, entitlement: Entitlement, on: date, wish: date | None = None) -> Leaving:
    """What a notice comes to that reaches the provider on the day `on` and wishes for the end on `wish`."""
    asked = question(entitlement, on)
    rule = terms.customer_end
    possible = not isinstance(rule, EndAtExpiry)
    end = preview(terms, Question(**{**vars(asked), "end_notice": on, "wish": wish})).get("earliest_end")
    clause = end.clause if end is not None else rule.clause if rule is not None else "–"
    ends_on = end.value if possible and end is not None and isinstance(end.value, date) else None
    return Leaving(on, possible, ends_on, clause, _declining(terms, asked, on))


def _declining(terms: Terms, asked: Question, on: date) -> Declining | None:
    course, rule = Course.of(terms, asked), terms.nonrenewal
    if course is None or rule is None:
        return None
    last = course.end(course.first(lambda end: rule.deadline(end).last >= on))
    return Declining(last, rule.deadline(last), rule.clause, rule.written)
