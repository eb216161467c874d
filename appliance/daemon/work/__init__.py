"""What each job does: the same code in a job's process under the daemon and in a command without one.

One file for each kind of job.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.box import Box
from appliance.daemon.jobs import JobReport, failure
from appliance.daemon.requests import (
    BackupJob,
    CheckJob,
    JobRequest,
    RefillJob,
    RepairJob,
    ReplicateJob,
    RestoreJob,
    UpkeepJob,
    VerifyJob,
    action_of,
)
from appliance.daemon.retention import has_rules
from appliance.daemon.work.backup import backup
from appliance.daemon.work.check import check_place
from appliance.daemon.work.common import Cancelled, OnProgress, open_to_read, reading
from appliance.daemon.work.holding import heeding_holds, held_report, modes_against
from appliance.daemon.work.refill import refill
from appliance.daemon.work.repair import repair
from appliance.daemon.work.replicate import replicate
from appliance.daemon.work.restore import require_restorable, restore
from appliance.daemon.work.upkeep import upkeep
from appliance.daemon.work.verify import verify
from appliance.errors import KurabakoError
from appliance.transfers import TransfersHeld

__all__ = [
    "Cancelled",
    "OnProgress",
    "backup_requests",
    "open_to_read",
    "reading",
    "require_sensible",
    "run_job",
    "upkeep_requests",
]


def run_job(box: Box, request: JobRequest, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    """Does the job and says how it ended. Raises no `KurabakoError`: that is a way to end."""
    try:
        with heeding_holds(box, request) as is_held:
            return _run(box, request, on_progress, lambda: is_cancelled() or is_held())
    except TransfersHeld as held:
        return held_report(held)
    except KurabakoError as error:
        return failure(error)


def _run(box: Box, request: JobRequest, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    match request:
        case BackupJob():
            return backup(box, request, on_progress, is_cancelled)
        case ReplicateJob():
            box.line.limit = request.limit
            return replicate(box, request, on_progress, is_cancelled)
        case RestoreJob():
            return restore(box, request, on_progress, is_cancelled)
        case CheckJob():
            return check_place(box, request, on_progress, is_cancelled)
        case RepairJob():
            return repair(box, request, on_progress, is_cancelled)
        case UpkeepJob():
            return upkeep(box, request, on_progress, is_cancelled)
        case VerifyJob():
            return verify(box, request, on_progress, is_cancelled)
        case RefillJob():
            return refill(box, on_progress, is_cancelled)


def backup_requests(box: Box, sources: Sequence[str]) -> list[JobRequest]:
    """The jobs that backing up these sources comes to: one each, and what the settings let follow."""
    requests: list[JobRequest] = [BackupJob(source_id) for source_id in sources]
    if requests and box.settings.schedule.replicate_after_backup and _may_replicate(box):
        requests.append(ReplicateJob())
    return requests


def _may_replicate(box: Box) -> bool:
    """Whether there is a cloud to follow the vault, and nobody has paused that."""
    return box.has_vault and box.has_cloud and box.transfers.hold is None


def upkeep_requests(box: Box) -> list[JobRequest]:
    """The jobs of a planned upkeep: none where no policy ever lets anything go. The cloud follows the vault."""
    if not has_rules(box):
        return []
    return [UpkeepJob(), *([ReplicateJob()] if _may_replicate(box) else [])]


def require_sensible(box: Box, request: JobRequest) -> None:
    """Raises what makes the request senseless on this box, before it becomes a job that failed."""
    action = action_of(request, has_vault=box.has_vault)
    if action is not None and box.has_cloud:
        box.contract.require(action, box.cloud_location)
    if isinstance(request, RestoreJob):
        require_restorable(box, request)
    match request:
        case BackupJob():
            box.require_designated(request.source)
        case ReplicateJob():
            box.require_cloud()
            box.transfers.require(*modes_against(box, request))
        case RestoreJob() | CheckJob() | RepairJob() if request.cloud:
            box.require_cloud()
