"""`kurabako contract calendar`: the coming dates of the contract in force, each with its clause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.text import T, Text

if TYPE_CHECKING:
    from appliance.contract.calendar import ContractCalendar, Entry, IfToday


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command("calendar", help=T("List the coming dates of this box's contract, each with its clause.").message)(show)


def show(
    context: typer.Context,
    at: Annotated[str, typer.Option(metavar="DATE", help=T("The day to look from; otherwise today.").message)] = "",
    as_json: JsonOption = False,
) -> None:
    """Days are Japan's. Looks at the box's own memory, whether or not a daemon runs."""
    from appliance.cli.contract_preview import read_day
    from appliance.contract.calendar import coming
    from appliance.contract.civil import civil_day

    out = printer(context, as_json)
    with opened_box(context) as box:
        contract = box.contract
        if contract.refusal is not None:
            raise contract.refusal
        day = read_day("--at", at) if at else civil_day(box.clock())
    entitlement, terms = contract.entitlement, contract.profile.terms
    if entitlement is None or terms is None:
        out.result(
            {"at": day.isoformat(), "contract": None, "entries": [], "if_today": {}, "renews_until": None},
            T("The contract of this box has no dates: only storing is agreed, or its days are not signed."),
        )
        return
    calendar = coming(terms, entitlement, day)
    out.document(_document(entitlement.contract_id, calendar))
    profile = contract.profile
    service = profile.name_ja if out.language == "ja" else profile.name_en
    out.say(
        T(
            "Contract {contract}, {service}, from {day} on:",
            contract=entitlement.contract_id,
            service=service,
            day=day.isoformat(),
        )
    )
    out.table(
        (T("Date"), T("In days"), T("What"), T("Clause")),
        [
            (entry.on.isoformat(), (entry.on - day).days, _what(entry), entry.clause or "–")
            for entry in calendar.entries
        ],
    )
    if calendar.renews_until is not None:
        out.say(T("The renewal until {day} can no longer be prevented.", day=calendar.renews_until.isoformat()))
    out.say(*_if_today(calendar.if_today))


def _what(entry: Entry) -> Text:
    from appliance.contract.calendar import Date

    concerns = entry.concerns.isoformat() if entry.concerns is not None else ""
    match entry.what:
        case Date.TERM_ENDS:
            return T("The term ends; without a notice in time it is renewed")
        case Date.TERM_BEGINS:
            return T("The next term begins, until {end}", end=concerns)
        case Date.MINIMUM_TERM_ENDS:
            return T("The minimum term ends")
        case Date.RENEWAL_PAYMENT:
            return T("Payment for the renewal after {end} is due", end=concerns)
        case Date.CHARGED_FROM:
            return T("Fees are charged from here on")
        case Date.FEE_CHANGES:
            return T("The monthly fee becomes {amount} yen, without tax", amount=f"{int(entry.subject):,}")
        case Date.OPTION_BEGINS:
            return T("The option {option} begins", option=entry.subject)
        case Date.OPTION_ENDS:
            return T("The option {option} ends", option=entry.subject)
        case Date.ACCEPTANCE:
            return T("Last day to report defects of the delivery; to be safe, {safe}", safe=_safe(entry))
        case Date.NOTICE_AGAINST_RENEWAL:
            return _notice(entry, concerns)


def _notice(entry: Entry, end: str) -> Text:
    """The deadline, and the day to go by where that is an earlier one."""
    written = entry.practical is not None
    last = (
        T("Last day for the written notice against renewal after {end}", end=end)
        if written
        else T("Last day for a notice against renewal after {end}", end=end)
    )
    act_by = min(day for day in (entry.practical, entry.safe, entry.on) if day is not None)
    if act_by == entry.on:
        return last
    if written and act_by == entry.practical:
        return T("{what}; it must arrive on a business day, so by {day}", what=last, day=act_by.isoformat())
    return T("{what}; to be safe, by {day}", what=last, day=act_by.isoformat())


def _safe(entry: Entry) -> str:
    return (entry.safe or entry.on).isoformat()


def _if_today(today: IfToday) -> Iterator[Text]:
    if today.earliest_end is not None:
        yield T(
            "A notice of the end that arrives on this day ends the contract on {day} at the earliest ({clause}).",
            day=today.earliest_end.isoformat(),
            clause=today.end_clause,
        )
    if today.change_from is not None:
        yield T(
            "A change whose form arrives on this day is possible from {day} ({clause}).",
            day=today.change_from.isoformat(),
            clause=today.change_clause,
        )


def _document(contract_id: str, calendar: ContractCalendar) -> dict[str, Any]:
    today = calendar.if_today
    return {
        "at": calendar.at.isoformat(),
        "contract": contract_id,
        "entries": [
            {
                "on": entry.on.isoformat(),
                "what": entry.what.value,
                "clause": entry.clause,
                "safe": _iso(entry.safe),
                "practical": _iso(entry.practical),
                "concerns": _iso(entry.concerns),
                "subject": entry.subject,
            }
            for entry in calendar.entries
        ],
        "if_today": {
            "earliest_end": _iso(today.earliest_end),
            "end_clause": today.end_clause,
            "change_from": _iso(today.change_from),
            "change_clause": today.change_clause,
        },
        "renews_until": _iso(calendar.renews_until),
    }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
