"""`kurabako alarm`: changes that look like ransomware, and what a person says to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, printer
from appliance.status.words import moment
from appliance.text import T


class Said(StrEnum):
    """The answers there are."""

    HARMLESS = "harmless"
    ATTACK = "attack"


def register(app: typer.Typer) -> None:
    """Adds the group to the root."""
    group = typer.Typer(
        help=T("Alarms: changes of a source that look like ransomware.").message, invoke_without_command=True
    )
    group.callback()(alarms)
    group.command(help=T("Answer an alarm: harmless, or attack.").message)(answer)
    app.add_typer(group, name="alarm")


_ANSWERS = {"harmless": T("harmless"), "attack": T("attack"), None: T("not answered")}


def alarms(context: typer.Context, as_json: JsonOption = False) -> None:
    """Lists them. Until one is answered as harmless, no snapshot before it is forgotten."""
    if context.invoked_subcommand is not None:
        return
    from appliance.daemon.alarms import Alarms

    out = printer(context, as_json)
    with opened_box(context) as box:
        found = Alarms(box.state).all()
        zone = box.zone
    out.document({"alarms": [{**vars(one), "change": vars(one.change), "what": one.what} for one in found]})
    out.table(
        (T("ID"), T("Time"), T("Source"), T("Answer")),
        [(one.id, moment(one.at, zone), one.source, _ANSWERS[one.answer]) for one in found],
    )
    for one in found:
        if one.answer is None:
            out.say(one.what)
    if not found:
        out.say(T("There is no alarm."))


def answer(
    context: typer.Context,
    alarm: Annotated[str, typer.Argument(metavar="ID", help=T("An ID from “kurabako alarm”.").message)],
    said: Annotated[Said, typer.Argument(metavar="harmless|attack", help=T("What it turned out to be.").message)],
    as_json: JsonOption = False,
) -> None:
    """After attack the snapshots before it stay, until it is answered as harmless."""
    from appliance.daemon.alarms import Answer, answer_alarm

    with opened_box(context) as box:
        require_own_box(box)
        answered = answer_alarm(box, alarm, Answer(said))
    printer(context, as_json).result(
        {"id": answered.id, "answer": said},
        T("The alarm {id} is answered; the snapshots before it stay.", id=answered.id)
        if answered.holds
        else T("The alarm {id} is answered; the policies decide about the snapshots again.", id=answered.id),
    )
