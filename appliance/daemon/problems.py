"""What the box remembers as problems: holds on transfers, alarms, and that the cloud cannot follow the vault."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.box import Box
from appliance.daemon.alarms import alarm_problems
from appliance.daemon.memory import Memory
from appliance.status.model import Problem, Severity
from appliance.text import T
from appliance.transfers import Mode


def own_problems(box: Box, memory: Memory) -> Iterator[Problem]:
    """What the box remembers as problems."""
    yield from _hold_problems(box)
    yield from alarm_problems(box.state)
    kept_back = memory.kept_back()
    if kept_back is not None:
        error, at = kept_back
        yield Problem(error.code, Severity.ATTENTION, error.what, at, safe=error.safe, todo=error.todo)


def _hold_problems(box: Box) -> Iterator[Problem]:
    """That transfers are held: a person should know, lest it be forgotten."""
    hold = box.transfers.hold
    if hold is None:
        return
    since = f"{hold.since.astimezone(box.zone):%Y-%m-%d %H:%M}"
    safe = T("What is stored in the vault and in the cloud is complete.")
    todo = T("To let them go on, type: kurabako resume")
    if hold.mode is Mode.STOPPED:
        what = T("All transfers to the cloud were stopped by a person on {since}.", since=since)
        yield Problem("transfers.stopped", Severity.ATTENTION, what, hold.since, safe=safe, todo=todo)
    elif hold.until is not None:
        until = f"{hold.until.astimezone(box.zone):%Y-%m-%d %H:%M}"
        what = T("Transfers to the cloud are paused until {until}.", until=until)
        yield Problem("transfers.paused", Severity.INFO, what, hold.since, safe=safe, todo=todo)
    else:
        what = T("Transfers to the cloud have been paused since {since}.", since=since)
        yield Problem("transfers.paused", Severity.WARNING, what, hold.since, safe=safe, todo=todo)
