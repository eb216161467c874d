"""`kurabako repo backup`: folders and files of this machine into a repository, under a limit if one is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from appliance.backup import BackupPlan, BackupReport, Unreadable, execute_backup, plan_backup
from appliance.capacity import CapacityExceeded, GatedStorage, Ledger, RehearsalStorage
from appliance.cli.access import Access
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.cli.places import source_at
from appliance.cli.repo_session import (
    PasswordFileOption,
    RepoOption,
    interruptible,
    locked,
    this_host,
    this_user,
)
from appliance.errors import ExitCode
from appliance.repository import Repository
from appliance.sources.interface import Entry, EntryType, Source, SourceNotFound
from appliance.sources.patterns import PatternError
from appliance.sources.selection import Selection
from appliance.sources.walk import walk
from appliance.status.model import Outcome
from appliance.text import T
from appliance.units import format_size, parse_size

_REMOTE_READERS = 4
"""Files, or batches of small ones, read at once from places that take time to answer."""

_ENTRY_BYTES = 4096
"""What a name and its metadata may take at most in a tree, for an estimate that is never too low in practice."""

_CHUNK_BYTES = 256
"""What a chunk costs besides its content: sealing, its place in pack header, index and tree."""

_SMALLEST_CHUNK = 512 << 10
_BASE_BYTES = 64 << 10

_SLACK_BYTES = 8192
_SLACK_PER_OBJECT = 128
"""By how much a run may differ from its rehearsal: blobs are put into packs at random, and locks are renewed."""


def register(app: typer.Typer) -> None:
    """Adds the command to the group."""
    app.command(help=T("Back up files and folders as one snapshot.").message)(backup)


def backup(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help=T("What to back up; also a share: smb://user@server/share/path.").message),
    ],
    capacity: Annotated[
        str,
        typer.Option(
            "--capacity",
            metavar="BYTES",
            help=T(
                "Keep all that the repository stores below this (500 GB, 16 MiB); refuse with 28 what is more."
            ).message,
        ),
    ] = "",
    tags: Annotated[list[str], typer.Option("--tag", help=T("A tag for the snapshot; repeatable.").message)] = [],  # noqa: B006
    excludes: Annotated[
        list[str], typer.Option("--exclude", "-e", help=T("A pattern of names to leave out; repeatable.").message)
    ] = [],  # noqa: B006
    host: Annotated[str, typer.Option("--host", help=T("The host name in the snapshot.").message)] = "",
    repo: RepoOption = "",
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    out = printer(context, as_json)
    limit = _limit(capacity)
    _require_patterns(excludes)
    access = Access.of(context, repo, password_file)
    sources, absent = _sources(paths)
    began = time.monotonic()
    storage = access.storage()
    try:
        password = access.password()
        if limit is not None:
            storage = GatedStorage(storage, Ledger.measure(storage, capacity=limit))
        repository = Repository.open(storage, password)
        with locked(repository), interruptible() as cancelled:
            plan = plan_backup(
                repository,
                sources,
                hostname=host or this_host(),
                username=this_user(),
                tags=tags,
                excludes=excludes,
                now=_now,
            )
            if isinstance(storage, GatedStorage) and not _surely_fits(sources, excludes, storage.ledger):
                _rehearse(out, storage, password, plan, sources, cancelled)
            with out.progress(T("Backup")) as on_progress:
                report = execute_backup(
                    repository,
                    plan,
                    sources,
                    now=_now,
                    workers=_REMOTE_READERS if any("://" in path for path in paths) else 1,
                    on_progress=on_progress,
                    cancelled=cancelled,
                )
    finally:
        storage.close()
        for source in sources:
            source.close()
    _tell(out, report, absent, time.monotonic() - began)


def _now() -> datetime:
    return datetime.now(UTC)


def _limit(capacity: str) -> int | None:
    try:
        return parse_size(capacity) if capacity else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--capacity") from None


def _require_patterns(excludes: Sequence[str]) -> None:
    try:
        Selection(excludes)
    except PatternError as error:
        raise typer.BadParameter(str(error), param_hint="--exclude") from None


def _sources(paths: Sequence[str]) -> tuple[list[Source], list[Unreadable]]:
    """What is there to be backed up, and what is not there. Raises `SourceNotFound` when nothing is."""
    sources: list[Source] = []
    absent: list[Unreadable] = []
    for path in paths:
        try:
            sources.append(source_at(path))
        except SourceNotFound as error:
            if len(paths) == 1:
                raise
            absent.append(Unreadable(path, error.what))
    if not sources:
        raise SourceNotFound(
            T("None of the paths is there."), todo=T("Check their names and that their disks are connected.")
        )
    return sources, absent


def _surely_fits(sources: Sequence[Source], excludes: Sequence[str], ledger: Ledger) -> bool:
    """Whether it would fit even if every byte of every file were new: known from a walk that reads no file."""
    left = ledger.usage.left_for_data
    most = _BASE_BYTES
    for source in sources:
        for entry in _entries(source, excludes):
            most += _ENTRY_BYTES + len(entry.name)
            if entry.type is EntryType.FILE:
                most += entry.size + entry.size // 128 + (entry.size // _SMALLEST_CHUNK + 1) * _CHUNK_BYTES
            if left is not None and most > left:
                return False
    return True


def _entries(source: Source, excludes: Sequence[str]) -> Iterator[Entry]:
    """The source's root and everything below it that can be listed."""
    yield source.root()
    for _, entry in walk(source, Selection(excludes), on_error=lambda *_: None):
        yield entry


def _rehearse(
    out: Printer,
    gated: GatedStorage,
    password: str,
    plan: BackupPlan,
    sources: Sequence[Source],
    cancelled: Callable[[], bool],
) -> None:
    """Runs the plan against a storage that keeps nothing, and so measures it. Raises `CapacityExceeded`."""
    rehearsal = RehearsalStorage(gated)
    repository = Repository.open(rehearsal, password)
    repository.load_index()
    with out.progress(T("Measuring")) as on_progress:
        report = execute_backup(repository, plan, sources, now=_now, on_progress=on_progress, cancelled=cancelled)
    if report.outcome is Outcome.CANCELLED:
        raise KeyboardInterrupt
    usage = gated.ledger.usage
    needed = rehearsal.bytes_put + _SLACK_BYTES + _SLACK_PER_OBJECT * rehearsal.objects_put
    left = usage.left_for_data
    if left is not None and needed > left:
        raise CapacityExceeded(needed, left, usage.limits.capacity or 0)


def _tell(out: Printer, report: BackupReport, absent: Sequence[Unreadable], seconds: float) -> None:
    if report.outcome is Outcome.CANCELLED:
        raise KeyboardInterrupt
    unreadable = (*absent, *report.unreadable)
    out.document(_document(report, unreadable, seconds))
    for each in unreadable:
        out.note(T("{path}: {why}", path=each.path, why=each.why))
    for one in report.noted:
        out.note(T("{path}: {why}", path=one.path, why=one.what))
    summary = report.summary
    out.say(
        T(
            "Files: {new} new, {changed} changed, {unmodified} unmodified, {size} in all; {added} were added.",
            new=summary.files_new,
            changed=summary.files_changed,
            unmodified=summary.files_unmodified,
            size=format_size(summary.total_bytes_processed),
            added=format_size(summary.data_added_packed),
        )
    )
    if report.snapshot is None:
        out.say(T("No snapshot was saved: nothing could be read."))
        raise typer.Exit(ExitCode.FAILED)
    out.say(T("Snapshot {snapshot} was saved.", snapshot=report.snapshot.short_id))
    if unreadable:
        out.note(T("{count} paths could not be read, or not for sure.", count=len(unreadable)))
        raise typer.Exit(ExitCode.PARTIAL)


def _document(report: BackupReport, unreadable: Sequence[Unreadable], seconds: float) -> dict[str, Any]:
    """The summary as restic's JSON has it, and what could not be read."""
    return {
        "message_type": "summary",
        **msgspec.to_builtins(report.summary),
        "total_duration": round(seconds, 3),
        "snapshot_id": report.snapshot.id if report.snapshot else None,
        "outcome": Outcome.PARTIAL if unreadable and report.snapshot else report.outcome,
        "unreadable": unreadable,
        "noted": report.noted,
    }
