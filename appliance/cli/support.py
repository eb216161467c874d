"""`kurabako support`: what remote support may do while the customer allows it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Annotated

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, invocation, printer
from appliance.text import T

app = typer.Typer(help=str(T("Remote support: while the customer allows it on the page.")), no_args_is_help=True)


@app.command(help=str(T("Say whether remote support is allowed, by whom and until when.")))
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """The customer allows it on the box's page."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        consent = box.agreement.support.consent
        zone = box.zone
    out.document(
        {"allowed": consent is not None, **({"by": consent.by, "until": consent.until} if consent is not None else {})}
    )
    out.say(
        T("Remote support is not allowed now.")
        if consent is None
        else T(
            "Remote support is allowed until {time}, by {name}.",
            time=f"{consent.until.astimezone(zone):%Y-%m-%d %H:%M}",
            name=consent.by,
        )
    )


@app.command(help=str(T("End remote support at once.")))
def end(context: typer.Context, as_json: JsonOption = False) -> None:
    """What runs just then is finished; nothing more is begun."""
    with opened_box(context) as box:
        allowed = box.agreement.support.end()
    printer(context, as_json).result({"was_allowed": allowed}, T("Remote support is not allowed now."))


@app.command(
    help=str(T("Do one kurabako command for remote support; each is recorded.")),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def run(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]...", help=str(T("As after kurabako; or what ssh was asked."))),
    ] = None,
) -> None:
    """For a login that is bound to it (ssh: ForceCommand). It ends with the time that was allowed."""
    asked = words or _split(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if not words and asked[:1] == ["kurabako"]:
        asked = asked[1:]
    with opened_box(context) as box:
        consent = box.agreement.support.begin(asked)
        left = (consent.until - box.clock()).total_seconds()
        command = [sys.executable, "-c", "from appliance.cli.main import main; main()"]
        try:
            code = subprocess.run(
                [*command, "--config", str(invocation(context).config), *asked], timeout=left, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = 130
        box.agreement.support.ended(asked, code)
    raise typer.Exit(code)


def _split(line: str) -> list[str]:
    """The words of what ssh was asked; one with an open quotation is a single word, which is no command."""
    try:
        return shlex.split(line)
    except ValueError:
        return [line]
