"""What the jobs share: how they are told to stop, what their reports list, and reading a place under a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage, collected_bytes
from appliance.contract.profile import Meter
from appliance.errors import ExitCode
from appliance.repository import Repository
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import AccessDenied, NoSpace, Storage

OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]

PATIENCE = 60.0
"""Seconds a job waits for one that is just ending, such as the child of a daemon that was killed."""

LISTED = 100
"""Paths or findings that a report names; it counts all of them."""

EXIT_CODES = {
    Outcome.DONE: ExitCode.DONE,
    Outcome.PARTIAL: ExitCode.PARTIAL,
    Outcome.REFUSED: ExitCode.CAPACITY_REFUSED,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.CANCELLED: ExitCode.INTERRUPTED,
}


def open_to_read(box: Box, *, cloud: bool) -> Repository:
    """The vault's repository, or the cloud's when it is asked for or there is no vault. Passes no capacity gate."""
    return box.open_cloud() if cloud or not box.has_vault else box.open_home()


@contextmanager
def reading(box: Box, repository: Repository) -> Iterator[None]:
    """A lock while reading, so that nobody prunes meanwhile. A full place or one we may only read is read without.

    Restoring is never refused for want of room.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(repository.lock(now=box.clock))
        except (NoSpace, AccessDenied, CapacityExceeded):
            pass
        yield


def usage_of(box: Box, cloud: GatedStorage, repository: Repository | None) -> dict[str, Any]:
    """What the contract counts, after a job on the cloud; what is collected, by the snapshots of `repository`."""
    usage, contract = cloud.ledger.usage, box.contract
    collects = contract.profile.meter is Meter.COLLECTED
    return {
        "capacity_bytes": contract.capacity,
        "reserve_bytes": usage.limits.reserve,
        "used_bytes": usage.used,
        "left_bytes": usage.left_for_data,
        "objects": usage.objects,
        "unlisted_bytes": usage.unlisted,
        "collected_bytes": collected_bytes(repository.snapshots()) if repository is not None and collects else None,
    }


def measure(storage: Storage) -> dict[str, int]:
    """What a place holds, bytes and snapshots: by listing it, or as the gate before it has just counted."""
    if isinstance(storage, GatedStorage):
        ledger = storage.ledger
        snapshots = sum(key.startswith("snapshots/") for key in ledger.objects())
        return {"stored_bytes": ledger.usage.used, "snapshots": snapshots}
    stored = snapshots = 0
    for info in storage.list():
        stored += info.size
        snapshots += info.key.startswith("snapshots/")
    return {"stored_bytes": stored, "snapshots": snapshots}
