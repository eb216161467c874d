"""The one Status: what the box is doing, how it is, and why.

A `Status` is a value. LED, serial line, page, mail, metrics and `kurabako status` render it; none of them
computes anything that is not in it. Moments are UTC `datetime`s with their zone; sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from appliance.text import Text


class State(StrEnum):
    """What the box shows with its one status LED; `appliance.status.compose` says which of several wins."""

    STARTING = "starting"
    IDLE = "idle"
    WORKING = "working"
    WARNING = "warning"
    ATTENTION = "attention"
    FAULT = "fault"
    STOPPING = "stopping"


class Severity(StrEnum):
    """How much a problem matters: for the record, for soon, for now, or the box cannot do its work."""

    INFO = "info"
    WARNING = "warning"
    ATTENTION = "attention"
    FAULT = "fault"


@dataclass(frozen=True)
class Problem:
    """Something a person should know: what, what is safe, what to do. `code` is stable, `subject` names the thing."""

    code: str
    severity: Severity
    what: Text
    since: datetime
    subject: str = ""
    safe: Text | None = None
    todo: Text | None = None


class JobKind(StrEnum):
    """What a job does."""

    BACKUP = "backup"
    REPLICATE = "replicate"
    RESTORE = "restore"
    CHECK = "check"
    REPAIR = "repair"
    UPKEEP = "upkeep"
    VERIFY = "verify"
    REFILL = "refill"


@dataclass(frozen=True)
class Progress:
    """How far a job is. Totals are None while unknown; `item` is what it works on now (a path, a pack)."""

    phase: Text
    bytes_done: int = 0
    bytes_total: int | None = None
    files_done: int = 0
    files_total: int | None = None
    errors: int = 0
    item: str = ""


@dataclass(frozen=True)
class JobStatus:
    """A job that runs now. `rate` is bytes per second over the last seconds; `eta_seconds` None while unknown."""

    id: str
    kind: JobKind
    subject: str
    started_at: datetime
    progress: Progress
    rate: float = 0.0
    eta_seconds: int | None = None


class Outcome(StrEnum):
    """How a job ended. PARTIAL: done, but some source data could not be read. REFUSED: over the capacity."""

    DONE = "done"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobResult:
    """A job that ended. `summary` is one sentence; `bytes_done` what it moved."""

    id: str
    kind: JobKind
    subject: str
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    summary: Text
    bytes_done: int = 0


@dataclass(frozen=True)
class SourceStatus:
    """A known source: there or not, designated or not, and when it was last backed up.

    `start` says what starts its backup (`schedule`, `arrival`, `both`), `on_page` whether the page may name it, `note`
    what a person should know about it. `may_unplug` is None where there is nothing to unplug.
    """

    id: str
    kind: str
    title: str
    present: bool
    designated: bool
    collectable: bool = True
    why_not: Text | None = None
    size_bytes: int | None = None
    removable: bool = False
    last_backup_at: datetime | None = None
    last_outcome: Outcome | None = None
    start: str = ""
    on_page: bool = True
    note: Text | None = None
    may_unplug: bool | None = None


@dataclass(frozen=True)
class PlaceStatus:
    """The vault or the cloud: where it is, whether it answered last, how much it holds."""

    location: str
    reachable: bool | None
    checked_at: datetime | None = None
    stored_bytes: int | None = None
    snapshots: int | None = None


class TransfersMode(StrEnum):
    """Whether a person lets the box use the line: PAUSED is polite, STOPPED the kill switch."""

    ON = "on"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class TransfersStatus:
    """Transfers to and from the cloud: whether a person holds them, since when, and a pause perhaps until when."""

    mode: TransfersMode = TransfersMode.ON
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class CapacityStatus:
    """The contracted capacity (契約容量) and what is counted under it, in bytes to the byte.

    `used_bytes` is what the contract counts: what is stored, or, by the meter `collected`, what is collected; then
    `stored_bytes` says what is stored beside it. `holds`: nothing is sent that would exceed the capacity; otherwise
    more is told of, and goes on. `provider_bytes` is what the provider counted at `provider_at`,
    `provider_more_bytes` more (or fewer) than the box had counted then. At this pace the
    capacity is full on `full_on`, and an upgrade is to be applied for by `apply_by`; `forecast` says why no day is
    foretold.

    `reserve_bytes` is the part of the capacity that only upkeep may use. `waiting_snapshots` are in the vault but
    did not fit; `needed_bytes` is what the oldest of them needs. `contract` is the number of the contract whose signed
    entitlement says the capacity; empty where the settings do.
    """

    capacity_bytes: int
    used_bytes: int
    reserve_bytes: int
    measured_at: datetime | None = None
    waiting_snapshots: int = 0
    needed_bytes: int | None = None
    contract: str = ""
    meter: str = "stored"
    holds: bool = True
    stored_bytes: int | None = None
    provider_bytes: int | None = None
    provider_more_bytes: int | None = None
    provider_at: datetime | None = None
    full_on: date | None = None
    apply_by: date | None = None
    forecast: str = ""

    @property
    def left_bytes(self) -> int:
        """Bytes that data may still take: never negative."""
        return max(0, self.capacity_bytes - self.reserve_bytes - self.used_bytes)


@dataclass(frozen=True)
class ContractEvent:
    """Something about the contract at a moment: what, and the clause. `until` None: it has no end, or none is known."""

    what: Text
    clause: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class ContractStatus:
    """How the contract of the box stands: `state` by its stable code and `title`, why, and what a person can do.

    `allowed` are `collect`, `local_restore`, `upload` and `cloud_restore`, as far as they are. `holding` is all that
    holds now, the weightiest first, `coming` what is known to come, the next first.
    """

    state: str
    title: Text
    allowed: tuple[str, ...]
    reason: Text | None = None
    clause: str = ""
    todo: Text | None = None
    until: datetime | None = None
    holding: tuple[ContractEvent, ...] = ()
    coming: tuple[ContractEvent, ...] = ()
    clock_trusted: bool = True


@dataclass(frozen=True)
class VerificationStatus:
    """How far what is stored was read back (復元検証). `report` is the name of the newest report.

    `verified_bytes` of `total_bytes` were read back within the time that is set; `oldest_at` is when those were, or (if
    never) first seen, that wait longest. `per_day` bytes a day are needed; `keeps_up` says whether the traffic is.
    """

    at: datetime
    report: str
    total_bytes: int
    verified_bytes: int
    oldest_at: datetime | None = None
    damages: int = 0
    keeps_up: bool = True
    per_day: int = 0


@dataclass(frozen=True)
class PluginStatus:
    """A plugin and whether it works. `state` is `active`, `set-aside` or `blocked` (by the settings).

    `why` says what a plugin did to be set aside, or what went wrong in its last call although it is active.
    """

    name: str
    distribution: str
    version: str
    state: str
    why: Text | None = None
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Everything about the box at one moment. `reason` is the sentence behind `state`; `todo` what helps.

    `transfers` is None on a box without a cloud. `timezone` is the IANA name of the zone the box tells its times in;
    empty for the machine's own.
    """

    box: str
    version: str
    state: State
    reason: Text
    at: datetime
    started_at: datetime
    todo: Text | None = None
    jobs: tuple[JobStatus, ...] = ()
    results: tuple[JobResult, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    vault: PlaceStatus | None = None
    cloud: PlaceStatus | None = None
    transfers: TransfersStatus | None = None
    capacity: CapacityStatus | None = None
    contract: ContractStatus | None = None
    verification: VerificationStatus | None = None
    problems: tuple[Problem, ...] = ()
    plugins: tuple[PluginStatus, ...] = ()
    next_run_at: datetime | None = None
    page_urls: tuple[str, ...] = field(default_factory=tuple)
    timezone: str = ""
