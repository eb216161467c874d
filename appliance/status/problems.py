"""The rules: which facts are a problem, how much it matters, what is safe and what to do.

Each rule is a pure function of the facts and the moment. A problem is told by its `code` and `subject`; codes
are stable and are listed in `RULES` order in the manual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from appliance.status import words
from appliance.status.facts import Facts
from appliance.status.model import (
    CapacityStatus,
    JobKind,
    JobResult,
    Outcome,
    PlaceStatus,
    Problem,
    Severity,
    SourceStatus,
)
from appliance.text import T, Text
from appliance.units import format_size

RESTORE_NEWS = timedelta(days=1)
"""How long a restore that went wrong stays a problem: nothing repeats it, so nothing else would end it."""

PLUG_IN = T("Plug it in; the next planned run backs it up.")
PLANNED_RUN = T("The next planned run tries again. To try at once, run “kurabako backup”.")


def _places(facts: Facts, now: datetime) -> Iterator[Problem]:
    if facts.ready and facts.vault is None and facts.cloud is None:
        yield Problem(
            "setup.no-place",
            Severity.ATTENTION,
            T("No place for backups is set up: neither a vault nor a cloud."),
            now,
            todo=T("Enter [vault] or [cloud] in the settings file, then restart the box."),
        )
    if facts.vault is not None and facts.vault.reachable is False:
        yield Problem(
            "vault.unreachable",
            Severity.FAULT,
            T("The vault {place} cannot be used, so nothing is being backed up.", place=facts.vault.location),
            facts.vault.checked_at or now,
            subject=facts.vault.location,
            safe=T("Backups that are already in the cloud are not affected."),
            todo=T("Check that the vault's disk is connected and switched on, then restart the box."),
        )
    if facts.cloud is not None and facts.cloud.reachable is False:
        yield _cloud_down(facts, facts.cloud, now)


def _cloud_down(facts: Facts, cloud: PlaceStatus, now: datetime) -> Problem:
    since = cloud.checked_at or now
    if facts.vault is None:
        severity, safe = Severity.FAULT, T("Backups that are already in the cloud are not affected.")
    else:
        severity = Severity.ATTENTION if now - since >= facts.overdue_after else Severity.WARNING
        safe = T("Backups go on into the vault and are sent to the cloud once it answers.")
    return Problem(
        "cloud.unreachable",
        severity,
        T("The cloud {place} has not answered since {moment}.", place=cloud.location, moment=facts.moment(since)),
        since,
        subject=cloud.location,
        safe=safe,
        todo=T("Check the internet connection. If it works, call your service provider."),
    )


def _capacity(facts: Facts, now: datetime) -> Iterator[Problem]:
    capacity = facts.capacity
    if capacity is None or capacity.capacity_bytes <= 0:
        return
    more_room = T("Ask your service provider for more capacity, or back up fewer sources.")
    if capacity.waiting_snapshots:
        needed = capacity.needed_bytes
        what = (
            T(
                "{count} backup(s) do not fit in the contracted capacity and wait in the vault: "
                "the next needs {needed}, {left} are left.",
                count=capacity.waiting_snapshots,
                needed=format_size(needed),
                left=format_size(capacity.left_bytes),
            )
            if needed is not None
            else T(
                "{count} backup(s) do not fit in the contracted capacity and wait in the vault: {left} are left.",
                count=capacity.waiting_snapshots,
                left=format_size(capacity.left_bytes),
            )
        )
        safe = T("They are complete in the vault; what is in the cloud already stays there.")
        yield Problem("capacity.waiting", Severity.ATTENTION, what, now, safe=safe, todo=more_room)
        return
    values = {"used": format_size(capacity.used_bytes), "capacity": format_size(capacity.capacity_bytes)}
    full = _full(capacity, values, more_room, now)
    if full is not None:
        yield full
        return
    yield from _will_be_full(facts, capacity, more_room, now)
    share = capacity.used_bytes / capacity.capacity_bytes
    crossed = [limit for limit in facts.warn_at if 0 < limit < 1 and share >= limit]
    if crossed:
        percent = f"{round(max(crossed) * 100):02d} %"
        what = T(
            "{percent} of the contracted capacity is exceeded: {used} of {capacity} are used.",
            percent=percent,
            **values,
        )
        safe = T("Backups go on as long as they fit.")
        yield Problem("capacity.warning", Severity.WARNING, what, now, subject=percent, safe=safe, todo=more_room)


STAYS = T("Everything in the cloud stays there and can be restored.")
SOON = timedelta(days=30)
"""How near the day must be on which the capacity is full, or an upgrade applied for, to be a problem."""


def _full(capacity: CapacityStatus, values: dict[str, str], more_room: Text, now: datetime) -> Problem | None:
    """Full to the byte is reached, more is exceeded; only some contracts hold anything back for it."""
    if capacity.used_bytes > capacity.capacity_bytes:
        code = "capacity.exceeded"
        what = (
            T("More is stored than was contracted: {used} of {capacity}. Nothing more is sent to the cloud.", **values)
            if capacity.holds
            else T("{used} are backed up under a contracted capacity of {capacity}; that may take longer.", **values)
        )
    elif capacity.used_bytes == capacity.capacity_bytes:
        code, what = "capacity.reached", T("The contracted capacity is reached: {used} of {capacity}.", **values)
    elif capacity.holds and capacity.left_bytes == 0:
        code = "capacity.full"
        what = T(
            "The contracted capacity is used up: {used} of {capacity}. Nothing more is sent to the cloud.", **values
        )
    else:
        return None
    if capacity.holds:
        return Problem(code, Severity.ATTENTION, what, now, safe=STAYS, todo=more_room)
    return Problem(code, Severity.WARNING, what, now, safe=T("Backups go on."), todo=more_room)


def _will_be_full(facts: Facts, capacity: CapacityStatus, more_room: Text, now: datetime) -> Iterator[Problem]:
    last = capacity.apply_by or capacity.full_on
    if last is not None and last <= (now + SOON).astimezone(facts.zone).date():
        safe = T("Backups go on as long as they fit.") if capacity.holds else T("Backups go on.")
        yield Problem("capacity.forecast", Severity.WARNING, words.forecast(capacity), now, safe=safe, todo=more_room)


def latest_results(results: tuple[JobResult, ...]) -> list[JobResult]:
    """The newest result of each kind and subject, cancelled runs left out: they prove nothing."""
    newest: dict[tuple[JobKind, str], JobResult] = {}
    for result in sorted(results, key=lambda result: (result.ended_at, result.id)):
        if result.outcome is not Outcome.CANCELLED:
            newest[result.kind, result.subject] = result
    return list(newest.values())


def _runs(facts: Facts, now: datetime) -> Iterator[Problem]:
    known = {source.id: source for source in facts.sources}
    waiting = facts.capacity is not None and facts.capacity.waiting_snapshots > 0
    for result in latest_results(facts.results):
        source = known.get(result.subject)
        if result.outcome is Outcome.DONE:
            continue
        if result.kind is JobKind.BACKUP and source is not None and not source.designated:
            continue
        if result.kind is JobKind.REPLICATE and result.outcome is Outcome.REFUSED and waiting:
            continue
        if result.kind is JobKind.RESTORE and now - result.ended_at >= RESTORE_NEWS:
            continue
        away = result.kind is JobKind.BACKUP and source is not None and source.removable and not source.present
        problem = _run(facts, result)
        yield replace(problem, todo=PLUG_IN) if away else problem


def _run(facts: Facts, result: JobResult) -> Problem:
    severity = Severity.WARNING if result.outcome is Outcome.PARTIAL else Severity.ATTENTION
    values = {
        "subject": words.subject(result.subject, facts.sources),
        "moment": facts.moment(result.ended_at),
        "summary": result.summary,
    }
    partial = result.outcome is Outcome.PARTIAL
    safe: Text | None
    match result.kind:
        case JobKind.BACKUP:
            what = (
                T("The backup of {subject} ({moment}) is incomplete. {summary}", **values)
                if partial
                else T("The backup of {subject} ({moment}) did not succeed. {summary}", **values)
            )
            safe = T("Earlier backups are unchanged.")
            todo = PLANNED_RUN
        case JobKind.REPLICATE:
            what = (
                T("Replication to the cloud ({moment}) was incomplete. {summary}", **values)
                if partial
                else T("Replication to the cloud ({moment}) did not succeed. {summary}", **values)
            )
            safe = T("What was sent already is kept; the next run sends only the rest.")
            todo = T("The next planned run tries again. To try at once, run “kurabako replicate”.")
        case JobKind.CHECK:
            what = T("The check of {subject} ({moment}) found errors. {summary}", **values)
            safe = T("The check changed nothing.")
            todo = T(
                "See what a repair would do with “kurabako repair --dry-run”. Delete or replace nothing before that."
            )
        case JobKind.REPAIR:
            what = (
                T("The repair of {subject} ({moment}) could not replace everything. {summary}", **values)
                if partial
                else T("The repair of {subject} ({moment}) did not succeed. {summary}", **values)
            )
            safe = T("Whatever could be read before can be read.")
            todo = T("Ask your service provider. “kurabako repair --dry-run” names what is damaged.")
        case JobKind.UPKEEP:
            what = T("Clearing away old snapshots ({moment}) did not succeed. {summary}", **values)
            safe = T("Every snapshot that is listed is whole; the next run goes on.")
            todo = T("The next planned run tries again. To try at once, run “kurabako prune”.")
        case JobKind.REFILL:
            what = T("Refilling the vault ({moment}) is not complete. {summary}", **values)
            safe = T("What is in the cloud is unharmed; what was fetched stays.")
            todo = T("To go on, type: kurabako setup --from-cloud")
        case JobKind.VERIFY:
            what = (
                T("The verification ({moment}) ended early. {summary}", **values)
                if partial
                else T("The verification ({moment}) found damage. {summary}", **values)
            )
            safe = T("The verification changed nothing.")
            todo = (
                T("The next planned run goes on.")
                if partial
                else T("See what a repair would do with “kurabako repair --cloud --dry-run”.")
            )
        case JobKind.RESTORE:
            what = (
                T("The restore of {subject} ({moment}) is incomplete. {summary}", **values)
                if partial
                else T("The restore of {subject} ({moment}) did not succeed. {summary}", **values)
            )
            safe = T("The backups themselves are unchanged.")
            todo = T("Remove the cause, then run the restore again.")
    return Problem(
        f"{result.kind}.{result.outcome}",
        severity,
        what,
        result.ended_at,
        subject=result.subject,
        safe=safe,
        todo=todo,
    )


def _sources(facts: Facts, now: datetime) -> Iterator[Problem]:
    if not facts.ready:
        return
    designated = [source for source in facts.sources if source.designated]
    if not designated:
        yield Problem(
            "setup.no-source",
            Severity.WARNING,
            T("No source is designated yet, so nothing is being backed up."),
            now,
            todo=T("List what was found with “kurabako sources” and choose with “kurabako sources designate ID”."),
        )
    for source in designated:
        if not source.present and not source.removable:
            yield Problem(
                "source.missing",
                Severity.WARNING,
                T("The source {subject} is not there.", subject=source.title),
                now,
                subject=source.id,
                safe=T("Its earlier backups are unchanged."),
                todo=T(
                    "Connect it or switch it on. If it is gone for good, run “kurabako sources undesignate {id}”.",
                    id=source.id,
                ),
            )
        elif source.present and not source.collectable:
            why = source.why_not or T("The box cannot read it.")
            yield Problem(
                "source.not-collectable",
                Severity.ATTENTION,
                T("The source {subject} cannot be backed up. {why}", subject=source.title, why=why),
                now,
                subject=source.id,
                safe=T("Its earlier backups are unchanged."),
            )
        yield from _overdue(facts, source, now)


def _overdue(facts: Facts, source: SourceStatus, now: datetime) -> Iterator[Problem]:
    """The dead man's switch: silence is a problem too."""
    counted_from = source.last_backup_at or facts.designated_at.get(source.id, facts.started_at)
    if now - counted_from < facts.overdue_after:
        return
    hours = int((now - counted_from) / timedelta(hours=1))
    what = (
        T("{subject} has had no good backup for {hours} hours (last: {moment}).",
          subject=source.title, hours=hours, moment=facts.moment(source.last_backup_at))
        if source.last_backup_at
        else T("{subject} has never been backed up, for {hours} hours now.", subject=source.title, hours=hours)
    )  # fmt: skip
    away = source.removable and not source.present
    yield Problem(
        "backup.overdue",
        Severity.WARNING if away else Severity.ATTENTION,
        what,
        counted_from + facts.overdue_after,
        subject=source.id,
        safe=T("Its earlier backups are unchanged.") if source.last_backup_at else None,
        todo=PLUG_IN if away else PLANNED_RUN,
    )


def _plugins(facts: Facts, now: datetime) -> Iterator[Problem]:
    for plugin in facts.plugins:
        if plugin.state == "set-aside":
            why = plugin.why or T("It gave no reason.")
            yield Problem(
                "plugin.set-aside",
                Severity.WARNING,
                T("The plugin {plugin} does not work and was set aside. {why}", plugin=plugin.name, why=why),
                now,
                subject=plugin.name,
                safe=T("The rest of the box goes on."),
                todo=T("Update or remove the plugin, then restart the box."),
            )


def _verification(facts: Facts, now: datetime) -> Iterator[Problem]:
    verification = facts.verification
    if verification is None or verification.keeps_up:
        return
    yield Problem(
        "verification.behind",
        Severity.WARNING,
        T(
            "The traffic that is allowed does not let every byte be read back in time: {needed} a day are needed.",
            needed=format_size(verification.per_day),
        ),
        now,
        safe=T("The backups are not affected."),
        todo=T("Raise traffic_per_day or every_days in [verification]."),
    )


RULES: tuple[Callable[[Facts, datetime], Iterator[Problem]], ...] = (
    _places,
    _capacity,
    _runs,
    _sources,
    _verification,
    _plugins,
)


def find_problems(facts: Facts, now: datetime) -> Iterator[Problem]:
    """Every problem the rules see, and those found elsewhere; in no given order."""
    yield from facts.problems
    for rule in RULES:
        yield from rule(facts, now)
