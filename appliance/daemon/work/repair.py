"""Repairing the vault from the cloud, or the cloud from the vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from appliance.box import Box
from appliance.capacity import CapacityExceeded, GatedStorage, Purpose, decide
from appliance.daemon.forgotten import Forgotten
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.requests import RepairJob
from appliance.daemon.work.common import EXIT_CODES, LISTED, PATIENCE, Cancelled, OnProgress, reading
from appliance.errors import KurabakoError
from appliance.repair import (
    Damage,
    RepairPlan,
    RepairReport,
    clear_damaged_locks,
    document_of,
    execute_repair,
    find_damaged_locks,
    open_damaged,
    plan_repair,
    summary_of,
)
from appliance.repository import FileType, Repository
from appliance.repository.files import file_name
from appliance.status.model import Outcome
from appliance.storage.interface import Storage
from appliance.text import Text


def repair(box: Box, job: RepairJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    """Repairs one place with the help of the other, if that can be reached."""
    repairs_cloud = job.cloud or not box.has_vault
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled), ExitStack() as stack:
        storage: Storage = _for_upkeep(box.gated_cloud()) if repairs_cloud else box.vault_storage()
        stack.enter_context(closing(storage))
        helper = stack.enter_context(_helper(box, repairs_cloud))
        patient = open_damaged(storage, box.password(), helper)
        repository = patient.repository
        damages = (find_damaged_locks if job.dry_run else clear_damaged_locks)(repository)
        if not job.dry_run:
            stack.enter_context(repository.lock(exclusive=True, now=box.clock))
        noted = box.state.packs_of(storage.location)
        suspects = frozenset(pack for pack, record in noted.items() if record.damaged)
        plan = plan_repair(
            patient,
            helper,
            read_data=job.read_data,
            suspects=suspects,
            returns=_lost_by_the_vault(box, repairs_cloud),
            on_progress=on_progress,
        )
        report = None
        if not job.dry_run:
            if isinstance(storage, GatedStorage):
                _require_room(storage, plan)
            report = execute_repair(repository, plan, helper, on_progress=on_progress, cancelled=is_cancelled)
            if report.cancelled:
                return cancelled()
    return _repair_report([*damages, *plan.damages], plan, report, read_data=job.read_data)


def _lost_by_the_vault(box: Box, repairs_cloud: bool) -> Callable[[str], bool]:
    """Snapshots that only the cloud has and nobody forgot come back. What only the vault has, replication sends."""
    forgotten = Forgotten(box.state).ids
    return lambda key: not repairs_cloud and key.startswith(f"{FileType.SNAPSHOT}/") and file_name(key) not in forgotten


def _for_upkeep(cloud: GatedStorage) -> GatedStorage:
    """The same place: what a repair stores replaces what was lost, so it may use the reserve."""
    return GatedStorage(cloud.inner, cloud.ledger, lambda _: Purpose.UPKEEP)


def _require_room(cloud: GatedStorage, plan: RepairPlan) -> None:
    """Raises `CapacityExceeded` before anything is written when the repair does not fit in the contract."""
    usage = cloud.ledger.usage
    decision = decide(usage.used, usage.claimed, plan.scratch, usage.limits, Purpose.UPKEEP)
    if not decision.allowed:
        raise CapacityExceeded.of(decision, usage.limits)


@contextmanager
def _helper(box: Box, repairs_cloud: bool) -> Iterator[Repository | None]:
    """The other place's repository; None where there is none, or none that can be opened now."""
    has_other = box.has_vault and box.has_cloud
    try:
        repository = (box.open_home() if repairs_cloud else box.open_cloud()) if has_other else None
    except KurabakoError:
        repository = None
    if repository is None:
        yield None
        return
    with closing(repository.storage), reading(box, repository):
        yield repository


def _repair_report(
    damages: list[Damage], plan: RepairPlan, report: RepairReport | None, *, read_data: bool
) -> JobReport:
    outcome = Outcome.PARTIAL if plan.unrepaired or plan.incomplete else Outcome.DONE
    return JobReport(
        outcome,
        summary_of(plan, report, len(damages), read_data=read_data),
        int(EXIT_CODES[outcome]),
        report.bytes_written if report else 0,
        _with_json(document_of(damages, plan, report, LISTED)),
    )


def _with_json(value: Any) -> Any:
    """The same JSON with its texts as they cross processes."""
    if isinstance(value, Text):
        return value.to_json()
    if isinstance(value, dict):
        return {name: _with_json(one) for name, one in value.items()}
    return [_with_json(one) for one in value] if isinstance(value, list) else value
