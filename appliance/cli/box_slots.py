"""`kurabako slots`: the planned runs and what became of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.text import T, Text

if TYPE_CHECKING:
    from appliance.contract.terms import Terms
    from appliance.state import SlotRecord


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=T("List the planned runs of late and what became of them.").message)(slots)


def slots(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=366, help=T("How many days back.").message)] = 14,
    as_json: JsonOption = False,
) -> None:
    """The newest first. Looks at the box's own memory, whether or not a daemon runs."""
    from appliance.daemon.planner import BACKUP

    out = printer(context, as_json)
    with opened_box(context) as box:
        found = [
            one for one in box.state.slots_since(box.clock() - timedelta(days=days)) if one.name.startswith(BACKUP)
        ]
        terms, zone = box.contract.terms, box.zone
    out.document(
        {
            "slots": [
                {
                    "planned_at": one.planned_at.isoformat(),
                    "result": one.outcome.value,
                    "cause": _cause(one),
                    "clause": _clause(one, terms),
                    "overran_seconds": one.overran,
                    "job": one.job_id,
                }
                for one in found
            ]
        }
    )
    if not found:
        out.say(T("No run was planned in these days."))
        return
    out.table(
        (T("Planned"), T("What became of it"), T("Why"), T("Clause")),
        [
            (
                one.planned_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
                _result(one),
                _CAUSES.get(_cause(one), ""),
                _clause(one, terms),
            )
            for one in found
        ],
    )


def _cause(slot: SlotRecord) -> str:
    """A run that the box slept through was lost through the customer: it was switched off."""
    return "customer" if slot.outcome == "missed" else slot.cause


def _clause(slot: SlotRecord, terms: Terms) -> str:
    if slot.outcome != "missed":
        return slot.clause
    return (terms.recollect.customer if terms.recollect is not None else None) or ""


def _result(slot: SlotRecord) -> Text:
    if slot.outcome == "overrun":
        return T("Done, {minutes} min after the end of its window", minutes=slot.overran // 60)
    return _RESULTS[slot.outcome]


_RESULTS: dict[str, Text] = {
    "started": T("Running, or broken off"),
    "done": T("Done"),
    "partial": T("Incomplete"),
    "refused": T("Over the capacity"),
    "failed": T("Failed"),
    "cancelled": T("Cancelled"),
    "missed": T("Missed"),
    "retryable": T("Made up for when its cause has gone"),
    "missed_no_recollect": T("Not collected, and not made up for"),
    "missed_capacity": T("Not collected for want of capacity"),
    "skipped_suspended": T("Not collected, as the contract stands"),
}

_CAUSES: dict[str, Text] = {
    "operational_suspension": T("The provider's works"),
    "customer": T("The box or the source was not there"),
    "line": T("The line"),
    "restriction": T("An emergency restriction"),
    "capacity": T("The contracted capacity"),
    "suspension": T("The contract does not let it be sent"),
}
