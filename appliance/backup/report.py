"""What a backup did."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.repository import Snapshot, SnapshotSummary
from appliance.status.model import Outcome
from appliance.text import Text

PARTIAL_TAG = "partial"
"""The tag of a snapshot in which something of the source is missing or may be torn."""

LOST_TAG = "source-lost"
"""The tag, besides `PARTIAL_TAG`, of a snapshot whose source went away before all of it was seen."""


@dataclass(frozen=True)
class Unreadable:
    """A path that is not, or not surely, in the snapshot, and why. `path` is for people."""

    path: str
    why: Text


@dataclass(frozen=True)
class Noted:
    """A path that is in the snapshot, but not as one would think. `path` is for people."""

    path: str
    what: Text


@dataclass(frozen=True)
class BackupReport:
    """What a backup did.

    `snapshot` is None when it was cancelled or when nothing of any source could be read. `unreadable` makes an
    outcome PARTIAL, `noted` does not; `not_crossed` names directories on other file systems, which are recorded empty
    on purpose. `lost` says that a source went away in the middle.
    """

    outcome: Outcome
    snapshot: Snapshot | None
    summary: SnapshotSummary
    unreadable: tuple[Unreadable, ...] = ()
    noted: tuple[Noted, ...] = ()
    not_crossed: tuple[str, ...] = ()
    lost: bool = False
