"""How plans and reports of forgetting, pruning and making room are shown, for any repository and for the box's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from appliance.cli.output import Printer
from appliance.cli.repo_look import snapshot_document
from appliance.repository import Snapshot
from appliance.text import T
from appliance.units import format_size
from appliance.upkeep import ForgetPlan, PrunePlan, PruneReport, RoomPlan


def groups_document(plan: ForgetPlan) -> list[dict[str, Any]]:
    """The groups as restic's `forget --json` has them."""
    return [
        {
            "tags": group.key.tags,
            "host": group.key.hostname or "",
            "paths": group.key.paths,
            "keep": [snapshot_document(snapshot) for snapshot, _ in group.keep],
            "remove": [snapshot_document(snapshot) for snapshot in group.remove],
            "reasons": [
                {"snapshot": snapshot_document(snapshot), "matches": [reason.match for reason in reasons]}
                for snapshot, reasons in group.keep
            ],
        }
        for group in plan.groups
    ]


def prune_document(plan: PrunePlan, report: PruneReport | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "packs_to_delete": len(plan.delete) + len(plan.unindexed),
        "packs_to_repack": len(plan.repack),
        "blobs_used": plan.blobs_used,
        "blobs_unused": plan.blobs_unused,
        "bytes_before": plan.bytes_before,
        "bytes_after": plan.bytes_after,
        "bytes_freed": plan.bytes_freed,
        "bytes_repacked": plan.bytes_repacked,
        "bytes_rewritten": plan.bytes_rewritten,
        "bytes_unused_after": plan.bytes_unused_after,
        "scratch": plan.scratch,
    }
    if report is not None:
        document["leftovers"] = report.leftovers
    return document


def tell_forgotten(out: Printer, plan: ForgetPlan, zone: ZoneInfo | None, *, dry_run: bool) -> None:
    told = [(snapshot, [reason.text for reason in why]) for group in plan.groups for snapshot, why in group.keep]
    told += [(snapshot, [T("goes")]) for snapshot in plan.forget]
    held = (T("Holds alone"),) if plan.unique_bytes else ()
    out.table(
        (T("ID"), T("Time"), T("Host"), T("Paths"), *held, T("Stays because")),
        [
            (
                snapshot.short_id,
                _clock(snapshot, zone),
                snapshot.hostname,
                ", ".join(snapshot.paths),
                *((_exact(plan.unique_bytes[snapshot.id]),) if plan.unique_bytes else ()),
                "; ".join(map(out.render, why)),
            )
            for snapshot, why in told
        ],
    )
    if dry_run:
        out.say(T("{count} snapshots would be forgotten.", count=len(plan.forget)))
    else:
        out.say(T("{count} snapshots were forgotten.", count=len(plan.forget)))


def tell_pruned(out: Printer, plan: PrunePlan, report: PruneReport | None) -> None:
    out.say(
        T(
            "Packs: {before} before, {after} after; {deleted} packs go, {repacked} are packed anew ({size}).",
            before=_exact(plan.bytes_before),
            after=_exact(plan.bytes_after),
            deleted=len(plan.delete) + len(plan.unindexed),
            repacked=len(plan.repack),
            size=_exact(plan.bytes_repacked),
        ),
        T("Waste that stays: {size}.", size=_exact(plan.bytes_unused_after)),
    )
    if report is None:
        out.say(
            T(
                "It would free {size} and need {scratch} of room meanwhile.",
                size=_exact(plan.bytes_freed),
                scratch=format_size(plan.scratch),
            )
        )
        return
    out.say(T("{size} are free.", size=_exact(report.bytes_freed)))
    if report.leftovers:
        out.note(T("{count} packs could not be deleted; the next prune deletes them.", count=len(report.leftovers)))


def tell_room(out: Printer, plan: RoomPlan, zone: ZoneInfo | None, also: Mapping[str, str] | None = None) -> None:
    """Which snapshots to forget, the oldest first, and what that frees; `also` goes into the document."""
    out.document(
        {
            "wanted": plan.wanted,
            "enough": plan.enough,
            "already_free": plan.already_free,
            "freed": plan.freed,
            "most": plan.most,
            "forget": [{**snapshot_document(snapshot), "frees": frees} for snapshot, frees in plan.forget],
            **(also or {}),
        }
    )
    if plan.already_free:
        out.say(T("A prune alone frees {size}.", size=_exact(plan.already_free)))
    if plan.forget:
        out.table(
            (T("ID"), T("Time"), T("Paths"), T("Frees")),
            [
                (snapshot.short_id, _clock(snapshot, zone), ", ".join(snapshot.paths), _exact(frees))
                for snapshot, frees in plan.forget
            ],
        )
    if plan.enough:
        out.say(
            T("Forgetting {count} snapshots and pruning frees {size}.", count=len(plan.forget), size=_exact(plan.freed))
        )
    else:
        out.say(T("That is not enough: the rules let go of no more than {size}.", size=_exact(plan.most)))


def _clock(snapshot: Snapshot, zone: ZoneInfo | None) -> str:
    """The snapshot's time by the clocks of `zone`, or of this machine."""
    return snapshot.moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _exact(size: int) -> str:
    """`12,345 bytes` beside what people say."""
    return f"{format_size(size)} ({size:,} B)" if size >= 1000 else format_size(size)
