"""`kurabako contract preview`: what a service's terms come to on given days, without a box."""

from __future__ import annotations

from datetime import date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.plugins import load
from appliance.contract.business import BusinessDays, Calendar
from appliance.contract.civil import JAPAN, civil_day
from appliance.contract.preview import Answer, Outage, Question, preview
from appliance.contract.rule import read_rate
from appliance.contract.terms import Terms
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text
from appliance.units import format_size

_YEARS = range(2000, 2100)
"""Holidays are known or foretold for these."""

_LABELS: dict[str, Text] = {
    "expires_on": T("The term ends on"),
    "next_expires_on": T("The term after it ends on"),
    "notice_last": T("Notice against renewal, at the latest"),
    "notice_safe": T("Notice against renewal, to be safe"),
    "minimum_term_ends_on": T("The minimum term ends on"),
    "earliest_end": T("Earliest end"),
    "first_charged_month": T("First month charged"),
    "total_fee": T("Fees until then, without tax"),
    "payment_due": T("Payment due"),
    "renewal_payment_due": T("Payment for the renewal due"),
    "tax": T("Consumption tax on it"),
    "with_tax": T("With tax"),
    "late_fee": T("Late payment charge"),
    "termination_possible_from": T("The provider may terminate from"),
    "change_possible_from": T("The change is possible from"),
    "outage_credit": T("Credit for the outage"),
    "claim_until": T("The credit can be claimed until"),
    "acceptance_last": T("Defects can be reported until"),
    "terms_effective_earliest": T("New terms in force, at the earliest"),
    "announce_by": T("The end is to be announced by"),
    "answer_by": T("The enquiry is to be answered by"),
    "capacity_bytes": T("Contracted capacity"),
}


class QuestionMistake(KurabakoError):
    """An option's value makes no sense."""

    code = "contract.question"
    exit_code = ExitCode.USAGE


class _Moment(NamedTuple):
    """A day in Japan, and the moment on it where one was given."""

    day: date
    at: datetime | None


def register(app: typer.Typer) -> None:
    """Adds the command to the group `contract`."""
    app.command("preview", help=str(T("Compute a contract's days and sums from a service's terms, without a box.")))(
        show
    )


def _day(help_text: Text) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="DATE", help=str(help_text))
    return option


def show(
    context: typer.Context,
    service: Annotated[str, typer.Option(help=str(T("The service profile.")))],
    more_closed: Annotated[list[str] | None, typer.Argument(metavar="DATE", hidden=True)] = None,
    contract_date: Annotated[str, _day(T("The contract's day."))] = "",
    start_date: Annotated[str, _day(T("The start of use; otherwise the contract's day."))] = "",
    term_years: Annotated[int, typer.Option(min=1, max=50, help=str(T("Years that were agreed.")))] = 1,
    units: Annotated[int | None, typer.Option(min=1, max=1_000_000, help=str(T("Units of capacity.")))] = None,
    monthly_fee: Annotated[int | None, typer.Option(min=0, help=str(T("The monthly fee in yen, without tax.")))] = None,
    at: Annotated[str, _day(T("The day to look at it from; otherwise the contract's day."))] = "",
    end_notice: Annotated[str, _day(T("When the customer's notice of the end arrives."))] = "",
    wish: Annotated[str, _day(T("The end that the notice wishes for."))] = "",
    invoice_received: Annotated[str, _day(T("When the invoice arrived."))] = "",
    due: Annotated[str, _day(T("When a fee is due."))] = "",
    paid: Annotated[str, _day(T("When it was paid."))] = "",
    amount: Annotated[int | None, typer.Option(min=0, help=str(T("The fee in yen.")))] = None,
    tax: Annotated[str, typer.Option(metavar="RATE", help=str(T("The rate of consumption tax, such as 0.10.")))] = "",
    suspended_on: Annotated[str, _day(T("When the provider suspended the service for a default."))] = "",
    change_received: Annotated[str, _day(T("When the form for a change arrives."))] = "",
    closed: Annotated[
        list[str] | None, typer.Option(metavar="DATE...", help=str(T("The provider's own holidays.")))
    ] = None,
    outage: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help=str(T("A total outage, from the provider's knowledge to its end."))),
    ] = None,
    delivered: Annotated[str, _day(T("When the work was delivered."))] = "",
    terms_notice: Annotated[str, _day(T("When new terms are made known."))] = "",
    service_ends: Annotated[str, _day(T("When the provider ends the service."))] = "",
    inquiry_sent: Annotated[str, _day(T("When the provider's enquiry was sent."))] = "",
    as_json: JsonOption = False,
) -> None:
    """Days in Japan's calendar; a moment without an offset is Japan's time.

    `--closed A B` leaves B to the arguments, which is where the further closed days come from.
    """
    out = printer(context, as_json)
    terms = _terms(invocation(context).config, service)
    if more_closed and not closed:
        raise QuestionMistake(
            T("{value} belongs to no option.", value=more_closed[0]), todo=T("See “kurabako contract preview --help”.")
        )
    suspended = _moment("--suspended-on", suspended_on)
    question = Question(
        contract_date=_date("--contract-date", contract_date),
        start_date=_date("--start-date", start_date),
        term_multiple=term_years,
        units=units,
        monthly_fee=monthly_fee,
        at=_date("--at", at),
        end_notice=_date("--end-notice", end_notice),
        wish=_date("--wish", wish),
        invoice_received=_date("--invoice-received", invoice_received),
        due=_date("--due", due),
        paid=_date("--paid", paid),
        amount=amount,
        tax_rate=_rate(tax),
        suspended_on=suspended and suspended.day,
        suspended_at_midnight=suspended is not None and suspended.at is not None and suspended.at.time() == time(),
        change_received=_date("--change-received", change_received),
        closed=frozenset(_moment_of("--closed", day).day for day in [*(closed or ()), *(more_closed or ())]),
        outage=_outage(outage),
        delivered=_date("--delivered", delivered),
        terms_notice=_date("--terms-notice", terms_notice),
        service_ends=_date("--service-ends", service_ends),
        inquiry_sent=_date("--inquiry-sent", inquiry_sent),
    )
    _make_sense(terms, question)
    answers = preview(terms, question)
    out.document({name: {"value": _plain(answer), "clause": answer.clause} for name, answer in answers.items()})
    if not answers:
        out.say(
            T(
                "The terms of {service} say nothing about this, or a day that it counts from is missing.",
                service=service,
            )
        )
        return
    out.table(
        (T("What the terms come to"), T("When or how much"), T("Clause"), T("Remark")),
        [
            (_LABELS[name], _words(name, answer), answer.clause, _remark(name, answer, question))
            for name, answer in answers.items()
        ],
    )


def _terms(config: Path, service: str) -> Terms:
    known = {name: profile.terms for name, profile in load(config).profiles().items() if profile.terms is not None}
    terms = known.get(service)
    if terms is None:
        raise QuestionMistake(
            T("No plugin knows the terms of a service {service}.", service=repr(service)),
            todo=T("Choose one of these: {services}.", services=", ".join(sorted(known))),
        )
    return terms


def _moment(option: str, text: str) -> _Moment | None:
    return _moment_of(option, text) if text else None


def _date(option: str, text: str) -> date | None:
    return _moment_of(option, text).day if text else None


def _moment_of(option: str, text: str) -> _Moment:
    try:
        moment = datetime.fromisoformat(text)
        day = civil_day(moment)
    except (ValueError, OverflowError):
        day = date.min
    if day.year not in _YEARS:
        raise QuestionMistake(
            T(
                "{option} {value} is not a day from {first} to {last}.",
                option=option,
                value=repr(text),
                first=str(_YEARS[0]),
                last=str(_YEARS[-1]),
            ),
            todo=T("Write it as 2026-05-20, or with a time as 2026-05-20T10:00 or 2026-05-20T01:00Z."),
        )
    if len(text) <= len("2026-05-20"):
        return _Moment(day, None)
    return _Moment(day, moment.replace(tzinfo=JAPAN) if moment.tzinfo is None else moment.astimezone(JAPAN))


def read_day(option: str, text: str) -> date:
    """The day in Japan that an option says. Raises `QuestionMistake`."""
    return _moment_of(option, text).day


def _rate(text: str) -> Fraction | None:
    if not text:
        return None
    try:
        return read_rate(text)
    except ValueError:
        raise QuestionMistake(
            T("{option} {value} is not a rate.", option="--tax", value=repr(text)), todo=T("Write it as 0.10.")
        ) from None


def _outage(ends: tuple[str, str] | None) -> Outage | None:
    if ends is None:
        return None
    known, restored = (
        moment.at or datetime.combine(moment.day, time(), JAPAN)
        for moment in (_moment_of("--outage", text) for text in ends)
    )
    return Outage(known, restored)


def _make_sense(terms: Terms, question: Question) -> None:
    """What would be a slip of the pen is said, not computed with."""
    if question.outage is not None and question.outage.restored < question.outage.known:
        raise QuestionMistake(T("The outage ends before it begins."), todo=T("Write --outage FROM TO."))
    if question.wish is not None and question.end_notice is None:
        raise QuestionMistake(T("--wish is part of a notice."), todo=T("Say with --end-notice when it arrives."))
    if terms.term is not None and not terms.term.multiples and question.term_multiple > 1:
        raise QuestionMistake(
            T("The terms of this service do not let its length be chosen."), todo=T("Leave --term-years out.")
        )


def _plain(answer: Answer) -> str | int:
    return answer.value if isinstance(answer.value, int) else str(answer.value)


def _words(name: str, answer: Answer) -> Text | str:
    if not isinstance(answer.value, int):
        return str(answer.value)
    if name == "capacity_bytes":
        return T("{size} ({bytes} bytes)", size=format_size(answer.value), bytes=f"{answer.value:,}")
    return T("{amount} yen", amount=f"{answer.value:,}")


def _remark(name: str, answer: Answer, question: Question) -> Text | str:
    """The term that a deadline is about, and the business day to act on where it falls on none."""
    if answer.concerns is None or not isinstance(answer.value, date):
        return ""
    term = T("for the end of the term on {day}", day=str(answer.concerns))
    days = BusinessDays(Calendar.PROVIDER, question.closed)
    if name != "notice_safe" or days.is_open(answer.value):
        return term
    return T("{term}; no business day, so act by {before}", term=term, before=str(days.on_or_before(answer.value)))
