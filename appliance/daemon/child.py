"""One job in one child process: starting it, listening to it, ending it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

from appliance.daemon.jobs import LINE_LIMIT, JobReport, cancelled, decode_child_line, failure
from appliance.daemon.requests import UnreadableLine
from appliance.errors import KurabakoError
from appliance.status.model import Progress
from appliance.text import T, Text

logger = logging.getLogger(__name__)

GRACE = 20.0
"""Seconds a job has to end in order after SIGTERM: to finish the requests under way and drop its lock."""


class JobDied(KurabakoError):
    """The job's process ended without a report."""

    code = "job.died"


async def run_child(
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    stop: asyncio.Event,
    *,
    grace: float = GRACE,
    on_sent: Callable[[int], None] = lambda _: None,
) -> JobReport:
    """Runs `command` to its end and returns its report; when `stop` is set, asks it to end, then ends it.

    `on_sent` hears how many bytes it has sent to the cloud so far.

    The child is a session of its own, so that a Ctrl-C in a terminal reaches only the daemon, which then ends its jobs
    in order. Its standard error is the daemon's. However it ends, nothing it started is left behind.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
        start_new_session=True,
    )
    logger.info("job process %d started", process.pid)
    stopper = asyncio.create_task(_stop_when_asked(process, stop, grace))
    try:
        report = await _listen(process, on_progress, on_sent)
        status = await process.wait()
    finally:
        stopper.cancel()
        _kill_session(process.pid)
        with suppress(asyncio.CancelledError):
            await stopper
    logger.info("job process %d ended with status %d", process.pid, status)
    if report is not None:
        return report
    if stop.is_set():
        return cancelled()
    return failure(_death(status))


async def _listen(
    process: asyncio.subprocess.Process, on_progress: Callable[[Progress], None], on_sent: Callable[[int], None]
) -> JobReport | None:
    """The report, or None when the child's output ended without one or stopped making sense."""
    assert process.stdout is not None
    report = None
    while True:
        try:
            line = await process.stdout.readline()
            if not line:
                return report
            message = decode_child_line(line)
        except ValueError as error:  # an UnreadableLine, or a line above the limit
            reason = str(error) if isinstance(error, UnreadableLine) else "a line is too long"
            logger.error("job process %d does not keep to the protocol (%s); it is ended", process.pid, reason)
            _kill_session(process.pid)
            return None
        if isinstance(message, JobReport):
            report = message
        elif isinstance(message, int):
            on_sent(message)
        else:
            on_progress(message)


async def _stop_when_asked(process: asyncio.subprocess.Process, stop: asyncio.Event, grace: float) -> None:
    await stop.wait()
    with suppress(ProcessLookupError):
        process.terminate()
    await asyncio.sleep(grace)
    logger.warning("job process %d did not end within %.0f s and is killed", process.pid, grace)
    _kill_session(process.pid)


def _kill_session(session: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)


def _death(status: int) -> JobDied:
    how: Text
    if status < 0:
        how = T("it was ended by signal {signal}", signal=signal.Signals(-status).name)
    else:
        how = T("it ended with status {status}", status=status)
    return JobDied(
        T("The job's process ended before its work was done: {how}.", how=how),
        safe=T("What was already stored is complete and is used by the next run."),
        todo=T("Start it again. If it happens again, send the box's log to your service provider."),
    )
