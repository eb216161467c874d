"""Restoring a snapshot, or a part of it, into a folder."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from appliance.agreement import NotAllowedNow
from appliance.box import Box
from appliance.contract.civil import civil_day
from appliance.contract.restores import refuse_restore, remarks
from appliance.contracted import against_fetching
from appliance.daemon.forgotten import Forgotten
from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import RestoreJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, Cancelled, OnProgress, open_to_read, reading
from appliance.errors import ExitCode, KurabakoError
from appliance.plugins.places import open_target_at
from appliance.repository import Snapshot
from appliance.restore import RestoreReport, execute_restore, plan_restore
from appliance.status.model import Outcome
from appliance.text import T
from appliance.units import format_size


class NotRestorable(KurabakoError):
    """The terms bind such a restore to something that is missing."""

    code = "restore.not-agreed"


def require_restorable(box: Box, job: RestoreJob) -> None:
    """Raises `NotRestorable` where the terms do not let this be restored for this, by whoever asks; it is recorded."""
    contract = box.contract
    today = civil_day(box.clock())
    refused = refuse_restore(contract.terms, contract.entitlement, job.purpose, job.actor, job.order, today)
    if refused is None:
        return
    asked = {"purpose": job.purpose.value, "actor": job.actor.value, "clause": refused.clause}
    box.agreement.record("restore.refused", asked)
    raise NotRestorable(
        refused.sentence,
        safe=T("Nothing was restored, and nothing was changed."),
        todo=T("The customer can restore its own data at any time: kurabako restore"),
    )


def restore(box: Box, job: RestoreJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    require_restorable(box, job)
    repository = open_to_read(box, cloud=job.cloud)
    with (
        closing(repository.storage),
        reading(box, repository),
        closing(open_target_at(box.plugins, box.context, job.target, os.environ)) as target,
    ):
        snapshot = repository.find_snapshot(job.snapshot)
        if job.cloud or not box.has_vault:
            _require_fetchable(box, snapshot)
        plan = plan_restore(repository, snapshot, job.path, target)
        report = execute_restore(repository, plan, on_progress=on_progress, cancelled=is_cancelled)
    told = [one.to_json() for one in remarks(box.contract.terms)]
    return _restore_report(report, snapshot.id, job.target, told)


def _require_fetchable(box: Box, snapshot: Snapshot) -> None:
    """Raises `NotAllowedNow` where the contract keeps this snapshot's device from the cloud; it is recorded."""
    source_id = Forgotten(box.state).source_of(snapshot.paths)
    against = against_fetching(source_id, box.contract, box.policies, box.state)
    if against is None:
        return
    box.agreement.record("restore.refused", {"source": source_id, "snapshot": snapshot.id, "clause": against.clause})
    raise NotAllowedNow(against)


def _restore_report(report: RestoreReport, snapshot: str, target: str, told: list[dict[str, Any]]) -> JobReport:
    figures = {"files": report.files, "size": format_size(report.bytes), "target": target}
    if report.outcome is Outcome.CANCELLED:
        return JobReport(
            Outcome.CANCELLED,
            T("Cancelled after {files} files, {size}. Every file that is in {target} is complete.", **figures),
            int(ExitCode.INTERRUPTED),
            report.bytes,
        )
    summary = (
        T(
            "{files} files, {size} were restored to {target}, but {count} could not be.",
            count=len(report.failures),
            **figures,
        )
        if report.failures
        else T("{files} files, {size} were restored to {target} and verified.", **figures)
    )
    details = {
        "snapshot": snapshot,
        "target": target,
        "files": report.files,
        "bytes": report.bytes,
        "remarks": told,
        "failures_count": len(report.failures),
        "failures": [{"path": one.path, "why": one.why.to_json()} for one in report.failures[:LISTED]],
    }
    return JobReport(report.outcome, summary, int(EXIT_CODES[report.outcome]), report.bytes, details)
