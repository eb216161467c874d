"""What states, jobs and outcomes are called, the same on every face of the box."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.status.model import (
    CapacityStatus,
    JobKind,
    JobResult,
    JobStatus,
    Outcome,
    Severity,
    SourceStatus,
    State,
    Status,
    TransfersMode,
    TransfersStatus,
)
from appliance.text import T, Text
from appliance.units import format_size

STATES = {
    State.STARTING: T("Starting"),
    State.IDLE: T("In order"),
    State.WORKING: T("Working"),
    State.WARNING: T("Warning"),
    State.ATTENTION: T("Action needed"),
    State.FAULT: T("Fault"),
    State.STOPPING: T("Shutting down"),
}

SEVERITIES = {
    Severity.INFO: T("For your information"),
    Severity.WARNING: T("Warning"),
    Severity.ATTENTION: T("Action needed"),
    Severity.FAULT: T("Fault"),
}

JOBS = {
    JobKind.BACKUP: T("Backup"),
    JobKind.REPLICATE: T("Replication"),
    JobKind.RESTORE: T("Restore"),
    JobKind.CHECK: T("Check"),
    JobKind.REPAIR: T("Repair"),
    JobKind.UPKEEP: T("Upkeep"),
    JobKind.VERIFY: T("Verification"),
    JobKind.REFILL: T("Refilling the vault"),
}

OUTCOMES = {
    Outcome.DONE: T("Done"),
    Outcome.PARTIAL: T("Incomplete"),
    Outcome.REFUSED: T("Over the capacity"),
    Outcome.FAILED: T("Failed"),
    Outcome.CANCELLED: T("Cancelled"),
}

_KINDS = {
    "disk": T("Disk"),
    "folder": T("Folder"),
    "smb": T("Shared folder"),
    "smb-server": T("File server"),
    "samba": T("Shared folder of this box"),
}

_PLACES = {
    "vault": T("Vault"),
    "cloud": T("Cloud"),
}


def source_kind(kind: str) -> Text:
    """What a kind of source is called; a stranger's plugin's kind is its own name."""
    return _KINDS.get(kind) or _name(kind)


STARTS = {
    "schedule": T("on schedule"),
    "arrival": T("on arrival"),
    "both": T("on schedule and on arrival"),
}
"""What starts the backup of a source."""


def unplug(may: bool) -> Text:
    """Whether a disk may be unplugged."""
    return T("may be unplugged") if may else T("do not unplug")


def subject(subject: str, sources: Iterable[SourceStatus]) -> Text:
    """What a job or a problem is about: a source's title, the vault, the cloud, or its own name."""
    title = next((source.title for source in sources if source.id == subject), None)
    return _name(title) if title is not None else _PLACES.get(subject) or _name(subject)


def _name(name: str) -> Text:
    """A name as a text: the same in every language."""
    return Text("{name}", {"name": name})


def moment(at: datetime, zone: tzinfo | None = None) -> str:
    """`at` in the time zone (this machine's when None): `2026-11-20 02:00`."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def transfers(held: TransfersStatus, zone: tzinfo | None = None) -> Text:
    """Whether the box may send to the cloud, with moments in the time zone (this machine's when None)."""
    if held.mode is TransfersMode.ON or held.since is None:
        return T("Sending to the cloud is on.")
    if held.mode is TransfersMode.STOPPED:
        return T("All sending has been stopped since {since}.", since=moment(held.since, zone))
    if held.until is not None:
        return T("Sending is paused until {until}.", until=moment(held.until, zone))
    return T("Sending has been paused since {since}.", since=moment(held.since, zone))


def zone(status: Status) -> tzinfo | None:
    """The time zone the box tells its times in; None, which is this machine's, when it names none that is known."""
    try:
        return ZoneInfo(status.timezone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def duration(seconds: float) -> Text:
    """A length of time in its two largest units: `40 s`, `5 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return T("{seconds} s", seconds=whole)
    minutes = whole // 60
    if minutes < 60:
        return T("{minutes} min", minutes=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return T("{hours} h {minutes} min", hours=hours, minutes=minutes)
    days, hours = divmod(hours, 24)
    return T("{days} d {hours} h", days=days, hours=hours)


def share(job: JobStatus) -> float | None:
    """How far a job is, 0..1; None while its total is unknown."""
    done, total = job.progress.bytes_done, job.progress.bytes_total
    if total is None:
        done, total = job.progress.files_done, job.progress.files_total
    if total is None:
        return None
    return min(1.0, done / total) if total else 1.0


def amount(job: JobStatus) -> Text:
    """What a job has done so far: `1.200 GB of 3.000 GB`, or only the first while the total is unknown."""
    progress = job.progress
    if progress.bytes_total is None:
        return T("{done} done", done=format_size(progress.bytes_done))
    return T("{done} of {total}", done=format_size(progress.bytes_done), total=format_size(progress.bytes_total))


def took(result: JobResult) -> Text:
    """How long a run took."""
    return duration((result.ended_at - result.started_at).total_seconds())


def percent(part: float) -> str:
    """A share as whole percent, rounded down: `100 %` means all of it."""
    return f"{int(part * 100)} %"


def provider_difference(more: int) -> Text:
    """How the provider's figure differs from the box's own of that moment, to the byte."""
    if more == 0:
        return T("The box had counted the same.")
    size = {"size": format_size(abs(more)), "bytes": f"{abs(more):,}"}
    if more > 0:
        return T("That was {size} ({bytes} bytes) more than the box had counted.", **size)
    return T("That was {size} ({bytes} bytes) less than the box had counted.", **size)


_NO_FORECAST = {
    "too_short": T("When it will be full cannot be told yet: it was counted on too few days."),
    "not_growing": T("At the pace of the last weeks it will not become full."),
    "far_off": T("At the pace of the last weeks it will not be full within five years."),
}


def forecast(capacity: CapacityStatus) -> Text:
    """When the capacity will be full, and by when more is to be applied for; or why that cannot be told."""
    if capacity.full_on is None:
        return _NO_FORECAST.get(capacity.forecast, _NO_FORECAST["too_short"])
    full = capacity.full_on.isoformat()
    if capacity.apply_by is None:
        return T("At the pace of the last weeks it will be full on {day}.", day=full)
    return T(
        "At the pace of the last weeks it will be full on {day}; apply for more by {apply_by}.",
        day=full,
        apply_by=capacity.apply_by.isoformat(),
    )
