"""What the box's commands share: the box, the daemon that may serve it, and jobs that run in either."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from appliance.cli.context import invocation
from appliance.cli.output import OnProgress, Printer
from appliance.errors import ExitCode, KurabakoError
from appliance.status.model import JobKind, Outcome
from appliance.text import T, Text

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.daemon.client import ControlClient
    from appliance.daemon.jobs import JobReport
    from appliance.daemon.requests import JobRequest

Result = TypeVar("Result")

SHOWN = 10
"""Paths or findings that are printed; `--json` has more."""

_TITLES = {
    JobKind.BACKUP: T("Backup"),
    JobKind.REPLICATE: T("Replication"),
    JobKind.RESTORE: T("Restore"),
    JobKind.CHECK: T("Check"),
    JobKind.REPAIR: T("Repair"),
    JobKind.UPKEEP: T("Upkeep"),
    JobKind.VERIFY: T("Verification"),
    JobKind.REFILL: T("Refilling the vault"),
}


@dataclass(frozen=True)
class EndedJob:
    """A job that was run, by the daemon or here."""

    id: str
    kind: JobKind
    subject: str
    report: JobReport


@contextmanager
def opened_box(context: typer.Context) -> Iterator[Box]:
    """The box that the settings file describes."""
    from appliance.box import Box

    box = Box.open(invocation(context).config)
    try:
        yield box
    finally:
        box.close()


def daemon_of(box: Box) -> ControlClient | None:
    """A connection to the daemon that serves the box; None when none does."""
    from appliance.daemon.client import ControlClient

    return ControlClient.connect(box.settings.box.socket_path)


def asked_or(
    box: Box,
    command: str,
    arguments: Mapping[str, Any],
    understand: Callable[[Any], Result],
    otherwise: Callable[[], Result],
) -> Result:
    """The daemon's answer to `command`, understood; without a daemon, what `otherwise` does here."""
    client = daemon_of(box)
    if client is None:
        return otherwise()
    with client:
        return understand(client.ask(command, arguments))


class OtherUsersBox(KurabakoError):
    """Root would make files in the box's places that the box's own user could not change."""

    code = "box.other-user"


def require_own_box(box: Box) -> None:
    """Raises `OtherUsersBox` for root when the box belongs to a user of its own."""
    state_dir = box.settings.box.state_dir
    if os.geteuid() != 0 or not state_dir.is_dir() or (owner := state_dir.stat().st_uid) == 0:
        return
    try:
        user = pwd.getpwuid(owner).pw_name
    except KeyError:
        user = f"#{owner}"
    raise OtherUsersBox(
        T("This box belongs to the user {user}, and what root writes there the box could not change.", user=user),
        safe=T("Nothing was changed."),
        todo=T(
            "Start its service (systemctl start kurabako) and try again, or type: sudo -u {user} kurabako …", user=user
        ),
    )


def is_served_by_another(box: Box) -> bool:
    """Whether the daemon that serves the box runs as another user than the one who asks."""
    try:
        return box.settings.box.socket_path.stat().st_uid != os.geteuid()
    except OSError:
        return False


def run_jobs(
    out: Printer,
    box: Box,
    command: str,
    arguments: Mapping[str, Any],
    requests: Callable[[], Sequence[JobRequest]],
    *,
    here: bool = False,
) -> None:
    """Has the daemon do `command`, or does `requests()` here; prints progress and results and exits accordingly.

    `here`: not the daemon, even if one runs. Ctrl-C ends the jobs in order; pressed again, it leaves them.
    """
    client = None if here else daemon_of(box)
    if client is None:
        if command != "restore":
            require_own_box(box)
        ended = _run_here(out, box, requests())
    else:
        with client:
            ended = _run_there(out, box, client, command, arguments)
    _print(out, ended)
    code = exit_code([job.report.exit_code for job in ended])
    if code != ExitCode.DONE:
        raise typer.Exit(code)


def exit_code(codes: Sequence[int]) -> int:
    """One exit code for several jobs: the first that is not good at all, else that of a partial one, else done."""
    bad = [code for code in codes if code not in (ExitCode.DONE, ExitCode.PARTIAL)]
    return bad[0] if bad else max(codes, default=int(ExitCode.DONE))


def _run_here(out: Printer, box: Box, requests: Sequence[JobRequest]) -> list[EndedJob]:
    from appliance.cli.repo_session import interruptible
    from appliance.daemon.standalone import do_job
    from appliance.daemon.work import require_sensible

    for request in requests:
        if request.kind is requests[0].kind:  # What follows by itself must not keep a backup from the vault.
            require_sensible(box, request)
    ended = []
    with interruptible() as is_cancelled:
        for request in requests:
            with out.progress(_TITLES[request.kind]) as on_progress:
                job_id, report = do_job(box, request, on_progress, is_cancelled)
            ended.append(EndedJob(job_id, request.kind, request.subject, report))
            if report.outcome is Outcome.CANCELLED:
                break
    return ended


def _run_there(
    out: Printer, box: Box, client: ControlClient, command: str, arguments: Mapping[str, Any]
) -> list[EndedJob]:
    from appliance.daemon.jobs import report_from_json

    with Bars(out) as bars, _cancelling(box, bars):
        result = client.ask(command, arguments, bars.show)
    return [
        EndedJob(one["job"], JobKind(one["kind"]), one["subject"], report_from_json(one["report"])) for one in result
    ]


class Bars:
    """A progress bar for the job that runs now, of those the daemon tells about."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._bar = ExitStack()
        self._job = ""
        self._on_progress: OnProgress | None = None
        self.jobs: list[str] = []

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, message: Mapping[str, Any]) -> None:
        """Draws what a progress line of the daemon says."""
        from appliance.status import codec
        from appliance.status.model import Progress

        if "jobs" in message:
            self.jobs = [job["job"] for job in message["jobs"]]
            return
        if message["job"] != self._job or self._on_progress is None:
            self._bar.close()
            self._job = message["job"]
            self._on_progress = self._bar.enter_context(self._out.progress(_TITLES[JobKind(message["kind"])]))
        self._on_progress(codec.decode(Progress, message["progress"]))


@contextmanager
def _cancelling(box: Box, bars: Bars) -> Iterator[None]:
    """Ctrl-C asks the daemon to end the jobs that were asked for, over a connection of its own; again, it leaves."""

    def cancel(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        client = daemon_of(box)
        if client is not None:
            with client:
                for job in bars.jobs:
                    client.ask("cancel", {"job": job})

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print(out: Printer, ended: Sequence[EndedJob]) -> None:
    out.document({"jobs": [job_document(job) for job in ended]})
    for job in ended:
        report = job.report
        if report.error is None:
            out.say(T("{title}: {summary}", title=_TITLES[job.kind], summary=report.summary))
        else:
            out.note(T("{title}: {summary}", title=_TITLES[job.kind], summary=report.error.what))
            out.note(*(part for part in (report.error.safe, report.error.todo) if part is not None))
        out.say(*(Text.from_json(one) for one in report.details.get("remarks", ())))
        out.note(*_particulars(report.details))


def job_document(job: EndedJob) -> dict[str, Any]:
    """A job as `--json` shows it, with texts that the printer renders."""
    report = job.report
    return {
        "job": job.id,
        "kind": job.kind,
        "subject": job.subject,
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "summary": report.summary,
        "bytes_done": report.bytes_done,
        "details": with_texts(dict(report.details)),
        "error": _error(report.error) if report.error else None,
    }


def with_texts(value: Any) -> Any:
    """JSON that holds unrendered texts, with `Text`s in their places."""
    if isinstance(value, Mapping):
        if value.keys() == {"message", "values"}:
            return Text.from_json(value)
        return {name: with_texts(one) for name, one in value.items()}
    return [with_texts(one) for one in value] if isinstance(value, list) else value


def _error(error: KurabakoError) -> dict[str, Any]:
    return {"code": error.code, "what": error.what, "safe": error.safe, "todo": error.todo}


def _particulars(details: Mapping[str, Any]) -> list[Text]:
    """The paths and findings of a report, the first few."""
    lines = []
    for name, subject, count in (
        ("unreadable", "path", "unreadable_count"),
        ("noted", "path", "noted_count"),
        ("failures", "path", "failures_count"),
        ("errors", "name", "errors_count"),
        ("damages", "name", "damages_count"),
        ("incomplete", "snapshot", "incomplete_count"),
        ("findings", "subject", "findings_count"),
        ("refused", "snapshot", "refused_count"),
    ):
        listed = details.get(name, [])[:SHOWN]
        key = "why" if name in ("unreadable", "failures") else "what"
        lines += [
            T("  {subject}: {what}", subject=str(one[subject] or "")[:200], what=Text.from_json(one[key]))
            for one in listed
        ]
        more = details.get(count, 0) - len(listed)
        if more > 0:
            lines.append(T("  … and {count} more", count=more))
    return lines
