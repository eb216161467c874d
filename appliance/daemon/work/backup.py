"""Backing up one source into the vault, or straight into the cloud where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from appliance.backup import AUTO, BackupPlan, BackupReport, execute_backup, plan_backup
from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage, RehearsalStorage
from appliance.contract.collection import refuse_name
from appliance.contract.conduct import FileNames
from appliance.daemon.alarms import look_for_alarm
from appliance.daemon.forgotten import Forgotten
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.requests import BackupJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress, measure, usage_of
from appliance.daemon.work.protecting import begin_sending, protect
from appliance.repository import Repository
from appliance.sources.interface import Source
from appliance.state import State
from appliance.status.model import Outcome
from appliance.text import T, Text
from appliance.units import format_size

_READ_WHOLE = "read-whole:"
"""Begins the state's names for when a source was last read whole, with its id."""


def backup(box: Box, job: BackupJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    found = box.require_designated(job.source).found
    policy = box.policies.of(found)
    readers = policy.readers_for(found.medium)
    rereads = _Rereads(box.state)
    names = box.contract.terms.file_names if policy.filename_policy else None
    everything = rereads.is_due(job.source, policy.reread_days, box.clock())

    def plan_for(repository: Repository, source: Source) -> BackupPlan:
        return plan_backup(
            repository,
            source,
            hostname=box.name,
            now=box.clock,
            excludes=policy.excluded,
            includes=policy.include,
            settle=policy.settle,
            refuse_name=None if names is None else partial(_refused_name, names),
            parent=None if everything else AUTO,
        )

    with (
        vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled),
        closing(box.open_source(job.source)) as source,
    ):
        repository = box.open_home()
        with closing(repository.storage):
            cloud = repository.storage if isinstance(repository.storage, GatedStorage) else None
            if cloud is not None:
                try:
                    _rehearse(box, cloud, source, plan_for, on_progress, is_cancelled)
                except CapacityExceeded as error:
                    return _refused(error, usage_of(box, cloud, repository))
            if cloud is not None:
                begin_sending(box, cloud, on_progress, is_cancelled)
            with repository.lock(now=box.clock):
                report = execute_backup(
                    repository,
                    plan_for(repository, source),
                    source,
                    now=box.clock,
                    workers=readers,
                    on_progress=on_progress,
                    cancelled=is_cancelled,
                )
                alarm = look_for_alarm(box, repository, job.source, report)
            protection = None
            if cloud is not None:
                protection, _ = protect(box, cloud, on_progress, is_cancelled)
            home = {"name": "vault" if box.has_vault else "cloud", "location": box.home, **measure(repository.storage)}
            counted = {} if cloud is None else {"capacity": usage_of(box, cloud, repository), **_NOTHING_REFUSED}
    if report.snapshot is not None:
        Forgotten(box.state).note_source(job.source, report.snapshot.paths)
    if report.snapshot is not None and report.snapshot.parent is None and not report.lost:
        rereads.done(job.source, box.clock())
    places = {"home": home, "alarm": alarm.id if alarm else None, "protection": protection, **counted}
    return _backup_report(report, places)


def _refused_name(rule: FileNames, name: bytes) -> Text | None:
    refused = refuse_name(rule, name)
    return refused.sentence if refused is not None else None


_NOTHING_REFUSED: Mapping[str, Any] = {"refused": [], "refused_count": 0}


def _refused(error: CapacityExceeded, capacity: Mapping[str, Any]) -> JobReport:
    """Nothing was sent: the snapshot would not have fitted."""
    what = error.what.to_json()
    refused = {"snapshot": None, "needed_bytes": error.needed, "left_bytes": error.left, "what": what}
    details = {"capacity": capacity, "refused": [refused], "refused_count": 1}
    return JobReport(Outcome.REFUSED, error.what, int(error.exit_code), details=details, error=error)


class _Rereads:
    """When each source was last read whole, in the box's state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def is_due(self, source_id: str, days: int | None, now: datetime) -> bool:
        """Whether so many days have passed since, or nobody knows when it was."""
        last = self._state.value(_READ_WHOLE + source_id)
        return days is not None and (last is None or now - datetime.fromisoformat(last) >= timedelta(days=days))

    def done(self, source_id: str, now: datetime) -> None:
        self._state.set_value(_READ_WHOLE + source_id, now.isoformat())


def _rehearse(
    box: Box,
    cloud: GatedStorage,
    source: Source,
    plan_for: Callable[[Repository, Source], BackupPlan],
    on_progress: OnProgress,
    is_cancelled: Cancelled,
) -> None:
    """Without a vault, a snapshot's size is known only from making it: once into nothing, before anything is sent.

    Raises `CapacityExceeded` when it does not fit.
    """
    usage = cloud.ledger.usage
    if usage.left_for_data is None:
        return
    rehearsal = RehearsalStorage(cloud)
    repository = Repository.open(rehearsal, box.password())
    execute_backup(
        repository, plan_for(repository, source), source, now=box.clock, on_progress=on_progress, cancelled=is_cancelled
    )
    if rehearsal.bytes_put > usage.left_for_data:
        raise CapacityExceeded(rehearsal.bytes_put, usage.left_for_data, usage.limits.capacity or 0)


def _backup_report(report: BackupReport, places: Mapping[str, Any]) -> JobReport:
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
        "noted_count": len(report.noted),
        "noted": [{"path": one.path, "what": one.what.to_json()} for one in report.noted[:LISTED]],
        "not_crossed": list(report.not_crossed[:LISTED]),
        "lost": report.lost,
        **places,
    }
    return JobReport(report.outcome, summary, EXIT_CODES[report.outcome], counts.total_bytes_processed, details)
