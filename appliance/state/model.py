"""What the state remembers, as values. Moments are UTC, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.sources.interface import FoundSource


@dataclass(frozen=True)
class Designation:
    """A source that is to be backed up, with the facts it had when a person said so."""

    source: FoundSource
    at: datetime


@dataclass(frozen=True)
class SeenSource:
    """A source that was ever detected, with the facts it had last."""

    source: FoundSource
    first_at: datetime
    last_at: datetime


class SlotOutcome(StrEnum):
    """What became of a planned run. STARTED without an end means that the box went down meanwhile."""

    STARTED = "started"
    DONE = "done"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"
    OVERRUN = "overrun"
    RETRYABLE = "retryable"
    MISSED_NO_RECOLLECT = "missed_no_recollect"
    MISSED_CAPACITY = "missed_capacity"
    SKIPPED_SUSPENDED = "skipped_suspended"


@dataclass(frozen=True)
class SlotRecord:
    """A planned run of the schedule `name` and what became of it; `job_id` is empty when there was none.

    `cause` and `clause` say what kept it back and by which clause it is not made up for, `overran` for how many seconds
    it went on after the time that was meant for it.
    """

    name: str
    planned_at: datetime
    outcome: SlotOutcome
    job_id: str = ""
    cause: str = ""
    clause: str = ""
    overran: int = 0


@dataclass(frozen=True)
class PackRecord:
    """A pack of a place: when it was first seen there, when it was last read back, whether it was damaged then."""

    seen_at: datetime
    verified_at: datetime | None = None
    damaged: bool = False

    @property
    def since(self) -> datetime:
        """The moment from which its age counts."""
        return self.verified_at or self.seen_at


@dataclass(frozen=True)
class UsageRecord:
    """How much was stored in the contracted place at a moment, and under which capacity.

    `collected_bytes` is what was collected, where the contract counts that; `unlisted_bytes` the part of `used_bytes`
    that no listing shows.
    """

    at: datetime
    used_bytes: int
    objects: int
    capacity_bytes: int | None
    collected_bytes: int | None = None
    unlisted_bytes: int = 0


@dataclass(frozen=True)
class DirectiveRecord:
    """A signed directive that was taken: its number, the document as it came, when, and by which way."""

    number: int
    document: str
    received_at: datetime
    way: str


@dataclass(frozen=True)
class TrafficRecord:
    """The bytes of objects that went to a bucket and came from it in a month (`2026-06`) of Japan's calendar."""

    month: str
    bucket: str
    sent: int
    received: int
