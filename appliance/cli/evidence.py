"""`kurabako evidence`: the record of what happened under the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.evidence import EvidenceError, Head, lines_of, verify
from appliance.text import T

app = typer.Typer(help=str(T("Evidence: the record of what happened under the contract.")), no_args_is_help=True)


@app.command(help=str(T("Copy the box's record into a new file, and verify it.")))
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=str(T("The new file.")))],
    as_json: JsonOption = False,
) -> None:
    """A record that is broken is copied too, and then said to be."""
    with opened_box(context) as box:
        head = box.agreement.evidence.export(file, box.agreement.evidence_head)
    printer(context, as_json).result(
        {"file": file, "entries": head.sequence, "head": head.hash},
        T("{count} entries were copied to {file} and verified.", count=head.sequence, file=str(file)),
        T("Note the last hash; with it, --expect tells later whether the end was cut off: {hash}", hash=head.hash),
    )


@app.command("verify", help=str(T("Verify an exported record. Needs no box; names the entry that breaks the chain.")))
def verify_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=str(T("The exported record.")))],
    expect: Annotated[
        str, typer.Option("--expect", metavar="HASH", help=str(T("A last hash that was noted; it must be in it.")))
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Exits with 1 when an entry was altered, removed, put elsewhere or added."""
    met = not expect

    def watched(head: Head) -> None:
        nonlocal met
        met = met or head.hash == expect.strip().lower()

    try:
        with file.open("rb") as record:
            head = verify(lines_of(record), on_entry=watched)
    except OSError as error:
        raise EvidenceError(
            T("The record {file} cannot be read: {why}.", file=str(file), why=error.strerror or str(error)),
            todo=T("Check the file's name and who may use it."),
        ) from error
    if not met:
        raise EvidenceError(
            T("No entry of the record in {file} has the expected hash: its end was cut off, or all of it rewritten.",
              file=str(file)),
            todo=T("Compare it with a copy that was exported earlier."),
        )  # fmt: skip
    printer(context, as_json).result(
        {"ok": True, "entries": head.sequence, "head": head.hash},
        T("All {count} entries are as they were written.", count=head.sequence),
        T("The last hash is {hash}.", hash=head.hash),
    )
