"""Bringing to the cloud what the vault has and the cloud has not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress
from appliance.replication import ReplicationReport, execute_replication, plan_replication
from appliance.repository import NotARepository, Repository
from appliance.status.model import Outcome, Progress
from appliance.text import T


def replicate(box: Box, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    if not box.has_vault:
        return JobReport(Outcome.DONE, T("Backups go straight to the cloud; there is nothing to replicate."), 0)
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        vault = box.open_home()
        on_progress(Progress(T("Measuring what is in the cloud")))
        with closing(vault.storage), closing(box.gated_cloud()) as cloud, vault.lock(now=box.clock):
            with _cloud_lock(box, cloud):
                plan = plan_replication(vault, cloud, cloud.ledger, on_progress=on_progress, cancelled=is_cancelled)
                report = execute_replication(plan, vault, cloud, on_progress=on_progress, cancelled=is_cancelled)
            usage = cloud.ledger.usage
            capacity = {
                "capacity_bytes": usage.limits.capacity,
                "reserve_bytes": usage.limits.reserve,
                "used_bytes": usage.used,
                "left_bytes": usage.left_for_data,
                "objects": usage.objects,
            }
            there = {
                "location": box.cloud_location,
                "stored_bytes": usage.used,
                "snapshots": sum(key.startswith("snapshots/") for key in cloud.ledger.objects()),
            }
    return _replication_report(report, capacity, there)


@contextmanager
def _cloud_lock(box: Box, cloud: GatedStorage) -> Iterator[None]:
    """Tells others at the cloud that somebody works there, where there is a repository and room to say so."""
    with ExitStack() as stack:
        try:
            stack.enter_context(Repository.open(cloud, box.password()).lock(now=box.clock))
        except (NotARepository, CapacityExceeded):
            pass
        yield


def _replication_report(report: ReplicationReport, capacity: dict[str, Any], cloud: dict[str, Any]) -> JobReport:
    exit_code = report.problem.exit_code if report.problem is not None else EXIT_CODES[report.outcome]
    details = {
        "snapshots": list(report.snapshots),
        "files": report.files,
        "bytes": report.bytes_done,
        "refused": [
            {
                "snapshot": one.snapshot.id if one.snapshot else None,
                "needed_bytes": one.needed,
                "left_bytes": one.left,
                "what": one.what.to_json(),
            }
            for one in report.refused[:LISTED]
        ],
        "refused_count": len(report.refused),
        "findings": [{"subject": one.subject, "what": one.what.to_json()} for one in report.findings[:LISTED]],
        "findings_count": len(report.findings),
        "capacity": capacity,
        "cloud": cloud,
    }
    return JobReport(report.outcome, report.summary, int(exit_code), report.bytes_done, details, report.problem)
