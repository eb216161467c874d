"""The box's upkeep of the place its backups are in: forgetting by the policies, or by name, and pruning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from appliance.box import Box
from appliance.capacity import GatedStorage
from appliance.daemon.alarms import Alarms
from appliance.daemon.forgotten import Forgotten
from appliance.daemon.instance import vault_job
from appliance.daemon.jobs import JobReport, cancelled
from appliance.daemon.requests import UpkeepJob
from appliance.daemon.retention import plan_box_forget
from appliance.daemon.work.common import PATIENCE, Cancelled, OnProgress, measure
from appliance.daemon.work.protecting import protect
from appliance.errors import KurabakoError
from appliance.repository import FileType, Repository, SnapshotNotFound
from appliance.repository.files import file_name
from appliance.status.model import Outcome, Progress
from appliance.storage.interface import NoSpace
from appliance.text import T
from appliance.units import format_size
from appliance.upkeep import (
    ForgetPlan,
    PruneLimits,
    PrunePlan,
    PruneReport,
    execute_forget,
    execute_prune,
    parse_max_unused,
    plan_forget_named,
    plan_prune,
)
from appliance.upkeep.execute import Together, all_together


def upkeep(box: Box, job: UpkeepJob, on_progress: OnProgress, is_cancelled: Cancelled) -> JobReport:
    forgotten = Forgotten(box.state)
    with vault_job(box.settings.box.state_dir, patience=PATIENCE, cancelled=is_cancelled):
        home = open_for_upkeep(box)
        with closing(home.storage), home.lock(exclusive=True, now=box.clock):
            used = _protected_usage(box, home)
            on_progress(Progress(T("Choosing what to forget")))
            plan, only_cloud = _plan_forget(box, home, job)
            # Noted before: what is deleted and not noted, the cloud would keep for ever.
            forgotten.add((*plan.ids, *only_cloud), box.clock())
            execute_forget(home, plan)
            pruned = PruneReport()
            if job.prune and (forgotten.unpruned or not job.forget):
                try:
                    pruned = _prune(box, home, forgotten, _Watched(on_progress, is_cancelled))
                except _Cancelled:
                    return cancelled()
            freed, protection = pruned.bytes_freed, None
            if used is not None and isinstance(home.storage, GatedStorage):
                protection, _ = protect(box, home.storage, on_progress, is_cancelled)
                freed = used - home.storage.ledger.usage.used
            figures = {"name": "vault" if box.has_vault else "cloud", "location": box.home, **measure(home.storage)}
    details = {
        "forgotten": sorted((*plan.ids, *only_cloud)),
        "packs_deleted": pruned.packs_deleted,
        "packs_written": pruned.packs_written,
        "bytes_freed": freed,
        "leftovers": list(pruned.leftovers),
        "home": figures,
        "protection": protection,
    }
    summary = T(
        "{count} snapshots were forgotten, and {size} are free in {place}.",
        count=len(plan.ids) + len(only_cloud),
        size=format_size(max(0, freed)),
        place=box.home,
    )
    return JobReport(Outcome.DONE, summary, 0, max(0, freed), details)


def _protected_usage(box: Box, home: Repository) -> int | None:
    """What counts in a home whose files cannot be deleted before their date; None where deleting frees their room."""
    if box.has_vault or box.require_cloud().protection is None or not isinstance(home.storage, GatedStorage):
        return None
    return home.storage.ledger.usage.used


def open_for_upkeep(box: Box) -> Repository:
    """The repository that backups are written to. What is stored there, if that is the cloud, may use the reserve."""
    home = box.open_home()
    if isinstance(home.storage, GatedStorage):
        home.storage = home.storage.for_upkeep()
    return home


def plan_box_prune(box: Box, home: Repository, *, without: frozenset[str] = frozenset()) -> PrunePlan:
    """What a prune by the settings would do, within what the reserve of a full cloud can bear."""
    return plan_prune(home, _limits(box, home), without=without)


def _plan_forget(box: Box, home: Repository, job: UpkeepJob) -> tuple[ForgetPlan, list[str]]:
    """What goes from the home, and which snapshots, named by a person, only the cloud has."""
    if not job.forget:
        return ForgetPlan(()), []
    if not job.snapshots:
        return plan_box_forget(box, home), []
    here: list[str] = []
    only_cloud: list[str] = []
    for name in job.snapshots:
        try:
            here.append(home.find_snapshot(name).id)
        except SnapshotNotFound:
            if not (box.has_vault and box.has_cloud):
                raise
            with closing(box.cloud_storage()) as cloud:
                found = [file_name(info.key) for info in cloud.list(FileType.SNAPSHOT)]
            only_cloud += _one_of(name, found)
    plan = plan_forget_named(home, here)
    Alarms(box.state).require_free(plan.forget)
    return plan, only_cloud


def _one_of(name: str, found: list[str]) -> list[str]:
    """The snapshot whose id begins with `name`. Raises `SnapshotNotFound`."""
    fitting = [each for each in found if len(name) >= 8 and each.startswith(name.lower())]
    if len(fitting) != 1:
        raise SnapshotNotFound(name)
    return fitting


def _limits(box: Box, home: Repository) -> PruneLimits:
    """The settings' limits, so that what is packed anew fits the part of the cloud's capacity that upkeep may use.

    A vault's prune reaches the cloud later: it may take half of what is left there, and nothing is packed anew until
    the cloud has followed the prune before.
    """
    settings = box.settings.retention
    limits = PruneLimits(parse_max_unused(settings.max_unused), settings.max_repack)
    index_bytes = sum(info.size for info in home.list_files(FileType.INDEX))
    if isinstance(home.storage, GatedStorage):
        usage = home.storage.ledger.usage
        capacity = usage.limits.capacity
        return limits if capacity is None else limits.within(capacity - usage.used - usage.claimed, index_bytes)
    capacity = box.contract.limit if box.has_cloud else None
    if capacity is None:
        return limits
    last = next(iter(box.state.usages()), None)
    if last is None or Forgotten(box.state).uncarried:
        return limits.within(0, index_bytes)
    return limits.within((capacity - last.used_bytes) // 2, index_bytes)


def _prune(box: Box, home: Repository, forgotten: Forgotten, watched: _Watched) -> PruneReport:
    together = _together(box)
    plan = plan_box_prune(box, home)
    watched(Progress(T("Prune")))
    try:
        report = execute_prune(home, plan, together=together, on_progress=watched)
    except NoSpace:
        # The disk has no room for packs written anew: whole packs go first, and the next prune does the rest.
        plan = plan_prune(home, PruneLimits(parse_max_unused("unlimited"), 0))
        report = execute_prune(home, plan, together=together, on_progress=watched)
    forgotten.pruned(changed=box.has_vault and box.has_cloud and not plan.nothing_to_do)
    return report


def _together(box: Box) -> Together:
    """Keeps apart in the index what the cloud has and what still waits for room there: index files go there whole.

    Where the cloud does not answer, no two index files are merged.
    """
    if not (box.has_vault and box.has_cloud):
        return all_together
    try:
        with closing(box.reached_cloud()) as cloud:
            there = frozenset(file_name(info.key) for info in cloud.list(FileType.PACK))
    except KurabakoError:
        return lambda _, index_key: index_key
    return lambda pack_id, _: pack_id.hex() in there


class _Cancelled(Exception):
    """Unwinds a prune that is no longer wanted; the next one completes it."""


class _Watched:
    def __init__(self, on_progress: OnProgress, is_cancelled: Callable[[], bool]) -> None:
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled

    def __call__(self, progress: Progress) -> None:
        if self._is_cancelled():
            raise _Cancelled
        self._on_progress(progress)
