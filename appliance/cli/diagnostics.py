"""`kurabako diagnostics`: what is handed out about the box, each copy counted and its destruction certified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, invocation, printer
from appliance.cli.contract_issue import OutputOption, write_new
from appliance.text import T

app = typer.Typer(help=str(T("What is handed out about the box: exported, counted, destroyed.")), no_args_is_help=True)


@app.command(help=str(T("Write how the box is into a new file, to be handed to the provider.")))
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=str(T("The new file.")))],
    consent: Annotated[str, typer.Option(metavar="NUMBER", help=str(T("The number of the consent to it.")))] = "",
    officer: Annotated[
        str, typer.Option(metavar="NAME", help=str(T("The information officer who answers for it.")))
    ] = "",
    purpose: Annotated[str, typer.Option(metavar="CLAUSE", help=str(T("What for, as the terms number it.")))] = "",
    as_json: JsonOption = False,
) -> None:
    """Refused where the terms want a consent, an officer or a purpose that is missing."""
    from appliance.daemon.handouts import Handouts

    given = {"consent": consent[:64], "officer": officer[:100], "purpose": purpose[:40]}
    with opened_box(context) as box:
        require_own_box(box)
        handouts = Handouts(box)
        handouts.require(**given)
        write_new(file, handouts.document(handouts.next_number(), **given), 0o600)
        copy = handouts.hand_out(file.absolute(), **given)
        out = handouts.out()
    printer(context, as_json).result(
        {"copy": copy.number, "file": file, "copies_out": out},
        T("Copy {number} was written to {file}; {count} are out.", number=copy.number, file=str(file), count=out),
    )


@app.command(help=str(T("List the copies that were handed out.")))
def copies(context: typer.Context, as_json: JsonOption = False) -> None:
    """With the consent, the officer and the purpose of each."""
    from appliance.daemon.handouts import Handouts

    out = printer(context, as_json)
    with opened_box(context) as box:
        handouts = Handouts(box)
        found, count = handouts.copies(), handouts.out()
    out.document({"copies": [vars(one) for one in found], "copies_out": count})
    out.table(
        (T("Number"), T("Written"), T("Consent"), T("Officer"), T("Purpose"), T("Destroyed")),
        [(one.number, one.at[:16], one.consent, one.officer, one.purpose, one.destroyed_at[:16]) for one in found],
    )
    out.say(T("{count} copies are out.", count=count))


@app.command(help=str(T("Destroy a copy, and certify it.")))
def destroy(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help=str(T("The copy's number.")))],
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Its file is overwritten and removed, if it is still where it was written."""
    from appliance.contract import letters
    from appliance.daemon.handouts import Handouts

    with opened_box(context) as box:
        require_own_box(box)
        handouts = Handouts(box)
        contract, now = box.contract, box.clock()
        gone = handouts.destroy(number, now=now)
        left = handouts.out()
        language = letters.language_of(contract.profile, invocation(context).language)
        letter = letters.destruction(gone.number, gone.at, gone.destroyed_at, gone.consent, left, language)
    if output is not None:
        write_new(output, letter.encode(), 0o600)
    out = printer(context, as_json)
    out.document({"copy": gone.number, "copies_out": left, "letter": letter})
    out.say(T("The draft was written to {file}.", file=str(output)) if output is not None else letter)
