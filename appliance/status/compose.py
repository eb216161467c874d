"""Facts become the one Status: pure, deterministic, and failure never looks like success.

The state follows a strict priority: stopping, then the worst problem, then starting, then what the box is doing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from appliance.status import words
from appliance.status.facts import Facts
from appliance.status.model import JobKind, Problem, Severity, State, Status
from appliance.status.problems import find_problems
from appliance.text import T, Text

__all__ = ["SEVERITIES", "Facts", "compose"]

SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ATTENTION, Severity.FAULT)
"""From least to worst."""

_STATE_OF = {
    Severity.WARNING: State.WARNING,
    Severity.ATTENTION: State.ATTENTION,
    Severity.FAULT: State.FAULT,
}


def compose(facts: Facts, now: datetime, previous: Status | None = None) -> Status:
    """The Status at `now`. A problem that `previous` already had keeps the moment it began.

    Until the box has looked (`facts.ready`), what was a problem stays one, but does not decide the state.
    """
    problems = _ranked(find_problems(facts, now), previous)
    state, reason, todo = _judge(facts, problems)
    if not facts.ready and previous is not None:
        problems = _ranked((*problems, *previous.problems), previous)
    return Status(
        box=facts.box,
        version=facts.version,
        state=state,
        reason=reason,
        todo=todo,
        at=now,
        started_at=facts.started_at,
        jobs=facts.jobs,
        results=tuple(sorted(facts.results, key=lambda result: (result.ended_at, result.id), reverse=True)),
        sources=facts.sources,
        vault=facts.vault,
        cloud=facts.cloud,
        transfers=facts.transfers,
        capacity=facts.capacity,
        contract=facts.contract,
        verification=facts.verification,
        problems=problems,
        plugins=facts.plugins,
        next_run_at=facts.next_run_at,
        page_urls=facts.page_urls,
        timezone=str(facts.zone),
    )


def _ranked(problems: Iterable[Problem], previous: Status | None) -> tuple[Problem, ...]:
    """Each problem once, in its worst form, the worst first, and of equals the oldest first."""
    began = {(problem.code, problem.subject): problem.since for problem in previous.problems} if previous else {}
    found: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        key = problem.code, problem.subject
        if key not in found or SEVERITIES.index(problem.severity) > SEVERITIES.index(found[key].severity):
            found[key] = replace(problem, since=began.get(key, problem.since))
    return tuple(
        sorted(
            found.values(),
            key=lambda problem: (-SEVERITIES.index(problem.severity), problem.since, problem.code, problem.subject),
        )
    )


def _judge(facts: Facts, problems: tuple[Problem, ...]) -> tuple[State, Text, Text | None]:
    if facts.stopping:
        return State.STOPPING, T("The box is shutting down. Do not cut the power yet."), None
    worst = problems[0] if problems else None
    if not facts.ready and (worst is None or worst.severity is not Severity.FAULT):
        return State.STARTING, T("The box is starting and looks at what is connected."), None
    if worst is not None and worst.severity in _STATE_OF:
        return _STATE_OF[worst.severity], worst.what, worst.todo
    if facts.jobs:
        return State.WORKING, _work(facts), None
    return State.IDLE, _rest(facts), None


def _work(facts: Facts) -> Text:
    if len(facts.jobs) > 1:
        return T("{count} jobs are running.", count=len(facts.jobs))
    job = facts.jobs[0]
    subject = words.subject(job.subject, facts.sources)
    match job.kind:
        case JobKind.BACKUP:
            return T("{subject} is being backed up.", subject=subject)
        case JobKind.REPLICATE:
            return T("Backups are being sent to the cloud.")
        case JobKind.RESTORE:
            return T("{subject} is being restored.", subject=subject)
        case JobKind.CHECK:
            return T("{subject} is being checked.", subject=subject)
        case JobKind.REPAIR:
            return T("{subject} is being repaired.", subject=subject)
        case JobKind.UPKEEP:
            return T("Old snapshots are being cleared away.")
        case JobKind.VERIFY:
            return T("What is stored is being read back.")
        case JobKind.REFILL:
            return T("The vault is being refilled from the cloud.")


def _rest(facts: Facts) -> Text:
    """Says that all is well only when every designated source has a backup."""
    moments = [source.last_backup_at for source in facts.sources if source.designated]
    done = [moment for moment in moments if moment is not None]
    if len(done) < len(moments):
        return T("The box is ready and waits for the first backup.")
    return T("All backups are in order. The last one was made on {moment}.", moment=facts.moment(max(done)))
