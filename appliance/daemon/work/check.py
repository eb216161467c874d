"""Checking the vault or the cloud for damage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from appliance.box import Box
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.requests import CheckJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress, open_to_read, reading
from appliance.repository import check as checking
from appliance.repository.check import CheckReport
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import Storage
from appliance.text import T
from appliance.units import format_size


def check_place(box: Box, job: CheckJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        repository = open_to_read(box, cloud=job.cloud)
        phase = T("Reading and checking all data") if job.read_data else T("Checking the structure")

        def on_bytes(done: int, total: int) -> None:
            if is_cancelled():
                raise _Cancelled
            on_progress(Progress(phase, bytes_done=done, bytes_total=total))

        try:
            with closing(repository.storage), reading(box, repository):
                report = checking.check(repository, read_data=job.read_data, on_progress=on_bytes)
        except _Cancelled:
            return cancelled()
    return _check_report(report, repository.storage)


class _Cancelled(Exception):
    """Unwinds a check that is no longer wanted."""


def _check_report(report: CheckReport, storage: Storage) -> JobReport:
    figures = {"snapshots": report.snapshots, "packs": report.packs, "place": storage.location}
    if not report.ok:
        summary = T(
            "{count} errors were found in {place}. {first}",
            count=len(report.errors),
            first=report.errors[0].what,
            place=storage.location,
        )
    elif report.bytes_read:
        summary = T(
            "No errors in {place}: {snapshots} snapshots, {packs} packs, {size} read and verified.",
            size=format_size(report.bytes_read),
            **figures,
        )
    else:
        summary = T("No errors in {place}: {snapshots} snapshots, {packs} packs; the data was not read.", **figures)
    details = {
        "ok": report.ok,
        "snapshots": report.snapshots,
        "trees": report.trees,
        "packs": report.packs,
        "bytes_read": report.bytes_read,
        "errors_count": len(report.errors),
        "errors": _findings(report.errors),
        "hints": _findings(report.hints),
    }
    outcome = Outcome.DONE if report.ok else Outcome.FAILED
    return JobReport(outcome, summary, int(EXIT_CODES[outcome]), report.bytes_read, details)


def _findings(findings: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"kind": one.kind, "name": one.name, "what": one.what.to_json()} for one in findings[:LISTED]]
