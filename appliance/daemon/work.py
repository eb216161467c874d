"""What each job does: the same code in a job's process under the daemon and in a command without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from appliance.backup import BackupReport, execute_backup, plan_backup
from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage, RehearsalStorage
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import (
    BackupJob,
    CheckJob,
    JobReport,
    JobRequest,
    ReplicateJob,
    RestoreJob,
    cancelled,
    failure,
)
from appliance.errors import ExitCode, KurabakoError
from appliance.replication import ReplicationReport, execute_replication, plan_replication
from appliance.repository import NotARepository, Repository
from appliance.repository.check import CheckReport, check
from appliance.restore import RestoreReport, execute_restore, plan_restore
from appliance.sources.interface import Source
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import AccessDenied, NoSpace, Storage
from appliance.text import T
from appliance.units import format_size

OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]

PATIENCE = 60.0
"""Seconds a job waits for one that is just ending, such as the child of a daemon that was killed."""

LISTED = 100
"""Paths or findings that a report names; it counts all of them."""

_EXIT_CODES = {
    Outcome.DONE: ExitCode.DONE,
    Outcome.PARTIAL: ExitCode.PARTIAL,
    Outcome.REFUSED: ExitCode.CAPACITY_REFUSED,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.CANCELLED: ExitCode.INTERRUPTED,
}


def run_job(box: Box, request: JobRequest, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    """Does the job and says how it ended. Raises no `KurabakoError`: that is a way to end."""
    try:
        match request:
            case BackupJob():
                return _backup(box, request, on_progress, is_cancelled)
            case ReplicateJob():
                return _replicate(box, on_progress, is_cancelled)
            case RestoreJob():
                return _restore(box, request, on_progress, is_cancelled)
            case CheckJob():
                return _check(box, request, on_progress, is_cancelled)
    except KurabakoError as error:
        return failure(error)


def backup_requests(box: Box, sources: Sequence[str]) -> list[JobRequest]:
    """The jobs that backing up these sources comes to: one each, and what the settings let follow."""
    requests: list[JobRequest] = [BackupJob(source_id) for source_id in sources]
    if requests and box.settings.schedule.replicate_after_backup and box.has_vault and box.has_cloud:
        requests.append(ReplicateJob())
    return requests


def require_sensible(box: Box, request: JobRequest) -> None:
    """Raises what makes the request senseless on this box, before it becomes a job that failed."""
    match request:
        case BackupJob():
            box.require_designated(request.source)
        case ReplicateJob():
            box.require_cloud()
        case RestoreJob() | CheckJob() if request.cloud:
            box.require_cloud()


def _backup(box: Box, job: BackupJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    with (
        vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled),
        closing(box.open_source(job.source)) as source,
    ):
        repository = box.open_home()
        with closing(repository.storage):
            if isinstance(repository.storage, GatedStorage):
                _rehearse(box, repository.storage, source, on_progress, is_cancelled)
            with repository.lock(now=box.clock):
                plan = plan_backup(repository, source, hostname=box.name, now=box.clock)
                report = execute_backup(
                    repository, plan, source, now=box.clock, on_progress=on_progress, cancelled=is_cancelled
                )
            home = {"name": "vault" if box.has_vault else "cloud", "location": box.home, **measure(repository.storage)}
    return _backup_report(report, home)


def _rehearse(box: Box, cloud: GatedStorage, source: Source, on_progress: OnProgress, is_cancelled: Cancelled) -> None:
    """Without a vault, a snapshot's size is known only from making it: once into nothing, before anything is sent.

    Raises `CapacityExceeded` when it does not fit.
    """
    usage = cloud.ledger.usage
    if usage.left_for_data is None:
        return
    rehearsal = RehearsalStorage(cloud)
    repository = Repository.open(rehearsal, box.password())
    plan = plan_backup(repository, source, hostname=box.name, now=box.clock)
    execute_backup(repository, plan, source, now=box.clock, on_progress=on_progress, cancelled=is_cancelled)
    if rehearsal.bytes_put > usage.left_for_data:
        raise CapacityExceeded(rehearsal.bytes_put, usage.left_for_data, usage.limits.capacity or 0)


def _backup_report(report: BackupReport, home: dict[str, Any]) -> JobReport:
    counts = report.summary
    figures = {
        "files": counts.total_files_processed,
        "size": format_size(counts.total_bytes_processed),
        "added": format_size(counts.data_added_packed),
    }
    if report.outcome is Outcome.CANCELLED:
        return cancelled()
    snapshot = report.snapshot
    if snapshot is None:
        first = report.unreadable[0].why if report.unreadable else T("Nothing of it could be read.")
        summary = T("No snapshot was made. {first}", first=first)
    elif report.lost:
        summary = T(
            "The source went away in the middle: {files} files, {size} were backed up (snapshot {snapshot}).",
            snapshot=snapshot.short_id,
            **figures,
        )
    elif report.unreadable:
        summary = T(
            "{files} files, {size} were backed up (snapshot {snapshot}), but {count} could not be read.",
            snapshot=snapshot.short_id,
            count=len(report.unreadable),
            **figures,
        )
    else:
        summary = T(
            "{files} files, {size} were backed up, {added} of it newly stored (snapshot {snapshot}).",
            snapshot=snapshot.short_id,
            **figures,
        )
    details = {
        "snapshot": snapshot.id if snapshot else None,
        "summary": msgspec.to_builtins(counts),
        "unreadable_count": len(report.unreadable),
        "unreadable": [{"path": one.path, "why": one.why.to_json()} for one in report.unreadable[:LISTED]],
        "not_crossed": list(report.not_crossed[:LISTED]),
        "lost": report.lost,
        "home": home,
    }
    return JobReport(report.outcome, summary, _EXIT_CODES[report.outcome], counts.total_bytes_processed, details)


def _replicate(box: Box, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
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
    exit_code = report.problem.exit_code if report.problem is not None else _EXIT_CODES[report.outcome]
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


def _restore(box: Box, job: RestoreJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    repository = open_to_read(box, cloud=job.cloud)
    with closing(repository.storage), reading(box, repository):
        snapshot = repository.find_snapshot(job.snapshot)
        plan = plan_restore(repository, snapshot, job.path, Path(job.target))
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
    return JobReport(report.outcome, summary, int(_EXIT_CODES[report.outcome]), report.bytes, details)


def _check(box: Box, job: CheckJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        repository = open_to_read(box, cloud=job.cloud)
        phase = T("Reading and checking all data") if job.read_data else T("Checking the structure")

        def on_bytes(done: int, total: int) -> None:
            if is_cancelled():
                raise _Cancelled
            on_progress(Progress(phase, bytes_done=done, bytes_total=total))

        try:
            with closing(repository.storage), reading(box, repository):
                report = check(repository, read_data=job.read_data, on_progress=on_bytes)
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
    return JobReport(outcome, summary, int(_EXIT_CODES[outcome]), report.bytes_read, details)


def _findings(findings: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"kind": one.kind, "name": one.name, "what": one.what.to_json()} for one in findings[:LISTED]]


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


def measure(storage: Storage) -> dict[str, int]:
    """What a place holds: bytes and snapshots, by listing it."""
    stored = snapshots = 0
    for info in storage.list():
        stored += info.size
        snapshots += info.key.startswith("snapshots/")
    return {"stored_bytes": stored, "snapshots": snapshots}
