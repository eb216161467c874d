"""`kurabako repo undelete`: brings back what was deleted or overwritten in a bucket that keeps versions."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from appliance.cli.access import Access
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.cli.repo_session import PasswordFileOption, RepoOption
from appliance.protection import execute_undelete, is_protected, plan_undelete
from appliance.storage.interface import Storage
from appliance.storage.versions import keeps_versions
from appliance.text import T
from appliance.units import format_size


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(help=T("Bring back what was deleted or overwritten, where the bucket keeps versions.").message)(
        undelete
    )


def undelete(
    context: typer.Context,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help=T("Undo what was done since then: 2026-11-24 08:00. Without: list it.").message,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help=T("Show what would be done, and do nothing.").message)
    ] = False,
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deletes no version: markers are taken away, and right bytes put over wrong ones. Needs no password."""
    out = printer(context, as_json)
    begin = _moment(since) if since else None
    storage = Access.of(context, repo, password_file).storage()
    try:
        if begin is None:
            _list_deletions(out, storage)
            return
        plan = plan_undelete(storage, lambda version: version.at >= begin)
        if not dry_run:
            with out.progress(T("Bringing back what was deleted")) as on_progress:
                execute_undelete(plan, storage, on_progress=on_progress)
    finally:
        storage.close()
    files = len({version.key for version in (*plan.below, *plan.renew)})
    figures = {"dry_run": dry_run, "files": files, "bytes": plan.size, "bytes_put": plan.bytes_put}
    words = {"count": files, "size": format_size(plan.size), "put": format_size(plan.bytes_put)}
    out.document(figures)
    if dry_run:
        out.say(T("{count} files ({size}) would be brought back; {put} of them are stored once more.", **words))
    else:
        out.say(T("{count} files ({size}) were brought back; {put} of them are stored once more.", **words))


def _list_deletions(out: Printer, storage: Storage) -> None:
    """When files were deleted, minute by minute."""
    markers = [
        version
        for version in keeps_versions(storage).versions()
        if version.marker and version.latest and is_protected(version.key)
    ]
    minutes = Counter(marker.at.astimezone().replace(second=0, microsecond=0) for marker in markers)
    out.document({"deletions": [{"at": at.isoformat(), "files": minutes[at]} for at in sorted(minutes)]})
    out.table((T("Time"), T("Files deleted")), [(f"{at:%Y-%m-%d %H:%M}", str(minutes[at])) for at in sorted(minutes)])
    out.say(T("{count} files were deleted. To bring some back, say since when: --since TIME", count=len(markers)))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-11-24 08:00", param_hint="--since") from None
