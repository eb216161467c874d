"""What is known about the box at one moment, before anybody has judged it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from appliance.status.model import (
    CapacityStatus,
    ContractStatus,
    JobResult,
    JobStatus,
    PlaceStatus,
    PluginStatus,
    Problem,
    SourceStatus,
    TransfersStatus,
    VerificationStatus,
)


@dataclass(frozen=True)
class Facts:
    """Everything `compose` needs. Moments carry their zone; sizes are bytes.

    `ready` becomes True once sources have been looked for and the places have been tried. `results` come in any
    order; the newest of each kind and subject counts. `designated_at` says since when a source (by id) is to be
    backed up, for one that never was. `problems` are those found elsewhere (checks, failed settings). `warn_at` are
    shares of the capacity; one outside 0..1 counts for nothing. `overdue_after` is how old the newest backup
    of a source may be. `zone` is the box's time zone, for the moments named in sentences.
    """

    box: str
    version: str
    started_at: datetime
    ready: bool = True
    stopping: bool = False
    jobs: tuple[JobStatus, ...] = ()
    results: tuple[JobResult, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    designated_at: Mapping[str, datetime] = field(default_factory=dict)
    vault: PlaceStatus | None = None
    cloud: PlaceStatus | None = None
    transfers: TransfersStatus | None = None
    capacity: CapacityStatus | None = None
    contract: ContractStatus | None = None
    verification: VerificationStatus | None = None
    plugins: tuple[PluginStatus, ...] = ()
    problems: tuple[Problem, ...] = ()
    warn_at: tuple[float, ...] = (0.8, 0.9)
    overdue_after: timedelta = timedelta(hours=26)
    next_run_at: datetime | None = None
    page_urls: tuple[str, ...] = ()
    zone: tzinfo = UTC

    def moment(self, at: datetime) -> str:
        """`at` as people at the box write it: `2026-11-20 02:00`, the same in every language."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")
