"""`kurabako repo check`: is everything there, and is it what it was?"""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli.context import JsonOption, printer
from appliance.cli.repo_session import NoLockOption, PasswordFileOption, RepoOption, opened
from appliance.errors import ExitCode
from appliance.repository.check import CheckReport
from appliance.repository.check import check as check_repository
from appliance.status.model import Progress
from appliance.text import T
from appliance.units import format_size


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(help=T("Check that every snapshot is whole.").message)(check)


def check(
    context: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help=T("Read and verify every byte, not only what names it.").message)
    ] = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    no_lock: NoLockOption = False,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    phase = T("Reading all data") if read_data else T("Reading the index")
    with opened(context, repo, password_file, lock=not no_lock) as repository, out.progress(T("Check")) as on_progress:
        report = check_repository(
            repository,
            read_data=read_data,
            on_progress=lambda done, total: on_progress(Progress(phase, bytes_done=done, bytes_total=total)),
        )
    out.document(_document(report))
    for finding in (*report.hints, *report.errors):
        out.note(T("{name}: {what}", name=finding.name, what=finding.what))
    if report.ok:
        out.say(
            T(
                "No errors: {snapshots} snapshots, {trees} folders, {packs} packs, {size} read and verified.",
                snapshots=report.snapshots,
                trees=report.trees,
                packs=report.packs,
                size=format_size(report.bytes_read),
            )
        )
        return
    out.say(T("{count} errors were found.", count=len(report.errors)))
    raise typer.Exit(ExitCode.FAILED)


def _document(report: CheckReport) -> dict[str, object]:
    return {
        "ok": report.ok,
        "num_errors": len(report.errors),
        "errors": report.errors,
        "hints": report.hints,
        "snapshots": report.snapshots,
        "trees": report.trees,
        "packs": report.packs,
        "bytes_read": report.bytes_read,
    }
