"""Bringing to the cloud what the vault has and the cloud has not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage
from appliance.contract.collection import largest_object
from appliance.daemon.forgotten import Forgotten
from appliance.daemon.held import that_stay
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, error_to_json
from appliance.daemon.lost import Lost
from appliance.daemon.requests import ReplicateJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress, measure, usage_of
from appliance.daemon.work.protecting import begin_sending, bring_back, protect
from appliance.replication import ReplicationReport, mirror
from appliance.repository import NotARepository, Repository, RepositoryLocked
from appliance.repository.files import file_name
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import StorageError
from appliance.text import T


def replicate(box: Box, job: ReplicateJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    if not box.has_vault:
        return JobReport(Outcome.DONE, T("Backups go straight to the cloud; there is nothing to replicate."), 0)
    box.line.is_over = is_cancelled
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        vault = box.open_home()
        lost = Lost(box, again=job.again)
        brought_back = bring_back(box, vault, on_progress) if lost.may_come_back else 0
        on_progress(Progress(T("Measuring what is in the cloud")))
        forgotten = Forgotten(box.state)
        with closing(vault.storage), closing(box.gated_cloud()) as cloud, vault.lock(now=box.clock):
            freed_first = begin_sending(box, cloud, on_progress, is_cancelled)
            report = mirror(
                vault,
                cloud,
                removed=lost.look(vault, cloud.ledger.objects()),
                largest=largest_object(box.contract.terms),
                forgotten=forgotten.ids,
                together=lambda: _cloud_lock(box, cloud),
                alone=lambda: _cloud_lock(box, cloud, exclusive=True),
                stays=that_stay(box),
                on_progress=on_progress,
                cancelled=is_cancelled,
            )
            there_now = cloud.ledger.objects()
            lost.note(vault, there_now)
            if report.carried:
                forgotten.carried({file_name(key) for key in there_now if key.startswith("snapshots/")})
            protection, freed = None, 0
            if report.problem is None:
                protection, freed = protect(box, cloud, on_progress, is_cancelled)
            report = replace(report, bytes_freed=freed_first + report.bytes_freed + freed)
            capacity = usage_of(box, cloud, vault)
            there = {"location": box.cloud_location, **measure(cloud)}
    if protection is not None:
        protection["brought_back"] = brought_back
    return _replication_report(report, {"capacity": capacity, "cloud": there, "protection": protection})


@contextmanager
def _cloud_lock(box: Box, cloud: GatedStorage, *, exclusive: bool = False) -> Iterator[None]:
    """Tells others at the cloud that somebody works there, where there is a repository and room to say so.

    Raises `RepositoryLocked`.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(Repository.open(cloud, box.password()).lock(exclusive=exclusive, now=box.clock))
        except (NotARepository, CapacityExceeded):
            pass
        yield


def _kept_back(report: ReplicationReport) -> dict[str, Any] | None:
    """Why the cloud could not follow the vault in what it let go; what passes by itself is no trouble."""
    error = report.kept_back
    if error is None or isinstance(error, (RepositoryLocked, StorageError)):
        return None
    return error_to_json(error)


def _replication_report(report: ReplicationReport, figures: dict[str, Any]) -> JobReport:
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
        "held": list(report.held[:LISTED]),
        "held_count": len(report.held),
        "findings": [{"subject": one.subject, "what": one.what.to_json()} for one in report.findings[:LISTED]],
        "findings_count": len(report.findings),
        "deleted": report.deleted,
        "bytes_freed": report.bytes_freed,
        "kept_back": _kept_back(report),
        **figures,
    }
    return JobReport(report.outcome, report.summary, int(exit_code), report.bytes_done, details, report.problem)
