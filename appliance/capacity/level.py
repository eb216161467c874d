"""How full the contract is: reached (達した) is full to the byte, exceeded (超えた) one byte more."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from appliance.repository import Snapshot


class Level(StrEnum):
    """How what is counted stands to the contracted capacity."""

    FREE = "free"
    WARNED = "warned"
    """Past one of the shares at which a person is warned."""
    REACHED = "reached"
    EXCEEDED = "exceeded"


def level_of(used: int, capacity: int, warn_at: Iterable[float] = ()) -> Level:
    """The level of `used` bytes under `capacity`. `warn_at` are shares; one outside 0..1 counts for nothing."""
    if used > capacity:
        return Level.EXCEEDED
    if used == capacity:
        return Level.REACHED
    return Level.WARNED if crossed(used, capacity, warn_at) is not None else Level.FREE


def crossed(used: int, capacity: int, warn_at: Iterable[float]) -> float | None:
    """The highest of the shares that `used` has passed."""
    return max((share for share in warn_at if 0 < share < 1 and used >= share * capacity), default=None)


def collected_bytes(snapshots: Iterable[Snapshot]) -> int:
    """What is collected (収集するバックアップデータ量): each source's data, as it was read for its newest snapshot."""
    newest: dict[tuple[str, tuple[str, ...]], Snapshot] = {}
    for snapshot in snapshots:
        source = snapshot.hostname, tuple(snapshot.paths)
        if source not in newest or snapshot.time_ns > newest[source].time_ns:
            newest[source] = snapshot
    return sum(snapshot.summary.total_bytes_processed for snapshot in newest.values() if snapshot.summary is not None)
