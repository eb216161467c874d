"""`kurabako pause`, `resume` and `stop-transfers`: whether the box may use its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import asked_or, opened_box, require_own_box
from appliance.cli.context import JsonOption, printer
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box

UntilOption = Annotated[
    str, typer.Option("--until", metavar="TIME", help=T("Go on by itself then: 18:00, or 2026-11-24 08:00.").message)
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command(help=T("Pause transfers to the cloud: what is under way is finished, nothing new is sent.").message)(
        pause
    )
    app.command(help=T("Let transfers to the cloud go on after a pause or a stop.").message)(resume)
    app.command(
        "stop-transfers", help=T("Stop every transfer to and from the cloud at once, until “kurabako resume”.").message
    )(stop_transfers)


def pause(context: typer.Context, until: UntilOption = "", as_json: JsonOption = False) -> None:
    """Lasts across a restart. Backups into the vault, and reading from the cloud, go on."""
    with opened_box(context) as box:
        moment = _moment(until, box.zone, box.clock()) if until else None
        arguments = {"until": moment.isoformat() if moment else None}
        _tell(box, "pause", arguments, lambda: box.transfers.pause(moment))
        words = (
            T("Transfers to the cloud are paused until {until}.", until=f"{moment.astimezone(box.zone):%Y-%m-%d %H:%M}")
            if moment
            else T("Transfers to the cloud are paused. To let them go on, type: kurabako resume")
        )
    printer(context, as_json).result({"mode": "paused", **arguments}, words)


def stop_transfers(context: typer.Context, as_json: JsonOption = False) -> None:
    """Requests under way are broken off. Lasts across a restart."""
    with opened_box(context) as box:
        _tell(box, "stop_transfers", {}, box.transfers.stop)
    printer(context, as_json).result(
        {"mode": "stopped"}, T("All transfers to the cloud are stopped. To let them go on, type: kurabako resume")
    )


def resume(context: typer.Context, as_json: JsonOption = False) -> None:
    """The box replicates at once what has gathered meanwhile."""
    with opened_box(context) as box:
        held = _tell(box, "resume", {}, box.transfers.release)
    printer(context, as_json).result(
        {"held": bool(held)},
        T("Transfers to the cloud go on.") if held else T("Transfers to the cloud were not held."),
    )


def _tell(box: Box, command: str, arguments: dict[str, Any], otherwise: Any) -> Any:
    def here() -> Any:
        require_own_box(box)
        return otherwise()

    return asked_or(box, command, arguments, lambda answer: answer.get("held", True), here)


def _moment(text: str, zone: tzinfo, now: datetime) -> datetime:
    """The moment that `text` names by the box's clocks: a time of today or tomorrow, or a date and a time."""
    local = now.astimezone(zone)
    try:
        if len(text) <= len("00:00"):
            at = datetime.strptime(text, "%H:%M").time()
            moment = datetime.combine(local.date(), at, zone)
            if moment <= local:
                moment = datetime.combine(local.date() + timedelta(days=1), at, zone)
        else:
            moment = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time such as 18:00 or 2026-11-24 08:00", param_hint="--until"
        ) from None
    if moment <= local:
        raise typer.BadParameter(f"{text!r} is over", param_hint="--until")
    return moment.astimezone(UTC)
