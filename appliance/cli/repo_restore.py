"""`kurabako repo restore`: files of a snapshot back onto a disk."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from appliance.cli.context import JsonOption, TargetOption, printer
from appliance.cli.places import target_at
from appliance.cli.repo_session import NoLockOption, PasswordFileOption, RepoOption, interruptible, opened
from appliance.errors import ExitCode
from appliance.restore import execute_restore, plan_restore
from appliance.status.model import Outcome
from appliance.text import T
from appliance.units import format_size


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(help=T("Restore a snapshot, or what is below a path in it. What is in the way is replaced.").message)(
        restore
    )


def restore(
    context: typer.Context,
    snapshot: Annotated[
        str,
        typer.Argument(metavar="SNAPSHOT[:PATH]", help=T("A snapshot's id or latest, and a path in it.").message),
    ],
    target: TargetOption,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    no_lock: NoLockOption = False,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    name, _, path = snapshot.partition(":")
    with (
        opened(context, repo, password_file, lock=not no_lock) as repository,
        closing(target_at(target)) as place,
        interruptible() as cancelled,
        out.progress(T("Restore")) as on_progress,
    ):
        found = repository.find_snapshot(name)
        plan = plan_restore(repository, found, path, place)
        report = execute_restore(repository, plan, on_progress=on_progress, cancelled=cancelled)
    if report.outcome is Outcome.CANCELLED:
        raise KeyboardInterrupt
    out.document(
        {
            "message_type": "summary",
            "snapshot_id": found.id,
            "target": target,
            "outcome": report.outcome,
            "files_restored": report.files,
            "bytes_restored": report.bytes,
            "failures": report.failures,
        }
    )
    for failure in report.failures:
        out.note(T("{path}: {why}", path=failure.path, why=failure.why))
    out.say(
        T(
            "{files} files, {size}, were restored from snapshot {snapshot} to {target}.",
            files=report.files,
            size=format_size(report.bytes),
            snapshot=found.short_id,
            target=target,
        )
    )
    if report.outcome is not Outcome.DONE:
        raise typer.Exit(ExitCode.FAILED)
