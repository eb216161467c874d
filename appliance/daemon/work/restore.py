"""Restoring a snapshot, or a part of it, into a folder."""

from __future__ import annotations

import os
from contextlib import closing

from appliance.box import Box
from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import RestoreJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, Cancelled, OnProgress, open_to_read, reading
from appliance.errors import ExitCode
from appliance.plugins.places import open_target_at
from appliance.restore import RestoreReport, execute_restore, plan_restore
from appliance.status.model import Outcome
from appliance.text import T
from appliance.units import format_size


def restore(box: Box, job: RestoreJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    repository = open_to_read(box, cloud=job.cloud)
    with (
        closing(repository.storage),
        reading(box, repository),
        closing(open_target_at(box.plugins, box.context, job.target, os.environ)) as target,
    ):
        snapshot = repository.find_snapshot(job.snapshot)
        plan = plan_restore(repository, snapshot, job.path, target)
        report = execute_restore(repository, plan, on_progress=on_progress, cancelled=is_cancelled)
    return _restore_report(report, snapshot.id, job.target)


def _restore_report(report: RestoreReport, snapshot: str, target: str) -> JobReport:
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
        "failures_count": len(report.failures),
        "failures": [{"path": one.path, "why": one.why.to_json()} for one in report.failures[:LISTED]],
    }
    return JobReport(report.outcome, summary, int(EXIT_CODES[report.outcome]), report.bytes, details)
