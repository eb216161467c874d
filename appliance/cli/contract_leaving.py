"""`kurabako contract cancel`, `export-check`: what leaving comes to, and whether one can. Nothing is ended here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.contract_issue import OutputOption, write_new
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text
from appliance.units import format_size

if TYPE_CHECKING:
    from appliance.contract.leaving import Leaving


class CannotCancel(KurabakoError):
    """The terms let the customer not leave within a term."""

    code = "contract.cannot-cancel"


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(
        help=T("Say when you can leave the contract, and write the notice for it. Nothing is ended by it.").message
    )(cancel)
    app.command("export-check", help=T("Say whether all that is in the cloud is in the vault too.").message)(
        export_check
    )


def export_check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Exits with 3 when the cloud has something that the vault has not. Reads only names and sizes."""
    from appliance.daemon.completeness import completeness

    with opened_box(context) as box:
        require_own_box(box)
        found = completeness(box)
    out = printer(context, as_json)
    figures = {"snapshots": found.snapshots, "files": found.files}
    out.document({**vars(found), "complete": found.complete})
    if found.complete:
        out.say(T("Everything in the cloud is in the vault too: {snapshots} snapshots, {files} files.", **figures))
        return
    out.say(
        T(
            "{count} files ({size}) are in the cloud but not in the vault, {snapshots} snapshots among them.",
            count=found.missing_files,
            size=format_size(found.missing_bytes),
            snapshots=len(found.missing_snapshots),
        ),
        T("Restore them before the contract ends: kurabako restore --from cloud …"),
    )
    raise typer.Exit(ExitCode.PARTIAL)


def cancel(
    context: typer.Context,
    on: Annotated[str, typer.Option(metavar="DATE", help=T("When the notice arrives; otherwise today.").message)] = "",
    wish: Annotated[str, typer.Option(metavar="DATE", help=T("The end that you wish for.").message)] = "",
    at_expiry: Annotated[
        bool, typer.Option("--at-expiry", help=T("Decline the renewal; the contract ends with its term.").message)
    ] = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exits with 1 where the terms do not let the customer leave within a term."""
    from appliance.cli.contract_preview import read_day
    from appliance.contract import letters
    from appliance.contract.civil import civil_day
    from appliance.contract.leaving import leaving

    out = printer(context, as_json)
    with opened_box(context) as box:
        require_own_box(box)
        contract = box.contract
        if contract.refusal is not None:
            raise contract.refusal
        entitlement = contract.entitlement
        if entitlement is None:
            raise CannotCancel(
                T("The contract of this box has no dates: only storing is agreed, or its days are not signed."),
                todo=T("Ask your service provider."),
            )
        day = read_day("--on", on) if on else civil_day(box.clock())
        found = leaving(contract.terms, entitlement, day, read_day("--wish", wish) if wish else None)
        ends_on = found.declining.ends_on if at_expiry and found.declining is not None else found.ends_on
        possible = found.declining is not None if at_expiry else found.possible
        box.agreement.record(
            "contract.cancel-asked",
            {
                "on": day.isoformat(),
                "possible": possible,
                "ends_on": ends_on.isoformat() if ends_on is not None else None,
                "at_expiry": at_expiry,
                "clause": found.clause,
            },
        )
        if not possible:
            raise _refusal(found)
        write = letters.declined_renewal if at_expiry else letters.cancellation
        language = letters.language_of(contract.profile, invocation(context).language)
        letter = write(contract.profile, entitlement, found, language)
    if output is not None:
        write_new(output, letter.encode(), 0o600)
    out.document(
        {
            "ends_on": ends_on.isoformat() if ends_on is not None else None,
            "clause": found.declining.clause if at_expiry and found.declining is not None else found.clause,
            "letter": letter,
        }
    )
    out.say(*_lines(found, at_expiry=at_expiry))
    out.say(T("The draft was written to {file}.", file=str(output)) if output is not None else letter)


def _lines(found: Leaving, *, at_expiry: bool) -> list[Text]:
    declining = found.declining
    if at_expiry and declining is not None:
        return [
            T(
                "Without a renewal, the contract ends on {day} ({clause}).",
                day=str(declining.ends_on),
                clause=declining.clause,
            ),
            T(
                "The provider must have your notice by {last}; be safe and have it there by {safe}.",
                last=str(declining.deadline.last),
                safe=str(declining.deadline.safe),
            ),
            _CHANGES_NOTHING,
        ]
    if found.ends_on is None:
        return [
            T("The terms let you leave when both sides agree on the day ({clause}).", clause=found.clause),
            _CHANGES_NOTHING,
        ]
    return [
        T(
            "A notice that arrives on {on} ends the contract on {day} ({clause}).",
            on=str(found.on),
            day=str(found.ends_on),
            clause=found.clause,
        ),
        _CHANGES_NOTHING,
    ]


_CHANGES_NOTHING = T("Nothing was sent and nothing is ended: sign the notice and give it to the provider.")


def _refusal(found: Leaving) -> CannotCancel:
    declining = found.declining
    what = T("The terms do not let you leave within a term ({clause}).", clause=found.clause)
    safe = T("Nothing was changed; backups and replication go on.")
    if declining is None:
        return CannotCancel(what, safe=safe, todo=T("Ask your service provider."))
    return CannotCancel(
        what,
        safe=safe,
        todo=T(
            "You can decline the renewal: have your notice there by {safe}, and the contract ends on {day} ({clause}). "
            "For a draft, type: kurabako contract cancel --at-expiry --output FILE",
            safe=str(declining.deadline.safe),
            day=str(declining.ends_on),
            clause=declining.clause,
        ),
    )
