"""A provider's terms as data: periods, deadlines, money and capacity here, how it is kept in `conduct`; each rule with
the clause it comes from.

Where a table of numbers cannot say a rule, `rule` names one of the kinds below: the first day of which month, the end
of which term. A kind is a small model with a pure method; none knows whose terms name it.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from appliance.contract import conduct
from appliance.contract.business import BusinessDays, Calendar
from appliance.contract.civil import Deadline, before, last_day, month_end, next_month, shift_months
from appliance.contract.rule import AnyPeriod, Clause, Months, Period, Rate, Rule, Size, Table, Yen
from appliance.text import T


class Term(Rule):
    """How long the contract runs before it is renewed, silently, for the same length again."""

    length: Months
    first_day: Literal["counted", "not_counted"]
    """Whether the contract's own day is the first of the term."""
    multiples: bool = False
    """Whether a contract may be for several `length`s at once."""
    renewal_clause: Clause

    def end(self, contract: date, n: int, multiple: int) -> date:
        """The last day of the `n`-th term (from 1), counted from the contract's day and never from the term before."""
        span = self.length.times(n * (multiple if self.multiples else 1))
        return last_day(contract, span, counted=self.first_day == "counted")


class Nonrenewal(Rule):
    """By when a party must say that it does not want the renewal."""

    notice: Period
    anchor: Literal["expiry", "month_end"]
    """What `notice` counts back from: the last day of the term or of its month."""
    written: bool = False
    """Whether paper must arrive, for which a holiday is no day."""

    def deadline(self, expiry: date) -> Deadline:
        """The deadline against the renewal of the term that ends on `expiry`."""
        return before(month_end(expiry) if self.anchor == "month_end" else expiry, self.notice)


class FirstTerm(Rule):
    """The minimum is the first term."""

    rule: Literal["first_term"]


class MonthsAfterStart(Rule):
    """The minimum counts from the first of the month after the start of use."""

    rule: Literal["from_month_after_start"]
    length: Months

    def end(self, start: date) -> date:
        """The last day of the minimum."""
        return last_day(next_month(start), self.length, counted=True)


class UntilDelivery(Rule):
    """The minimum, and the contract where its papers set no term, runs until delivery."""

    rule: Literal["until_delivery"]


class EndAtExpiry(Rule):
    """The customer can leave at the end of a term only."""

    rule: Literal["expiry"]


class EndAfterNotice(Rule):
    """The customer can leave `notice` after the notice arrives, but not within a minimum term."""

    rule: Literal["after_notice"]
    notice: Months

    def end(self, arrived: date) -> date:
        """The earliest end of a notice that arrives on `arrived`."""
        return last_day(arrived, self.notice, counted=False)


class EndOfMonth(Rule):
    """The customer can leave at the end of a month, `months` after the one in which the notice arrives."""

    rule: Literal["month_end"]
    months: Annotated[int, Field(ge=0, le=12, strict=True)]

    def end(self, arrived: date) -> date:
        """The earliest end of a notice that arrives on `arrived`."""
        return month_end(shift_months(arrived, self.months))


class EndByAgreement(Rule):
    """The customer can leave when the parties agree on how."""

    rule: Literal["by_agreement"]


class ChangeInBusinessDays(Rule):
    """A change is possible from the `days`-th business day after its form arrives."""

    rule: Literal["business_days"]
    days: Annotated[int, Field(ge=1, le=366, strict=True)]
    calendar: Calendar

    def first(self, received: date, closed: frozenset[date]) -> date:
        """The first day of the change."""
        return self.days_open(closed).nth_after(received, self.days)

    def days_open(self, closed: frozenset[date]) -> BusinessDays:
        """The business days that count."""
        return BusinessDays(self.calendar, closed)


class ChangeNextMonth(Rule):
    """A change counts from the first of the month after the one in which it is first used."""

    rule: Literal["next_month"]

    def first(self, received: date, closed: frozenset[date]) -> date:  # noqa: ARG002 - as its siblings
        """The first day of the change."""
        return next_month(received)


class ChangeAsStated(Rule):
    """A change counts from a day that the provider alone knows, and states.

    `as_stated`: when the changed service begins. `as_accepted`: when its acceptance is sent. `as_confirmed`: when its
    form has arrived and the provider has confirmed it.
    """

    rule: Literal["as_stated", "as_accepted", "as_confirmed"]
    fees_clause: Clause | None = None
    """Where the terms say that its fees count from the acceptance (受理) of its form."""

    def first(self, received: date, closed: frozenset[date]) -> None:
        """Nobody can say from the form alone."""


class MonthEndPayment(Rule):
    """Payable by the end of a month; where that is no business day, by the one before or after."""

    months: Annotated[int, Field(ge=0, le=12, strict=True)] = 0
    """How many months after the month that decides (of the invoice, of the expiry)."""
    calendar: Calendar
    roll: Literal["before", "after"]

    def due(self, day: date, closed: frozenset[date]) -> date:
        """The day to pay by."""
        days = BusinessDays(self.calendar, closed)
        end = month_end(shift_months(day, self.months))
        return days.on_or_after(end) if self.roll == "after" else days.on_or_before(end)


class LateFee(Rule):
    """What late payment costs, counted from the day after the due date."""

    rate: Rate
    """A year, as text: `"0.146"`."""
    waived_within_days: Annotated[int, Field(ge=0, le=366, strict=True)] = 0
    """Nothing is charged up to this many days."""


class Fees(Rule):
    """Whole calendar months are charged, from the month after the start of use through the month of the end."""

    initial: Yen = 0
    per_unit: Yen | None = None
    """A month and unit of capacity; None where each contract has its own fee."""
    change_month: Literal["old", "new"] = "old"
    """Which fee the month of a change of plan is charged at."""

    def charged_from(self, start: date) -> date:
        """The first day that is charged, after a use that starts on `start`."""
        return next_month(start)


class Within(Rule):
    """Something is due within a period after a day that does not count itself (Civil Code 140)."""

    within: AnyPeriod

    def last(self, event: date) -> date:
        """The last day of the period."""
        return last_day(event, self.within, counted=False)

    def deadline(self, event: date) -> Deadline:
        """The last day under both readings: whether the event's own day counts is not always said."""
        last = self.last(event)
        return Deadline(min(last, last_day(event, self.within, counted=True)) if self.within.count else last, last)

    def passed(self, event: date, at_midnight: bool = False) -> date:
        """The first day on which the period has passed; a period of nothing has passed at once.

        `at_midnight`: what happened did so at 00:00 to the second, so that its own day counts.
        """
        if self.within.count == 0:
            return event
        return last_day(event, self.within, counted=at_midnight) + timedelta(days=1)


class TermsChange(Rule):
    """When new terms take effect, counted from their notice."""

    within: AnyPeriod | None = None
    """On its last day at the earliest; None where the terms say nothing."""
    stated: bool = False
    """Whether they say the day themselves, never before they are made known."""
    urgent: bool = False
    """Whether urgent ones may take effect sooner."""
    exit_clause: Clause | None = None
    """Where the terms say that the customer may leave instead."""

    def last(self, notice: date) -> date | None:
        """The earliest day on which they can be in force; None where nobody can say."""
        return None if self.within is None else last_day(notice, self.within, counted=False)


class Lead(Rule):
    """Something is to be made known at least this long before it happens."""

    lead: Period
    exceptions: tuple[Literal["force_majeure", "supplier_end"], ...] = ()
    """Grounds that need no lead."""


class OutageCredit(Rule):
    """A share of the monthly fee for each full 24 hours of total outage, counted from the provider's knowledge."""

    divisor: Annotated[int, Field(ge=1, strict=True)]
    claim: Period
    """How long it can be claimed, from the end of the first 24 hours."""


class CapacityReached(Rule):
    """The customer is told that the capacity is reached (達した): full to the byte is reached."""


class CapacityExceeded(Rule):
    """What follows when more than the capacity would be needed (超えた): full to the byte is not exceeded."""

    then: Literal["hold", "warn"]
    """Whether nothing more is sent until it fits, or it goes on."""
    release: Annotated[tuple[Literal["upgrade", "below_capacity"], ...], Field(min_length=1)] = (
        "upgrade",
        "below_capacity",
    )
    """What ends a hold by the box's own count."""
    release_from_provider: Annotated[tuple[Literal["upgrade", "below_capacity"], ...], Field(min_length=1)] = (
        "upgrade",
        "below_capacity",
    )
    """What ends a hold by the provider's figure."""


class Capacity(Rule):
    """The contracted capacity (契約容量)."""

    unit: Size | None = None
    """What it is sold in, and then always whole ones; None where any size is sold."""
    reached: CapacityReached | None = None
    exceeded: CapacityExceeded | None = None


MinimumTerm = Annotated[FirstTerm | MonthsAfterStart | UntilDelivery, Field(discriminator="rule")]
CustomerEnd = Annotated[EndAtExpiry | EndAfterNotice | EndOfMonth | EndByAgreement, Field(discriminator="rule")]
Change = Annotated[ChangeInBusinessDays | ChangeNextMonth | ChangeAsStated, Field(discriminator="rule")]


class Terms(Table):
    """One version of a provider's terms. What they do not say is None, and is never guessed."""

    version: date
    """The day from which this version is in force, as the document states it."""
    term: Term | None = None
    nonrenewal: Nonrenewal | None = None
    minimum_term: MinimumTerm | None = None
    customer_end: CustomerEnd | None = None
    change: Change | None = None
    payment: MonthEndPayment | None = None
    """Counted from the month in which the invoice arrives."""
    renewal_payment: MonthEndPayment | None = None
    """Counted from the month in which the term ends."""
    late_fee: LateFee | None = None
    fees: Fees | None = None
    cure: Within | None = None
    """From the suspension: the provider may terminate when this has passed."""
    cure_unpaid: Within | None = None
    """From the due date of an unpaid fee, likewise."""
    cure_user: Within | None = None
    """From a user's breach, likewise, or suspend that user."""
    terms_change: TermsChange | None = None
    end_of_service: Lead | None = None
    outage_credit: OutageCredit | None = None
    acceptance: Within | None = None
    """From delivery: defects are to be reported in this time."""
    inquiry: Within | None = None
    """From the provider's enquiry: it is to be answered in this time."""
    capacity: Capacity | None = None
    tax: conduct.Tax | None = None
    rounding: conduct.Rounding | None = None

    formation: conduct.Formation | None = None
    bought: conduct.Bought | None = None
    suspension: conduct.Suspensions | None = None
    restriction: conduct.Restriction | None = None
    replacement: conduct.Replacement | None = None
    removal: conduct.Removal | None = None
    notices: conduct.Notices | None = None

    recollect: conduct.Recollect | None = None
    overrun: conduct.Overrun | None = None
    file_names: conduct.FileNames | None = None
    selection: conduct.Selection | None = None
    my_number: conduct.MyNumber | None = None
    objects: conduct.Objects | None = None
    buckets: conduct.Buckets | None = None
    accounts: conduct.Accounts | None = None
    network: conduct.Network | None = None
    location: conduct.Location | None = None

    restores: conduct.Restores | None = None
    end: conduct.EndOfContract | None = None
    end_of_option: conduct.EndOfOption | None = None
    own_copy: conduct.OwnCopy | None = None
    silent_changes: conduct.SilentChanges | None = None

    credentials: conduct.Credentials | None = None
    confidentiality: conduct.Confidentiality | None = None
    information: conduct.Information | None = None
    remote_support: conduct.RemoteSupport | None = None
    support: conduct.Support | None = None
    language: conduct.Language | None = None
    routing: conduct.Routing | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """What counts from a term, or in units, needs one."""
        missing = "term" if self.term is None else "nonrenewal" if self.nonrenewal is None else ""
        needing = {
            "nonrenewal": self.nonrenewal is not None and self.term is None,
            "renewal_payment": self.renewal_payment is not None and self.term is None,
            "minimum_term": isinstance(self.minimum_term, FirstTerm) and self.term is None,
            "customer_end": isinstance(self.customer_end, EndAtExpiry) and bool(missing),
        }
        for name, without in needing.items():
            if without:
                raise ValueError(T("{name} needs the table {missing}", name=name, missing=missing))
        sold_in_units = self.capacity is not None and self.capacity.unit is not None
        if self.fees is not None and self.fees.per_unit is not None and not sold_in_units:
            raise ValueError(T("fees.per_unit needs capacity.unit"))
        return self
