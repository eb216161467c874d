"""`kurabako repo repair`: replaces what is missing or damaged, from whatever still has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.access import Access
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.cli.repo_session import PasswordFileOption, RepoOption, interruptible, locked
from appliance.errors import ExitCode
from appliance.repair import (
    RepairPlan,
    clear_damaged_locks,
    document_of,
    execute_repair,
    find_damaged_locks,
    line_of,
    losses_of,
    open_damaged,
    plan_repair,
    summary_of,
)
from appliance.repair.model import LISTED
from appliance.repository import Repository
from appliance.text import T


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(help=T("Replace what is missing or damaged, from whatever still has it.").message)(repair)


def repair(
    context: typer.Context,
    other: Annotated[
        str, typer.Option("--from", help=T("Another copy of the repository, to take whole files from.").message)
    ] = "",
    other_password_file: Annotated[
        Path | None,
        typer.Option("--from-password-file", help=T("Its password, where that is another one.").message),
    ] = None,
    bring_back: Annotated[
        bool,
        typer.Option("--bring-back", help=T("Also take over snapshots and keys that only the other copy has.").message),
    ] = False,
    read_data: Annotated[
        bool, typer.Option("--read-data", help=T("Read and verify every byte, not only what names it.").message)
    ] = False,
    renew_config: Annotated[
        bool,
        typer.Option("--renew-config", help=T("Make a new config, if it is lost and no other copy has it.").message),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help=T("Show what would be done, and do nothing.").message)
    ] = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Nothing is deleted that is not replaced first; a snapshot that lost something is named and stays."""
    out = printer(context, as_json)
    access = Access.of(context, repo, password_file)
    with _helper(access, other, other_password_file) as helper:
        patient = open_damaged(access.storage(), access.password(), helper, renew_config=renew_config)
        repository = patient.repository
        damages = (find_damaged_locks if dry_run else clear_damaged_locks)(repository)
        with (
            nullcontext() if dry_run else locked(repository, exclusive=True),
            interruptible() as is_cancelled,
            out.progress(T("Repair")) as on_progress,
        ):
            plan = plan_repair(
                patient, helper, read_data=read_data, returns=lambda _: bring_back, on_progress=on_progress
            )
            report = None
            if not dry_run:
                report = execute_repair(repository, plan, helper, on_progress=on_progress, cancelled=is_cancelled)
        repository.storage.close()
    damages += plan.damages
    out.document({"dry_run": dry_run, **document_of(damages, plan, report, LISTED)})
    for damage in damages:
        out.note(T("{name}: {what}", name=damage.name, what=line_of(damage)))
    _tell_losses(out, plan)
    out.say(summary_of(plan, report, len(damages), read_data=read_data))
    if report is not None and report.cancelled:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if plan.unrepaired or plan.incomplete:
        raise typer.Exit(ExitCode.PARTIAL)


@contextmanager
def _helper(access: Access, url: str, password_file: Path | None) -> Iterator[Repository | None]:
    """The other copy, with the same password unless it has a file of its own; None when none is named."""
    if not url:
        yield None
        return
    other = replace(access, url=url, password_file=password_file or access.password_file)
    storage = other.storage()
    try:
        repository = Repository.open(storage, other.password())
        with locked(repository):
            yield repository
    finally:
        storage.close()


def _tell_losses(out: Printer, plan: RepairPlan) -> None:
    for each in plan.incomplete:
        out.note(T("{name}: {what}", name=each.snapshot.short_id, what=losses_of(each)))
        out.note(*(T("  {path}", path=path) for path in each.paths))
        if each.count > len(each.paths):
            out.note(T("  … and {count} more", count=each.count - len(each.paths)))
