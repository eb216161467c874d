"""`kurabako sources`: what is connected, and what of it is backed up."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli import box_policy
from appliance.cli.box_policy import SourceArgument
from appliance.cli.box_session import asked_or, opened_box
from appliance.cli.context import JsonOption, printer
from appliance.status.model import SourceStatus
from appliance.status.words import STARTS, moment, source_kind
from appliance.text import T, Text
from appliance.units import format_size


def register(app: typer.Typer) -> None:
    """Adds the group to the root."""
    group = typer.Typer(
        help=T("Sources: what is connected, and which of it is backed up.").message, invoke_without_command=True
    )
    group.callback()(sources)
    group.command(help=T("Mark a source for backing up.").message)(designate)
    group.command(help=T("End backing up a source; its snapshots stay.").message)(undesignate)
    group.command(help=T("Record who knows that its Individual Numbers are sent to the provider.").message)(acknowledge)
    box_policy.register(group)
    app.add_typer(group, name="sources")


def sources(context: typer.Context, as_json: JsonOption = False) -> None:
    """Lists them; detected is not collected."""
    if context.invoked_subcommand is not None:
        return
    out = printer(context, as_json)
    with opened_box(context) as box:
        from appliance.daemon.facts import source_statuses
        from appliance.status import codec

        found = asked_or(
            box,
            "sources",
            {},
            lambda answer: tuple(codec.decode(SourceStatus, one) for one in answer),
            lambda: source_statuses(box, box.known_sources()),
        )
        zone = box.zone
    out.document({"sources": codec.encode(found, out.language)})
    out.table(
        (T("ID"), T("Kind"), T("Title"), T("Size"), T("Backed up?"), T("Starts"), T("Last backup")),
        [
            (
                one.id,
                source_kind(one.kind),
                one.title,
                format_size(one.size_bytes) if one.size_bytes is not None else "–",
                _designated(one),
                STARTS[one.start] if one.designated and one.start in STARTS else "–",
                moment(one.last_backup_at, zone) if one.last_backup_at else "–",
            )
            for one in found
        ],
    )
    for one in found:
        if one.why_not is not None:
            out.say(T("{source}: {why}", source=one.id, why=one.why_not))
        if one.note is not None:
            out.say(T("{source}: {why}", source=one.id, why=one.note))
    if not any(one.designated for one in found):
        out.say(T("Nothing is backed up yet. To choose a source: kurabako sources designate ID"))


def designate(context: typer.Context, source: SourceArgument, as_json: JsonOption = False) -> None:
    """From the next run on it is backed up."""
    with opened_box(context) as box:
        title = asked_or(
            box,
            "designate",
            {"id": source},
            lambda answer: str(answer["title"]),
            lambda: box.designate(source).title,
        )
    printer(context, as_json).result(
        {"id": source, "designated": True},
        T("{source} is backed up from the next run on. To start at once: kurabako backup", source=title),
    )


def undesignate(context: typer.Context, source: SourceArgument, as_json: JsonOption = False) -> None:
    """What was backed up of it can still be restored."""
    with opened_box(context) as box:
        asked_or(box, "undesignate", {"id": source}, lambda _: None, lambda: box.undesignate(source))
    printer(context, as_json).result(
        {"id": source, "designated": False},
        T("{source} is no longer backed up. Its snapshots stay and can be restored.", source=source),
    )


def acknowledge(
    context: typer.Context,
    source: SourceArgument,
    by: Annotated[str, typer.Option(metavar="NAME", help=T("Who acknowledges it.").message)],
    as_json: JsonOption = False,
) -> None:
    """For services that take such data only so; it is evidence."""
    from appliance.contracted import acknowledge_my_number

    with opened_box(context) as box:
        found = box.find_source(source).found
        acknowledge_my_number(box.agreement, box.state, found, by, box.clock())
    printer(context, as_json).result(
        {"id": source, "by": by},
        T("It is recorded that {name} acknowledged this for {source}.", name=by, source=source),
    )


def _designated(source: SourceStatus) -> Text:
    if source.designated:
        return T("yes") if source.present else T("yes, but not connected now")
    return T("no") if source.collectable else T("cannot be")
