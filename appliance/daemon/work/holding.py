"""Jobs and the hold on transfers: which may not begin, and which end when it comes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance.box import Box
from appliance.daemon.jobs import JobReport
from appliance.daemon.requests import (
    BackupJob,
    CheckJob,
    JobRequest,
    RefillJob,
    RepairJob,
    RestoreJob,
    UpkeepJob,
    VerifyJob,
)
from appliance.errors import ExitCode, KurabakoError
from appliance.status.model import Outcome
from appliance.transfers import HoldWatch, Mode

logger = logging.getLogger(__name__)


def modes_against(box: Box, request: JobRequest) -> tuple[Mode, ...]:
    """The holds that keep the job from running: what only reads the cloud, or only the vault, goes on in a pause."""
    if not box.has_cloud:
        return ()
    match request:
        case RestoreJob() | CheckJob():
            return (Mode.STOPPED,) if request.cloud or not box.has_vault else ()
        case VerifyJob() | RefillJob():
            return (Mode.STOPPED,)
        case RepairJob() if not request.cloud:
            return (Mode.STOPPED,)
        case BackupJob() | UpkeepJob() if box.has_vault:
            return ()
    return (Mode.PAUSED, Mode.STOPPED)


@contextmanager
def heeding_holds(box: Box, request: JobRequest) -> Iterator[Callable[[], bool]]:
    """Yields whether a hold has come since the job began. Raises `TransfersHeld` when one is there already."""
    modes = modes_against(box, request)
    if not modes:
        yield lambda: False
        return
    box.transfers.require(*modes)
    with HoldWatch(box.transfers, modes, _end_process) as watch:
        yield watch.held


def held_report(error: KurabakoError) -> JobReport:
    """The report of a job that did not begin, or ended, because a person wanted it so."""
    return JobReport(Outcome.CANCELLED, error.what, int(error.exit_code), error=error)


def _end_process() -> None:
    """Ends the process, and so every connection, with what was not sent yet; nothing that is stored is harmed."""
    logger.warning("transfers were stopped: the process ends with its connections")
    os._exit(ExitCode.INTERRUPTED)
