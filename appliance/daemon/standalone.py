"""What a command does when no daemon runs: the same jobs and the same Status, in this process."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from appliance.box import Box
from appliance.daemon.counting import count
from appliance.daemon.facts import Moment, gather
from appliance.daemon.jobs import JobReport
from appliance.daemon.memory import Memory
from appliance.daemon.requests import JobRequest
from appliance.daemon.witness import witness
from appliance.daemon.work import Cancelled, OnProgress, run_job
from appliance.status.compose import compose
from appliance.status.model import Problem, Severity, Status
from appliance.text import T


def new_job_id(box: Box, entropy: Callable[[int], str] = secrets.token_hex) -> str:
    """A name for a job that begins with its moment and is the only one of its kind."""
    return f"{box.clock():%Y%m%dT%H%M%S}-{entropy(3)}"


def do_job(box: Box, request: JobRequest, on_progress: OnProgress, is_cancelled: Cancelled) -> tuple[str, JobReport]:
    """Does a job here and remembers it as the daemon would; its id and its report."""
    memory = Memory(box.state)
    job_id, started_at = new_job_id(box), box.clock()
    memory.started(job_id, request, started_at)
    report = run_job(box, request, on_progress, is_cancelled)
    ended_at = box.clock()
    memory.ended(job_id, request, started_at, ended_at, report)
    count(box.agreement, report, ended_at)
    witness(box.agreement, job_id, request, started_at, ended_at, report)
    return job_id, report


def standalone_status(box: Box) -> Status:
    """The Status from what the box remembers and what is connected now. That no daemon runs is a problem."""
    now = box.clock()
    not_running = Problem(
        "daemon.not-running",
        Severity.ATTENTION,
        T("The box's service is not running, so no planned backup starts."),
        now,
        safe=T("What is stored is unharmed."),
        todo=T("Start it: systemctl start kurabako (or, in a terminal, kurabako serve)."),
    )
    moment = Moment(started_at=now, problems=(not_running,), sources=box.known_sources())
    return compose(gather(box, moment), now)
