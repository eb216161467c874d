"""`kurabako recovery-sheet`: the paper that restores everything when the box is gone."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_session import opened_box, require_own_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.web.recovery_sheet import RecoverySheet


class SheetMistake(KurabakoError):
    """The sheet is to be neither written nor confirmed."""

    code = "recovery-sheet.usage"
    exit_code = ExitCode.USAGE


class CannotWriteSheet(KurabakoError):
    """The file for the sheet cannot be made."""

    code = "recovery-sheet.file"


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command("recovery-sheet", help=T("Write the sheet that restores everything, to be printed.").message)(
        recovery_sheet
    )


def recovery_sheet(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.html", help=T("The file to write.").message)
    ] = None,
    with_secret: Annotated[
        bool, typer.Option("--with-secret", help=T("Print the secret access key of the cloud on it too.").message)
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help=T("Say that the sheet was printed and is in a safe place.").message)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Only who may read the recovery key's file can write the sheet; it is never shown on the page."""
    out = printer(context, as_json)
    if (output is None) == (not confirm):
        raise SheetMistake(
            T("Either --output FILE.html or --confirm is needed."),
            todo=T("First write and print the sheet, then confirm that it is in a safe place."),
        )
    with opened_box(context) as box:
        if confirm:
            from appliance.daemon.home import confirm_recovery_sheet

            require_own_box(box)
            confirm_recovery_sheet(box)
            out.result({"confirmed": True}, T("Noted: the recovery sheet was printed and is in a safe place."))
            return
        assert output is not None
        sheet = _sheet_of(box, with_secret)
        from appliance.web.recovery_sheet import render_recovery_sheet

        _write(output, render_recovery_sheet(sheet, box.zone))
    out.result(
        {"file": output, "url": sheet.url},
        T("The recovery sheet is in {file}, which only you can read.", file=str(output)),
        T(
            "Print it, delete the file, and lock the paper up away from this box. Then type: "
            "kurabako recovery-sheet --confirm"
        ),
    )


def _sheet_of(box: Box, with_secret: bool) -> RecoverySheet:
    """The sheet of the cloud, or of the vault on a box without one. Contacts the cloud only where there is no vault."""
    from appliance.web.recovery_sheet import RecoverySheet

    repository = box.open_home() if box.has_vault else box.open_cloud()
    with closing(repository.storage):
        identity = repository.id
    sheet = RecoverySheet(
        box=box.name, repository=identity, url=box.vault_location, key=box.password(), made_at=box.clock()
    )
    cloud = box.settings.cloud
    if cloud is None:
        return sheet
    secret = cloud.secret_access_key_file
    return replace(
        sheet,
        url=cloud.url,
        access_key_id=cloud.key_id() or "",
        secret=secret.read().get_secret_value().strip() if with_secret and secret is not None else "",
        region=cloud.region or "",
        ca_file=str(cloud.ca_file or ""),
        virtual_addressing=cloud.addressing == "virtual",
    )


def _write(file: Path, html: str) -> None:
    """A new file that only its owner can read."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(html)
    except OSError as error:
        raise CannotWriteSheet(
            T("The file {file} cannot be made: {why}.", file=str(file), why=error.strerror or ""),
            safe=T("Nothing was written."),
            todo=T("Name a file that does not exist yet, in a folder that you can write to."),
        ) from error
