"""`kurabako operator-code`: the code with which people may do something on the page and on the serial line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_session import asked_or, opened_box, require_own_box
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(
        "operator-code", help=T("Say whether there is an operator code; --renew makes one and shows it once.").message
    )(operator_code)


def operator_code(
    context: typer.Context,
    renew: Annotated[
        bool, typer.Option("--renew", help=T("Make a new code; the one before counts no longer.").message)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The box keeps a hash of it only."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        if renew:
            code = asked_or(box, "renew_operator_code", {}, lambda answer: answer["code"], lambda: _renew_here(box))
            out.document({"code": code})
            _show(out, code)
            return
        made_at, zone = box.agreement.operator_code.made_at, box.zone
    out.document({"made_at": made_at})
    out.say(
        T("This box has no operator code yet.")
        if made_at is None
        else T("This box has an operator code, made on {moment}.", moment=f"{made_at.astimezone(zone):%Y-%m-%d %H:%M}"),
        T("To have a new one made and shown, type: kurabako operator-code --renew"),
    )


def _renew_here(box: Box) -> str:
    require_own_box(box)
    return box.agreement.operator_code.renew()


def show_first(out: Printer, box: Box) -> None:
    """Makes a box's first code where a person at a terminal reads it; elsewhere it would stand in some log."""
    codes = box.agreement.operator_code
    if codes.made_at is not None:
        return
    if out.as_json or not sys.stdout.isatty():
        out.say(T("To do something on the page you need an operator code. Make one: kurabako operator-code --renew"))
        return
    _show(out, codes.renew())


def _show(out: Printer, code: str) -> None:
    out.say(
        T("Operator code: {code}", code=code),
        T(
            "It is shown this once, and asked for by whatever changes something on the page or on the serial line. "
            "Write it down for those who may do that."
        ),
    )
