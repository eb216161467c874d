"""Protecting what is in the cloud from being deleted, as a part of the jobs that write there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from appliance.box import Box
from appliance.capacity import GatedStorage
from appliance.daemon.jobs import error_to_json
from appliance.daemon.memory import Memory
from appliance.daemon.work.common import LISTED
from appliance.errors import KurabakoError
from appliance.protection import (
    ProtectionPlan,
    ProtectionReport,
    execute_protection,
    execute_undelete,
    plan_protection,
    plan_undelete,
)
from appliance.repository import FileType, Repository
from appliance.repository.ids import CONFIG_KEY
from appliance.status.model import Progress
from appliance.storage.interface import Storage


def plan_box_protection(
    box: Box, cloud: Storage, on_progress: Callable[[Progress], None] = lambda _: None
) -> ProtectionPlan | None:
    """What the settings ask for in the cloud now; None where they ask for nothing. `ObjectLockOff`, `StorageError`."""
    rules = box.require_cloud().protection
    if rules is None:
        return None
    place = box.cloud_location
    known, let_go = box.state.protected_until(place), box.state.let_go(place)
    return plan_protection(cloud, rules, let_go, now=box.clock(), known=known, on_progress=on_progress)


def bring_back(box: Box, vault: Repository, on_progress: Callable[[Progress], None]) -> int:
    """Uncovers what somebody else deleted in the cloud and the vault has, so that it need not be sent again.

    How many files came back; none where the settings ask for no protection. Raises `StorageError`.
    """
    if box.require_cloud().protection is None:
        return 0
    here = {info.key for kind in FileType for info in vault.list_files(kind)} | {CONFIG_KEY}
    here -= box.state.let_go(box.cloud_location)
    with closing(box.reached_cloud()) as cloud:
        plan = plan_undelete(cloud, lambda version: version.marker and version.key in here)
        execute_undelete(plan, cloud, on_progress=on_progress)
    if plan.below:
        keys = sorted(version.key for version in plan.below)
        box.agreement.record("cloud.brought-back", {"files": len(keys), "keys": keys[:LISTED]})
    return len(plan.below)


def begin_sending(
    box: Box, cloud: GatedStorage, on_progress: Callable[[Progress], None], is_cancelled: Callable[[], bool]
) -> int:
    """To be called by a job before it sends, as `protect` is at its end, which may be weeks later or never be reached.

    What is due, or was sent by a job that did not come to `protect`, is seen to first; the bytes that this freed.
    """
    rules = box.require_cloud().protection
    if rules is None:
        return 0
    memory, now, freed = Memory(box.state), box.clock(), 0
    due, _ = box.state.protection_over(box.cloud_location, now + rules.margin)
    if due or memory.sending_since(box.cloud_location) is not None:
        _, freed = protect(box, cloud, on_progress, is_cancelled)
    memory.sends(box.cloud_location, now)
    return freed


def protect(
    box: Box, cloud: GatedStorage, on_progress: Callable[[Progress], None], is_cancelled: Callable[[], bool]
) -> tuple[dict[str, Any] | None, int]:
    """Protects longer what is due and clears away what no longer is: what to report of it, and the bytes freed.

    What fails here fails nothing else: it is reported, and tried again after the next job, which goes on where this
    one ended.
    """
    rules = box.require_cloud().protection
    if rules is None:
        return None, 0
    try:
        plan = plan_box_protection(box, cloud, on_progress)
        assert plan is not None
        report = execute_protection(plan, cloud, rules, on_progress=on_progress, cancelled=is_cancelled)
    except KurabakoError as failure:
        return {"error": error_to_json(failure)}, 0
    # A key that is stored again is let go no more: if it is deleted next time, somebody else did it.
    box.state.note_protected(box.cloud_location, report.dates, plan.let_go, report.going)
    Memory(box.state).all_dates_are_known()
    error = error_to_json(report.failure) if report.failure is not None else None
    return {"error": error, **_figures(plan, report)}, report.bytes_freed


def _figures(plan: ProtectionPlan, report: ProtectionReport) -> dict[str, Any]:
    return {
        "files": plan.files,
        "extended": report.extended,
        "until": plan.until.isoformat(),
        "bytes_freed": report.bytes_freed,
        "bytes_waiting": plan.bytes_waiting,
        "free_at": plan.free_at.isoformat() if plan.free_at else None,
        "deleted_by_others": len(plan.deleted),
        "replaced_by_others": len(plan.replaced),
    }
