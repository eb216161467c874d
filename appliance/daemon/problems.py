"""What the box remembers as problems: holds on transfers, alarms, and that the cloud cannot follow the vault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from appliance.box import Box
from appliance.daemon.alarms import alarm_problems
from appliance.daemon.jobs import error_from_json
from appliance.daemon.memory import Memory
from appliance.protection import Protection
from appliance.status.model import Problem, Severity
from appliance.text import T, Text
from appliance.transfers import Mode

LAPSE = "protection.lapse"
"""The code of a protection that ends although it is needed: soon, or already."""


def own_problems(box: Box, memory: Memory) -> Iterator[Problem]:
    """What the box remembers as problems."""
    yield from _hold_problems(box)
    allowed = support_allowed(box)
    if allowed is not None:
        todo = T("To end it at once, type: kurabako support end")
        yield Problem("support.allowed", Severity.INFO, allowed, box.clock(), todo=todo)
    yield from alarm_problems(box.state)
    if box.settings.cloud is not None and (rules := box.settings.cloud.protection) is not None:
        yield from _lapse(box, memory, rules)
        yield from _protection_problems(memory)
    kept_back = memory.kept_back()
    if kept_back is not None:
        error, at = kept_back
        yield Problem(error.code, Severity.ATTENTION, error.what, at, safe=error.safe, todo=error.todo)


def support_allowed(box: Box) -> Text | None:
    """That remote support is allowed now, and until when; None where it is not."""
    consent = box.agreement.support.consent
    if consent is None:
        return None
    until = f"{consent.until.astimezone(box.zone):%Y-%m-%d %H:%M}"
    return T("Remote support is allowed until {time}, by {name}.", time=until, name=consent.by)


def _lapse(box: Box, memory: Memory, rules: Protection) -> Iterator[Problem]:
    """That files in the cloud are protected no longer, or soon will not be: whatever kept jobs from seeing to it.

    Told when half of the margin has passed in which it should have been done; each job that protects them ends it.
    """
    now = box.clock()
    soon = now + rules.margin / 2
    count, first = box.state.protection_over(box.cloud_location, soon)
    if first is None:
        since = memory.sending_since(box.cloud_location)
        if since is not None and since + rules.length <= soon:
            yield _long_transfer(box, since, since + rules.length)
        return
    moment = f"{first.astimezone(box.zone):%Y-%m-%d %H:%M}"
    todo = T(
        "It is extended by itself once the box reaches the cloud and may send. To do so at once, type: {command}",
        command="kurabako replicate" if box.has_vault else "kurabako backup",
    )
    if first > now:
        yield Problem(
            LAPSE,
            Severity.WARNING,
            T(
                "The protection of {count} files in the cloud from being deleted was not extended in time: "
                "the first of them can be deleted from {moment} on.",
                count=count,
                moment=moment,
            ),
            first - rules.margin / 2,
            safe=T("What is protected stays so until its date."),
            todo=todo,
        )
        return
    count, _ = box.state.protection_over(box.cloud_location, now)
    yield Problem(
        LAPSE,
        Severity.ATTENTION,
        T(
            "{count} files in the cloud are no longer protected from being deleted, the first of them since {moment}: "
            "their protection was not extended in time.",
            count=count,
            moment=moment,
        ),
        first,
        safe=(
            T("The box deletes none of them, and what is in the vault is unharmed.")
            if box.has_vault
            else T("The box deletes none of them.")
        ),
        todo=todo,
    )


def _long_transfer(box: Box, since: datetime, until: datetime) -> Problem:
    """What a job sends is protected longer at its end, or when the next one begins."""

    def shown(moment: datetime) -> str:
        return f"{moment.astimezone(box.zone):%Y-%m-%d %H:%M}"

    return Problem(
        LAPSE,
        Severity.WARNING if until > box.clock() else Severity.ATTENTION,
        T(
            "What is sent to the cloud since {since} is not completely sent yet, and from {moment} on the first of it "
            "can be deleted again.",
            since=shown(since),
            moment=shown(until),
        ),
        since,
        safe=T("The box deletes none of it, and what is sent already is not sent again."),
        todo=T(
            "The next job on the cloud extends the protection before it sends. If one is running, "
            "type: kurabako cancel, then: {command}",
            command="kurabako replicate" if box.has_vault else "kurabako backup",
        ),
    )


def _protection_problems(memory: Memory) -> Iterator[Problem]:
    """That the cloud's files could not be protected longer, or that somebody else deleted or overwrote some."""
    told = memory.protection()
    if told is None:
        return
    note, at = told
    if note["error"] is not None:
        error = error_from_json(note["error"])
        yield Problem(
            "protection.failed",
            Severity.ATTENTION,
            T("The backups in the cloud could not be protected any longer than they are. {why}", why=error.what),
            at,
            safe=T("What is protected stays so until its date."),
            todo=error.todo or T("The next job on the cloud tries again."),
        )
        return
    brought_back = note.get("brought_back", 0)
    others = note["deleted_by_others"] + note["replaced_by_others"]
    if brought_back:
        yield Problem(
            "protection.brought-back",
            Severity.ATTENTION,
            T("{count} files of the backups had been deleted in the cloud, and not by this box.", count=brought_back),
            at,
            safe=T("They were protected and have been brought back."),
            todo=_WHO,
        )
    if others:
        yield Problem(
            "protection.tampered",
            Severity.ATTENTION,
            T(
                "{count} files of the backups are deleted or overwritten in the cloud, and not by this box.",
                count=others,
            ),
            at,
            safe=T("They are protected: they can be brought back."),
            todo=T("Type: kurabako replicate --again, or without a vault kurabako repo undelete. {who}", who=_WHO),
        )


_WHO = T("Somebody has the cloud's access key: have the provider replace it, and put the new one into the settings.")


def _hold_problems(box: Box) -> Iterator[Problem]:
    """That transfers are held: a person should know, lest it be forgotten."""
    hold = box.transfers.hold
    if hold is None:
        return
    since = f"{hold.since.astimezone(box.zone):%Y-%m-%d %H:%M}"
    safe = T("What is stored in the vault and in the cloud is complete.")
    todo = T("To let them go on, use the box's page, or type: kurabako resume")
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
