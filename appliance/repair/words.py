"""What a repair says: one line for each damage, and a sentence for all of it."""

from __future__ import annotations

from typing import Any

from appliance.repair.model import Damage, Incomplete, Remedy, RepairPlan, RepairReport
from appliance.text import T, Text
from appliance.units import format_size

_DONE = {
    Remedy.COPY: T("taken from the other copy"),
    Remedy.REBUILD: T("made anew"),
    Remedy.DELETE: T("removed"),
    Remedy.NONE: T("cannot be repaired; it stays as it is"),
}


def line_of(damage: Damage) -> Text:
    """A damage and what is done about it."""
    return T("{what} ({remedy})", what=damage.what, remedy=_DONE[damage.remedy])


def losses_of(incomplete: Incomplete) -> Text:
    """What a snapshot lost, in a sentence."""
    return T(
        "The snapshot of {time} lacks {count} paths that no place has: {path} …",
        time=incomplete.snapshot.time[:16].replace("T", " "),
        count=incomplete.count,
        path=incomplete.paths[0],
    )


def summary_of(plan: RepairPlan, report: RepairReport | None, damages: int, *, read_data: bool) -> Text:
    """How it stands; without a report, how it would stand after the repair. `damages` were found in all."""
    values = {"place": plan.place, "count": damages, "size": format_size(report.bytes_written if report else 0)}
    if report is not None and report.cancelled:
        return T("The repair was ended after {size}; what is repaired stays, and the next run goes on.", **values)
    if plan.incomplete:
        lost = {"snapshots": len(plan.incomplete), "paths": sum(each.count for each in plan.incomplete), **values}
        if report is None:
            return T(
                "{count} damages in {place}. After a repair, {snapshots} snapshots would still lack {paths} paths that "
                "no place has.",
                **lost,
            )
        return T(
            "{count} damages in {place} were looked after, but {snapshots} snapshots lack {paths} paths that no place "
            "has any more. The next backup stores again what the source still has.",
            **lost,
        )
    if plan.unrepaired:
        return T("{unrepaired} of {count} damages in {place} cannot be repaired.", unrepaired=plan.unrepaired, **values)
    if damages:
        if report is None:
            return T(
                "{count} damages in {place}; all of them can be repaired, with {needed} of room.",
                needed=format_size(plan.scratch),
                **{name: values[name] for name in ("place", "count")},
            )
        return T("All {count} damages in {place} were repaired; {size} were written.", **values)
    if read_data:
        return T("Nothing in {place} is damaged; every byte was read.", place=plan.place)
    return T("No damage shows in {place}; the data was not read.", place=plan.place)


def document_of(damages: list[Damage], plan: RepairPlan, report: RepairReport | None, limit: int) -> dict[str, Any]:
    """The plan and what came of it, as JSON with unrendered texts; lists have `limit` entries at most."""
    document: dict[str, Any] = {
        "place": plan.place,
        "other": plan.other,
        "damages_count": len(damages),
        "damages": [
            {"kind": one.kind, "name": one.name, "what": line_of(one), "remedy": one.remedy.value}
            for one in damages[:limit]
        ],
        "incomplete_count": len(plan.incomplete),
        "incomplete": [
            {"snapshot": one.snapshot.id, "what": losses_of(one), "count": one.count, "paths": list(one.paths[:limit])}
            for one in plan.incomplete[:limit]
        ],
        "unrepaired": plan.unrepaired,
        "blobs_lost": plan.blobs_lost,
        "bytes_read": plan.bytes_read,
        "scratch": plan.scratch,
    }
    if report is not None:
        document |= {
            "files_copied": report.copied,
            "packs_written": report.packs_written,
            "bytes_written": report.bytes_written,
            "leftovers": list(report.leftovers),
        }
    return document
