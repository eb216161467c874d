"""What becomes of a planned run under the contract: what is not made up for, and by which clause. Pure.

A run has two legs. Backing up into the vault goes on whatever the contract says; collecting (収集), which is sending to
the provider, follows the terms. A lost run is told as lost even where the next one brings all of its data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.contract.box_state import BoxState, Condition
from appliance.contract.civil import JAPAN
from appliance.contract.entitlement import BackupWindow
from appliance.contract.terms import Terms


class Cause(StrEnum):
    """Why a run, or a part of it, was lost: as the terms distinguish it."""

    OPERATIONAL_SUSPENSION = "operational_suspension"
    CUSTOMER = "customer"
    """A share or disk that is not there, a changed password, a box that was off, a run that somebody cancelled."""
    LINE = "line"
    RESTRICTION = "restriction"
    CAPACITY = "capacity"
    SUSPENSION = "suspension"
    """The contract itself does not let anything be sent: 提供停止, its end, its region or configuration."""


class Collected(StrEnum):
    """What became of collecting."""

    DONE = "done"
    PARTIAL = "partial"
    OVERRUN = "overrun"
    """It went on after the time that was meant for it."""
    RETRYABLE = "retryable"
    """It is made up for when its cause has gone."""
    MISSED_NO_RECOLLECT = "missed_no_recollect"
    MISSED_CAPACITY = "missed_capacity"
    SKIPPED_SUSPENDED = "skipped_suspended"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """What became of a run: `cause` and `clause` where something kept it back, `overran` where it took too long."""

    result: Collected
    cause: Cause | None = None
    clause: str = ""
    overran: timedelta = timedelta()


_CAUSES = {
    BoxState.SUSPENDED_OPERATIONAL: Cause.OPERATIONAL_SUSPENSION,
    BoxState.RESTRICTED_TELECOM8: Cause.RESTRICTION,
    BoxState.HOLD_CAPACITY: Cause.CAPACITY,
}
_CUSTOMER = ("source.", "job.cancelled")
_LINE = ("storage.unreachable",)
_CAPACITY = ("capacity.exceeded",)


def cause_of(condition: Condition) -> Cause:
    """The cause that a condition of the contract is."""
    return _CAUSES.get(condition.state, Cause.SUSPENSION)


def against_recollection(terms: Terms, cause: Cause) -> str | None:
    """The clause by which a run that was lost so is not made up for; None where it is."""
    rule = terms.recollect
    if rule is None:
        return None
    clause: str | None = getattr(rule, cause.value, None)
    return clause


def kept_back(terms: Terms, condition: Condition) -> Verdict:
    """The verdict on a run that could not be sent because of a condition of the contract."""
    return _lost(terms, cause_of(condition), condition.clause)


def came_late(terms: Terms) -> Verdict | None:
    """The verdict on a run whose time the box slept through, where that is not made up for."""
    clause = against_recollection(terms, Cause.CUSTOMER)
    return Verdict(Collected.MISSED_NO_RECOLLECT, Cause.CUSTOMER, clause) if clause is not None else None


@dataclass(frozen=True)
class JobEnd:
    """How a job of the run ended: `done`, `partial`, `refused`, `failed` or `cancelled`, and its error's code."""

    outcome: str
    code: str = ""


def verdict(terms: Terms, ends: Iterable[JobEnd], overran: timedelta = timedelta()) -> Verdict:
    """The verdict on a run whose jobs ended so: the worst of them counts."""
    found = list(ends)
    lost = [_cause(end) for end in found if end.outcome not in ("done", "partial")]
    for cause in (Cause.CAPACITY, Cause.CUSTOMER, Cause.LINE):
        if cause in lost:
            return _lost(terms, cause, "")
    if lost:
        return Verdict(Collected.FAILED)
    if overran:
        clause = terms.overrun.clause if terms.overrun is not None else ""
        return Verdict(Collected.OVERRUN, None, clause, overran)
    return Verdict(Collected.PARTIAL if any(end.outcome == "partial" for end in found) else Collected.DONE)


def _cause(end: JobEnd) -> Cause | None:
    if end.outcome == "refused" or end.code in _CAPACITY:
        return Cause.CAPACITY
    if end.outcome == "cancelled" or end.code.startswith(_CUSTOMER):
        return Cause.CUSTOMER
    return Cause.LINE if end.code in _LINE else None


def _lost(terms: Terms, cause: Cause, clause: str) -> Verdict:
    if cause is Cause.CAPACITY:
        exceeded = terms.capacity.exceeded if terms.capacity is not None else None
        return Verdict(Collected.MISSED_CAPACITY, cause, clause or (exceeded.clause if exceeded is not None else ""))
    if cause is Cause.SUSPENSION:
        return Verdict(Collected.SKIPPED_SUSPENDED, cause, clause)
    denied = against_recollection(terms, cause)
    if denied is not None:
        return Verdict(Collected.MISSED_NO_RECOLLECT, cause, denied)
    return Verdict(Collected.RETRYABLE, cause, clause)


def window_end(window: BackupWindow, begun: datetime) -> datetime:
    """The end of the backup window that `begun` lies in, or of the next one where it lies in none."""
    local = begun.astimezone(JAPAN)
    end = local.replace(hour=window.ends.hour, minute=window.ends.minute, second=0, microsecond=0)
    return end if end > local else end + timedelta(days=1)


def overran(window: BackupWindow | None, begun: datetime, ended: datetime) -> timedelta:
    """How long a run went on after the window in which it began; nothing where no window was agreed."""
    if window is None:
        return timedelta()
    return max(timedelta(), ended - window_end(window, begun))
