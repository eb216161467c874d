"""`kurabako protection`: until when the backups in the cloud cannot be deleted, and what the next job does about it."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.text import T
from appliance.units import format_size

if TYPE_CHECKING:
    from appliance.cli.output import Printer
    from appliance.protection import ProtectionPlan

_SHOWN = 20
"""Files that are named one by one; `--json` names all."""


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=T("Show until when the backups in the cloud cannot be deleted, and what is planned.").message)(
        protection
    )


def protection(context: typer.Context, as_json: JsonOption = False) -> None:
    """Changes nothing: the next replication, or backup without a vault, does what is planned."""
    from appliance.daemon.work.protecting import plan_box_protection

    out = printer(context, as_json)
    with opened_box(context) as box:
        box.require_cloud()
        with closing(box.reached_cloud()) as cloud, out.progress(T("Protection")) as on_progress:
            plan = plan_box_protection(box, cloud, on_progress)
        if plan is None:
            out.document({"protected": False})
            out.say(T("The backups in the cloud are not protected from being deleted: set object_lock in [cloud]."))
            return
        out.document(_document(plan))
        _tell(out, plan, box.zone)


def _document(plan: ProtectionPlan) -> dict[str, Any]:
    return {
        "protected": True,
        "files": plan.files,
        "until": plan.until.isoformat(),
        "extend": [
            {"key": each.version.key, "size": each.version.size, "until": _iso(each.until)} for each in plan.extend
        ],
        "free": [{"key": version.key, "size": version.size} for version in plan.free if not version.marker],
        "bytes_free": plan.bytes_free,
        "waiting": [
            {"key": each.version.key, "size": each.version.size, "until": _iso(each.until)} for each in plan.waiting
        ],
        "bytes_waiting": plan.bytes_waiting,
        "free_at": _iso(plan.free_at),
        "deleted_by_others": [marker.key for marker in plan.deleted],
        "replaced_by_others": [version.key for version in plan.replaced],
    }


def _tell(out: Printer, plan: ProtectionPlan, zone: ZoneInfo) -> None:
    def day(moment: datetime | None) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "–"

    dated = [(T("protected until {until}", until=day(plan.until)), each) for each in plan.extend]
    dated += [(T("goes when its date is over"), each) for each in plan.waiting]
    if dated:
        out.table(
            (T("File"), T("Size"), T("Protected until"), T("What is planned")),
            [
                (each.version.key, format_size(each.version.size), day(each.until), out.render(planned))
                for planned, each in dated[:_SHOWN]
            ],
        )
    if len(dated) > _SHOWN:
        out.note(T("  … and {count} more", count=len(dated) - _SHOWN))
    out.say(
        T(
            "{files} files are protected; {extend} of them will be protected until {until}.",
            files=plan.files,
            extend=len(plan.extend),
            until=day(plan.until),
        ),
        T("{size} that nobody needs can go now.", size=format_size(plan.bytes_free)),
    )
    if plan.waiting:
        size, at = format_size(plan.bytes_waiting), day(plan.free_at)
        out.say(T("{size} that nobody needs count on until {at}.", size=size, at=at))
    if plan.deleted or plan.replaced:
        out.say(
            T(
                "{deleted} files were deleted and {replaced} overwritten by somebody else.",
                deleted=len(plan.deleted),
                replaced=len(plan.replaced),
            )
        )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
