"""What of a job goes into the evidence: how it ended, what it measured, what it was refused."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from appliance.agreement import Agreement
from appliance.box import Box
from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import JobRequest, RestoreJob, UpkeepJob
from appliance.entitlements import KEPT_OF_REFUSED

_BAD_PROFILES = "profiles.refused"
"""The state's name for what is wrong with plugins' profiles, by the plugin's name."""

_COUNTED = ("capacity_bytes", "used_bytes", "objects", "unlisted_bytes", "collected_bytes")


def witness_interrupted(agreement: Agreement, job_id: str, request: JobRequest, started_at: datetime) -> None:
    """Records a job that is found, at a start, to have never ended; when it broke off nobody knows."""
    agreement.record("job.interrupted", {**_which(job_id, request), "started_at": started_at.isoformat()})


def witness(
    agreement: Agreement, job_id: str, request: JobRequest, started_at: datetime, ended_at: datetime, report: JobReport
) -> None:
    """Records a job that ended. No path of a customer's file is in it."""
    agreement.record(
        "job",
        {
            **_which(job_id, request),
            "started_at": started_at.isoformat(),
            "ended_at": ended_at.isoformat(),
            "outcome": report.outcome.value,
            "bytes_done": report.bytes_done,
            "error": report.error.code if report.error is not None else None,
        },
    )
    if isinstance(request, RestoreJob):
        agreement.record("restore", _restored(job_id, request, report))
    if isinstance(request, UpkeepJob) and report.details.get("forgotten"):
        agreement.record("snapshots.forgotten", {"job": job_id, "snapshots": report.details["forgotten"]})
    if "capacity" not in report.details:
        return
    capacity = report.details["capacity"]
    agreement.record(
        "usage",
        {"job": job_id, **{name: capacity[name] for name in _COUNTED}},
    )
    for refused in report.details["refused"]:
        agreement.record(
            "capacity.refused",
            {"job": job_id, **{name: refused[name] for name in ("snapshot", "needed_bytes", "left_bytes")}},
        )


def _restored(job_id: str, request: RestoreJob, report: JobReport) -> dict[str, Any]:
    """Who had what restored, for what and whither; how much arrived, each file verified by its hash.

    The place is recorded by its digest: no path of a customer's is in the evidence, but a named place can be matched.
    """
    return {
        "job": job_id,
        "purpose": request.purpose.value,
        "actor": request.actor.value,
        "order": request.order,
        "snapshot": request.snapshot,
        "from": "cloud" if request.cloud else "vault",
        "whole": not request.path,
        "target": hashlib.sha256(request.target.encode("utf-8", "surrogateescape")).hexdigest(),
        "files": report.details.get("files", 0),
        "failures": report.details.get("failures_count", 0),
    }


def witness_bad_profiles(box: Box) -> None:
    """Records what is wrong with service profiles that plugins were to hand out, once each."""
    bad = {name: str(what)[:KEPT_OF_REFUSED] for name, what in box.plugins.bad_profiles().items()}
    known = box.state.value(_BAD_PROFILES, {})
    for name in sorted(name for name, why in bad.items() if known.get(name) != why):
        box.agreement.record("profile.refused", {"plugin": name, "why": bad[name]})
    if bad != known:
        box.state.set_value(_BAD_PROFILES, bad)


def _which(job_id: str, request: JobRequest) -> dict[str, str]:
    subject = request.snapshot if isinstance(request, RestoreJob) else request.subject
    return {"job": job_id, "kind": request.kind.value, "subject": subject}
