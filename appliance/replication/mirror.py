"""A whole replication: what the cloud lacks goes there, then what the vault let go of goes from there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import replace

from appliance.capacity import GatedStorage
from appliance.errors import KurabakoError
from appliance.replication.apart import HeldBack, set_apart, too_large
from appliance.replication.deletions import DeletionPlan, execute_deletions, plan_deletions
from appliance.replication.execute import ReplicationReport, execute_replication
from appliance.replication.plan import plan_replication
from appliance.replication.removed import RemovedFromCloud
from appliance.repository import Repository, Snapshot
from appliance.status.model import Outcome, Progress

Locked = Callable[[], AbstractContextManager[object]]
"""Holds the cloud's lock; entering raises `RepositoryLocked`."""


def mirror(
    vault: Repository,
    cloud: GatedStorage,
    *,
    forgotten: Collection[str],
    together: Locked,
    alone: Locked,
    stays: Callable[[Snapshot], bool] = lambda _: False,
    removed: RemovedFromCloud | None = None,
    largest: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ReplicationReport:
    """Sends, then deletes; and sends once more what did not fit before, if the deletions made room.

    `forgotten` are the snapshots that may go from the cloud; one that `stays` in the vault is not sent, nor is what
    only it needs. What others `removed` from the cloud is not sent again, and nothing is deleted meanwhile. A pack
    of more than `largest` bytes stays in the vault, and so does a snapshot that needs it. The caller
    holds the vault's lock. The cloud is sent to under a lock `together` with others, and deleted from `alone`; where
    that is not to be had, nothing is deleted. What keeps deletions from being carried fails nothing else: it is the
    report's `kept_back`.
    """
    held = set_apart(vault, cloud.ledger.objects(), stays)
    if removed is not None:
        held = held.besides(removed.held)
    if largest is not None:
        held = held.besides(too_large(vault, largest))
    report = _send(vault, cloud, together, held, on_progress, cancelled)
    if report.problem is not None or report.outcome is Outcome.CANCELLED:
        return report
    if removed is not None:
        return replace(report, kept_back=removed)
    try:
        with alone():
            plan = plan_deletions(vault, cloud.ledger, forgotten, held=held, cancelled=cancelled)
            before = cloud.ledger.usage.used
            deleted = execute_deletions(plan, vault, cloud, on_progress=on_progress, cancelled=cancelled)
            freed = before - cloud.ledger.usage.used
    except KurabakoError as error:
        return replace(report, kept_back=error)
    report = replace(report, deleted=deleted, bytes_freed=freed, carried=_is_carried(plan, deleted))
    if plan.refusal is not None:
        report = replace(report, refused=(*report.refused, plan.refusal), outcome=Outcome.REFUSED)
    if not report.refused or freed <= 0 or cancelled():
        return report
    again = _send(vault, cloud, together, held, on_progress, cancelled)
    return replace(
        again,
        snapshots=(*report.snapshots, *again.snapshots),
        files=report.files + again.files,
        bytes_done=report.bytes_done + again.bytes_done,
        deleted=deleted,
        bytes_freed=freed,
        carried=report.carried,
    )


def _is_carried(plan: DeletionPlan, deleted: int) -> bool:
    return plan.refusal is None and deleted == len(plan.delete)


def _send(
    vault: Repository,
    cloud: GatedStorage,
    together: Locked,
    held: HeldBack,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> ReplicationReport:
    with together():
        plan = plan_replication(vault, cloud, cloud.ledger, held=held, on_progress=on_progress, cancelled=cancelled)
        return execute_replication(plan, vault, cloud, on_progress=on_progress, cancelled=cancelled)
