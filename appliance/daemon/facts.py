"""What is known about the box, gathered from its memory, its plugins and its running jobs, for the Status."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance import __version__
from appliance.box import Box
from appliance.daemon.advice import source_advice
from appliance.daemon.capacity import capacity_status
from appliance.daemon.home import recovery_sheet_due_since
from appliance.daemon.memory import LAST_VERIFICATION, Memory
from appliance.daemon.problems import own_problems
from appliance.daemon.standing import contract_problems, contract_status
from appliance.policy import KnownSource, SourcePolicy
from appliance.status.facts import Facts
from appliance.status.model import (
    JobKind,
    JobResult,
    JobStatus,
    Outcome,
    Problem,
    Severity,
    SourceStatus,
    VerificationStatus,
)
from appliance.text import T

SHEET_PATIENCE = timedelta(days=3)
"""How long a new box only reminds of its recovery sheet."""

RESULTS = 20
"""How many of the last results a Status tells."""


@dataclass(frozen=True)
class Moment:
    """What is so only now, and only in this process."""

    started_at: datetime
    ready: bool = True
    stopping: bool = False
    jobs: tuple[JobStatus, ...] = ()
    problems: tuple[Problem, ...] = ()
    next_run_at: datetime | None = None
    page_urls: tuple[str, ...] = ()
    sources: Sequence[KnownSource] = field(default_factory=tuple)
    in_use: frozenset[str] = frozenset()
    """Ids of the sources that are being backed up or wait for it."""


def gather(box: Box, moment: Moment) -> Facts:
    """The facts. Reads the box's memory; raises `StateError`."""
    memory = Memory(box.state)
    contract = box.contract
    last_results = box.state.last_results()
    results = {result.id: result for result in (*box.state.results(limit=RESULTS), *last_results)}
    return Facts(
        box=box.name,
        version=__version__,
        started_at=moment.started_at,
        ready=moment.ready,
        stopping=moment.stopping,
        jobs=moment.jobs,
        results=tuple(results.values()),
        sources=source_statuses(box, moment.sources, moment.in_use),
        designated_at={known.found.id: known.designated_at for known in moment.sources if known.designated_at},
        vault=memory.place("vault", box.vault_location) if box.has_vault else None,
        cloud=memory.place("cloud", box.cloud_location) if box.has_cloud else None,
        transfers=box.transfers.status if box.has_cloud else None,
        capacity=capacity_status(box, contract),
        contract=contract_status(box, contract),
        verification=_verification(box),
        plugins=box.plugins.statuses(),
        problems=(
            *moment.problems,
            *contract_problems(box, contract),
            *source_advice(box, contract, moment.sources),
            *own_problems(box, memory),
            *_sheet_problems(box),
        ),
        warn_at=contract.profile.warn_at,
        next_run_at=moment.next_run_at,
        page_urls=moment.page_urls,
        zone=box.zone,
    )


def source_statuses(box: Box, sources: Iterable[KnownSource], in_use: Collection[str] = ()) -> tuple[SourceStatus, ...]:
    """The sources with what became of their last backups; `in_use` are the ids of those that are being read."""
    results = box.state.last_results()
    return tuple(_source(known, box.policies.of(known.found), results, known.found.id in in_use) for known in sources)


def _source(known: KnownSource, policy: SourcePolicy, results: Iterable[JobResult], in_use: bool) -> SourceStatus:
    found = known.found
    own = [result for result in results if (result.kind, result.subject) == (JobKind.BACKUP, found.id)]
    good = [result.ended_at for result in own if result.outcome in (Outcome.DONE, Outcome.PARTIAL)]
    newest = max(own, key=lambda result: result.ended_at, default=None)
    return SourceStatus(
        id=found.id,
        kind=found.kind,
        title=found.title,
        present=found.present,
        designated=known.designated,
        collectable=found.collectable,
        why_not=found.why_not,
        size_bytes=found.size_bytes,
        removable=found.removable,
        last_backup_at=max(good, default=None),
        last_outcome=newest.outcome if newest else None,
        start=policy.start,
        on_page=policy.on_page,
        note=found.note,
        may_unplug=not in_use if found.removable and found.present else None,
    )


def _verification(box: Box) -> VerificationStatus | None:
    last = box.state.value(LAST_VERIFICATION)
    if last is None or last["place"] != (box.cloud_location or box.vault_location):
        return None
    return VerificationStatus(
        at=datetime.fromisoformat(last["at"]),
        report=last["report"],
        total_bytes=last["total_bytes"],
        verified_bytes=last["verified_bytes"],
        oldest_at=datetime.fromisoformat(last["oldest_at"]) if last["oldest_at"] else None,
        damages=last["damages"],
        keeps_up=last["keeps_up"],
        per_day=last["per_day"],
    )


def _sheet_problems(box: Box) -> Iterator[Problem]:
    """That nobody has said yet that the recovery sheet is printed: a reminder at first, then a warning."""
    since = recovery_sheet_due_since(box)
    if since is None:
        return
    yield Problem(
        "recovery-sheet.unconfirmed",
        Severity.INFO if box.clock() - since < SHEET_PATIENCE else Severity.WARNING,
        T("Nobody has confirmed yet that the recovery sheet is printed and in a safe place."),
        since,
        safe=T("Backups go on. But if this box is lost, nobody can read them without the recovery key."),
        todo=T(
            "Type: kurabako recovery-sheet --output FILE.html, print it, lock it up, then: "
            "kurabako recovery-sheet --confirm"
        ),
    )
