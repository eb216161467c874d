"""`kurabako contract matters`, `report`, `told`, `settle`, `acceptance`: what is to be settled with the provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.contract_issue import OutputOption, write_new
from appliance.contract.matters import Matter, MatterKind, credit
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

if TYPE_CHECKING:
    from appliance.agreement import Contract
    from appliance.box import Box


class _Kind(StrEnum):
    """What a person can report."""

    OUTAGE = MatterKind.OUTAGE.value
    FAULT = MatterKind.FAULT.value
    INTRUSION_RISK = MatterKind.INTRUSION_RISK.value
    INTRUSION = MatterKind.INTRUSION.value
    VIRUS = MatterKind.VIRUS.value


class BadMoment(KurabakoError):
    """An option is not a moment that has been."""

    code = "matter.bad-moment"
    exit_code = ExitCode.USAGE


class NothingDelivered(KurabakoError):
    """There is nothing of which defects could be reported."""

    code = "contract.nothing-delivered"


IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help=T("The matter, as “kurabako contract matters” lists it.").message)
]
AtOption = Annotated[str, typer.Option("--at", metavar="MOMENT", help=T("When; otherwise now.").message)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the group."""
    app.command(help=T("List what is to be settled with the provider, and what was.").message)(matters)
    app.command(help=T("Take down that something is wrong on the cloud's side.").message)(report)
    app.command(help=T("Take down that the provider was told of a matter: some terms count from then.").message)(told)
    app.command(help=T("Take down that a matter is answered, mended or settled.").message)(settle)
    app.command(help=T("Write a dated report of what was delivered, while defects can be reported.").message)(
        acceptance
    )


def matters(context: typer.Context, as_json: JsonOption = False) -> None:
    """Looks at the box's own memory, whether or not a daemon runs."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        contract = box.contract
        found = box.agreement.all_matters(contract)
        zone = box.zone
    out.document({"matters": [_to_json(one, contract) for one in found]})

    def shown(moment: datetime | None) -> str:
        return "–" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")

    from appliance.contract.words import MATTERS

    out.table(
        (T("ID"), T("What"), T("About"), T("Since"), T("Provider knew"), T("Over"), T("Settled")),
        [
            (
                *(one.id, MATTERS[one.kind], one.subject or "–", shown(one.since)),
                *(shown(one.provider_knew_at), shown(one.over_at), shown(one.settled_at)),
            )
            for one in found
        ],
    )
    if not found:
        out.say(T("Nothing is to be settled with the provider."))


def report(
    context: typer.Context,
    kind: Annotated[
        _Kind, typer.Argument(metavar="KIND", help=T("outage, fault, intrusion-risk, intrusion or virus.").message)
    ],
    since: Annotated[str, typer.Option(metavar="MOMENT", help=T("Since when; otherwise now.").message)] = "",
    subject: Annotated[str, typer.Option(help=T("What it is about, in a few words.").message)] = "",
    part: Annotated[bool, typer.Option("--partial", help=T("A part of the service still works.").message)] = False,
    as_json: JsonOption = False,
) -> None:
    """Who is told of it, and who has it mended, is for the terms to say."""
    with _own_box(context) as (box, contract):
        begun = box.agreement.matters.begin(
            MatterKind(kind.value), _moment("--since", since, box), subject[:200], partial=part
        )
        result = _to_json(begun, contract)
    printer(context, as_json).result(result, T("Taken down as {id}.", id=begun.id))


def told(context: typer.Context, matter: IdArgument, at: AtOption = "", as_json: JsonOption = False) -> None:
    """The box tells the provider nothing by itself."""
    _change(context, matter, at, as_json, lambda moment: {"told_at": moment})


def settle(context: typer.Context, matter: IdArgument, at: AtOption = "", as_json: JsonOption = False) -> None:
    """It is no longer shown as a problem."""
    _change(context, matter, at, as_json, lambda moment: {"settled_at": moment}, over=True)


def _change(context: typer.Context, name: str, at: str, as_json: bool, facts: Any, *, over: bool = False) -> None:
    from appliance.matters import matter_called

    with _own_box(context) as (box, contract):
        known = matter_called(box.agreement.all_matters(contract), name)
        moment = _moment("--at", at, box)
        if moment < known.since:
            raise BadMoment(T("The matter {id} began later than that.", id=known.id), safe=T("Nothing was changed."))
        ended = {"over_at": known.over_at or moment} if over else {}
        changed = box.agreement.matters.change(known, **facts(moment), **ended)
        result = _to_json(changed, contract)
    printer(context, as_json).result(result, T("Taken down for {id}.", id=changed.id))


def acceptance(context: typer.Context, output: OutputOption = None, as_json: JsonOption = False) -> None:
    """The box looks at itself as “kurabako diagnose” does, and writes down what it found and until when that counts."""
    from appliance.contract import letters
    from appliance.contract.civil import civil_day
    from appliance.daemon.diagnosis import diagnoses

    out = printer(context, as_json)
    with _own_box(context) as (box, contract):
        rule, entitlement = contract.terms.acceptance, contract.entitlement
        if rule is None or entitlement is None or entitlement.delivered_on is None:
            raise NothingDelivered(
                T("The contract names no delivery whose defects could be reported."),
                todo=T("The day of delivery comes with the provider's entitlement."),
            )
        today, deadline = civil_day(box.clock()), rule.deadline(entitlement.delivered_on)
        found = [(check, check.run()) for check in diagnoses(box)]
        language = letters.language_of(contract.profile, invocation(context).language)
        letter = letters.acceptance(
            contract.profile,
            entitlement,
            letters.Acceptance(
                today, deadline, rule.clause, tuple((one.title, look.ok, look.what) for one, look in found)
            ),
            language,
        )
        wanting = sum(not look.ok for _, look in found)
        box.agreement.record("acceptance.report", {"on": today.isoformat(), "checks": len(found), "wanting": wanting})
    if output is not None:
        write_new(output, letter.encode(), 0o600)
    closed = today > deadline.last
    out.document(
        {
            "on": today.isoformat(),
            "last": deadline.last.isoformat(),
            "safe": deadline.safe.isoformat(),
            "closed": closed,
            "clause": rule.clause,
            "wanting": wanting,
            "letter": letter,
        }
    )
    days = {"day": str(deadline.last), "clause": rule.clause}
    out.say(
        T("The time to report defects is closed since {day} ({clause}).", **days)
        if closed
        else T(
            "Defects can be reported until {day} ({clause}); be safe and do so by {safe}.",
            safe=str(deadline.safe),
            **days,
        )
    )
    out.say(T("The report was written to {file}.", file=str(output)) if output is not None else letter)


@contextmanager
def _own_box(context: typer.Context) -> Iterator[tuple[Box, Contract]]:
    with opened_box(context) as box:
        require_own_box(box)
        contract = box.contract
        if contract.refusal is not None:
            raise contract.refusal
        yield box, contract


def _moment(option: str, text: str, box: Box) -> datetime:
    """A moment of the past; without an offset it is the box's time. Raises `BadMoment`."""
    now = box.clock()
    if not text:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=box.zone)
    if moment is None or moment > now:
        raise BadMoment(
            T("{option} {value} is no moment that has been.", option=option, value=repr(text)),
            safe=T("Nothing was changed."),
            todo=T("Write it as 2026-06-01T10:00, in the box's time, or as 2026-06-01T01:00Z."),
        )
    return moment


def _to_json(matter: Matter, contract: Contract) -> dict[str, Any]:
    entitlement = contract.entitlement
    answers = credit(matter, contract.terms, entitlement) if entitlement is not None else {}
    return {
        **vars(matter),
        "provider_knew_at": matter.provider_knew_at,
        **{name: {"value": str(one.value) if not isinstance(one.value, int) else one.value, "clause": one.clause}
           for name, one in answers.items()},
    }  # fmt: skip
