"""Refilling an empty vault from the cloud: a new box after the old one was lost, or a new disk in the old one."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace

from appliance.box import Box
from appliance.capacity import GatedStorage, Ledger
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress, reading
from appliance.replication import ReplicationReport, execute_replication, plan_replication
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import NoSpace
from appliance.text import T
from appliance.units import format_size


def refill(box: Box, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    """Brings every snapshot of the cloud that the vault lacks into the vault, file by file; goes on where it ended."""
    phase = T("Fetching from the cloud")

    def progress(one: Progress) -> None:
        on_progress(replace(one, phase=phase))

    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        cloud = box.open_cloud()
        storage = box.vault_storage(create=True)
        with closing(cloud.storage), closing(storage), reading(box, cloud):
            ledger = Ledger.measure(storage, capacity=None)
            vault = GatedStorage(storage, ledger)
            plan = plan_replication(cloud, vault, ledger, on_progress=progress, cancelled=is_cancelled)
            free = shutil.disk_usage(box.vault_location).free
            if plan.size > free:
                raise NoSpace(
                    T(
                        "The backups in the cloud need {needed} in {place}, but only {free} are free there.",
                        needed=format_size(plan.size),
                        free=format_size(free),
                        place=box.vault_location,
                    ),
                    safe=T("Nothing was fetched. What is in the cloud is unharmed."),
                    todo=T("Use a larger disk for the vault, or take [vault] out of the settings to do without one."),
                )
            report = execute_replication(plan, cloud, vault, on_progress=progress, cancelled=is_cancelled)
            there = sum(key.startswith("snapshots/") for key in ledger.objects())
    return _refill_report(report, there)


def _refill_report(report: ReplicationReport, there: int) -> JobReport:
    if report.outcome is Outcome.CANCELLED:
        return cancelled()
    figures = {"snapshots": there, "size": format_size(report.bytes_done)}
    outcome = report.outcome
    if report.problem is not None:
        summary = T("Fetching stopped after {size}. {problem}", problem=report.problem.what, **figures)
    elif report.findings:
        outcome = Outcome.PARTIAL
        summary = T(
            "{snapshots} snapshots are in the vault, {size} were fetched, but {findings} files in the cloud need "
            "attention. {first}",
            findings=len(report.findings),
            first=report.findings[0].what,
            **figures,
        )
    else:
        summary = T("All {snapshots} snapshots of the cloud are in the vault; {size} were fetched.", **figures)
    exit_code = report.problem.exit_code if report.problem is not None else EXIT_CODES[outcome]
    details = {
        "snapshots": there,
        "files": report.files,
        "bytes": report.bytes_done,
        "findings": [{"subject": one.subject, "what": one.what.to_json()} for one in report.findings[:LISTED]],
        "findings_count": len(report.findings),
    }
    return JobReport(outcome, summary, int(exit_code), report.bytes_done, details, report.problem)
