"""Executing a plan of protection: first what is needed is protected longer, then what nobody needs goes for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from appliance.capacity import GatedStorage
from appliance.protection.model import Protection, ProtectionPlan
from appliance.protection.plan import remembered
from appliance.repository.overlap import overlapped
from appliance.status.model import Progress
from appliance.storage.interface import AccessDenied, ObjectNotFound, StorageError
from appliance.storage.versions import LockMode, Version
from appliance.text import T


@dataclass(frozen=True)
class ProtectionReport:
    """What was done. `refused` versions could not be deleted yet, whatever the plan thought of their dates.

    `failure` is what kept this from being all, if anything did. `dates`, and which of these versions are `going`, is to
    be remembered until the next plan.
    """

    extended: int = 0
    deleted: int = 0
    bytes_freed: int = 0
    refused: int = 0
    failure: StorageError | None = None
    dates: dict[tuple[str, str], datetime] = field(default_factory=dict, repr=False)
    going: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)


def execute_protection(
    plan: ProtectionPlan,
    cloud: GatedStorage,
    rules: Protection,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ProtectionReport:
    """Does what `plan` says, and lets the ledger know what is free. May be ended anywhere, and repeated.

    A version that the place refuses to protect longer keeps none of the others from it; what else fails ends the work,
    and what is done by then is in the report.
    """

    def extend(version: Version) -> StorageError | None:
        try:
            try:
                cloud.protect(version.key, version.id, rules.mode, plan.until)
            except AccessDenied:
                # Its mode cannot be changed; its date can, if it keeps the mode that it was stored with.
                (other,) = set(LockMode) - {rules.mode}
                cloud.protect(version.key, version.id, other, plan.until)
        except StorageError as error:
            return error
        return None

    extended: list[Version] = []
    failure: StorageError | None = None
    for version, error in overlapped(extend, (each.version for each in plan.extend)):
        if error is None:
            extended.append(version)
        elif not isinstance(error, ObjectNotFound):
            failure = failure or error
            if not isinstance(error, AccessDenied):
                break  # no other would fare better
        on_progress(
            Progress(T("Protecting the backups longer"), files_done=len(extended), files_total=len(plan.extend))
        )
        if cancelled():
            break
    deleted = refused = freed = 0
    held: set[str] = set()
    for version in plan.free:
        if cancelled() or not (failure is None or isinstance(failure, AccessDenied)):
            break
        # A marker that went before what it hides would show it again.
        if version.marker and version.key in held:
            continue
        try:
            cloud.delete_version(version.key, version.id)
        except AccessDenied:
            held.add(version.key)
            refused += 1
            continue
        except StorageError as error:
            failure = error
            break
        deleted += 1
        if not version.marker:
            freed += version.size
            cloud.ledger.version_deleted(version.size)
        on_progress(Progress(T("Clearing away what is no longer protected"), files_done=deleted))
    return ProtectionReport(
        extended=len(extended),
        deleted=deleted,
        bytes_freed=freed,
        refused=refused,
        failure=failure,
        dates=remembered(plan.dates, extended, plan.until),
        going=plan.going,
    )
