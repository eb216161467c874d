"""The box's own commands: `serve`, `status`, and those of the other `box_` modules."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from appliance.cli import (
    box_alarm,
    box_capacity,
    box_jobs,
    box_look,
    box_operator,
    box_protection,
    box_setup,
    box_sheet,
    box_slots,
    box_sources,
    box_transfers,
    box_upkeep,
)
from appliance.cli.box_session import asked_or, opened_box
from appliance.cli.context import JsonOption, invocation, printer
from appliance.text import T

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=T("Log warnings and errors only.").message)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command(help=T("Serve: watch devices, keep the schedule, show the status. Ends on Ctrl-C.").message)(serve)
    box_setup.register(app)
    app.command(help=T("Say what the box is doing, how it is, and why.").message)(status)
    for part in (
        *(box_sources, box_jobs, box_look, box_capacity, box_slots),
        *(box_upkeep, box_protection, box_transfers, box_operator, box_sheet, box_alarm),
    ):
        part.register(app)


def serve(context: typer.Context, quiet: Quiet = False) -> None:
    """Runs until it is told to end; the log goes to standard error."""
    import logging

    from appliance.daemon.serve import log_to_stderr, serve_box

    log_to_stderr(journal="JOURNAL_STREAM" in os.environ, level=logging.WARNING if quiet else logging.INFO)
    serve_box(invocation(context).config)


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Asks the daemon; where none runs, tells what the box remembers, and that."""
    from appliance.daemon.standalone import standalone_status
    from appliance.status import codec
    from appliance.status.lines import status_lines

    out = printer(context, as_json)
    with opened_box(context) as box:
        current = asked_or(box, "status", {}, codec.from_json, lambda: standalone_status(box))
        out.document(codec.to_json(current, out.language))
        out.say(*status_lines(current, out.language, zone=box.zone))
