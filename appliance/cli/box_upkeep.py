"""`kurabako forget`, `prune` and `make-room`: what the box keeps, lets go, and how much room that makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import opened_box, run_jobs
from appliance.cli.context import JsonOption, printer
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.cli.output import Printer
    from appliance.repository import Repository

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help=T("Delete nothing, only say what would go.").message)
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command(help=T("Forget snapshots by each source's policy, or by name.").message)(forget)
    app.command(help=T("Delete what no snapshot needs any more.").message)(prune)
    app.command("make-room", help=T("Say which snapshots to forget to free so many bytes; deletes nothing.").message)(
        make_room
    )


def forget(
    context: typer.Context,
    snapshots: Annotated[
        list[str] | None, typer.Argument(metavar="[SNAPSHOT]…", help=T("Forget these, without any rule.").message)
    ] = None,
    and_prune: Annotated[
        bool, typer.Option("--prune", help=T("Prune afterwards, if anything was forgotten.").message)
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """What is kept is `keep` in a source's policy. The cloud follows with the next replication."""
    from appliance.daemon.requests import UpkeepJob

    out = printer(context, as_json)
    arguments: dict[str, Any] = {"snapshots": snapshots or [], "prune": and_prune}
    with opened_box(context) as box:
        if not dry_run:
            run_jobs(
                out, box, "upkeep", arguments, lambda: [UpkeepJob(snapshots=tuple(snapshots or ()), prune=and_prune)]
            )
            return
        from appliance.cli.upkeep_words import groups_document, prune_document, tell_forgotten, tell_pruned
        from appliance.daemon.retention import plan_box_forget
        from appliance.daemon.work.upkeep import plan_box_prune
        from appliance.upkeep import plan_forget_named

        with _looked_at(box) as repository:
            if snapshots:
                plan = plan_forget_named(repository, snapshots, measure=True)
            else:
                plan = plan_box_forget(box, repository, measure=True)
            pruned = plan_box_prune(box, repository, without=plan.ids) if and_prune else None
        document = {"dry_run": True, "groups": groups_document(plan), "forget": sorted(plan.ids)}
        document |= {"unique_bytes": plan.unique_bytes, "prune": prune_document(pruned, None) if pruned else None}
        out.document({**document, **_free_at(box)})
        tell_forgotten(out, plan, box.zone, dry_run=True)
        if pruned is not None:
            tell_pruned(out, pruned, None)
            _tell_free_at(out, box)


def prune(context: typer.Context, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Never needs more room or traffic than the settings and the reserve allow."""
    from appliance.daemon.requests import UpkeepJob

    out = printer(context, as_json)
    with opened_box(context) as box:
        if not dry_run:
            run_jobs(out, box, "upkeep", {"forget": False}, lambda: [UpkeepJob(forget=False)])
            return
        from appliance.cli.upkeep_words import prune_document, tell_pruned
        from appliance.daemon.work.upkeep import plan_box_prune

        with _looked_at(box) as repository:
            plan = plan_box_prune(box, repository)
        out.document({"dry_run": True, **prune_document(plan, None), **_free_at(box)})
        tell_pruned(out, plan, None)
        _tell_free_at(out, box)


def make_room(
    context: typer.Context,
    size: Annotated[str, typer.Argument(metavar="BYTES", help=T("How much: 5 GB, 16 MiB.").message)],
    keep_last: Annotated[
        int, typer.Option("--keep-last", min=1, help=T("Of each source, so many of the newest stay.").message)
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Whatever the policies say; what is held stays. `kurabako forget ID… --prune` then forgets them."""
    from appliance.cli.repo_rules import parsed
    from appliance.cli.upkeep_words import tell_room
    from appliance.daemon.retention import plan_box_room
    from appliance.units import parse_size

    out, wanted = printer(context, as_json), parsed(parse_size, size, "BYTES")
    with opened_box(context) as box:
        with _looked_at(box) as repository:
            plan = plan_box_room(box, repository, wanted, keep_last)
        tell_room(out, plan, box.zone, _free_at(box))
        _tell_free_at(out, box)


def _free_at(box: Box) -> dict[str, str]:
    """When the cloud has the room of what goes now, at the latest, if it protects its files."""
    rules = box.settings.cloud.protection if box.settings.cloud is not None else None
    return {} if rules is None else {"cloud_free_at": rules.until(box.clock()).isoformat()}


def _tell_free_at(out: Printer, box: Box) -> None:
    for moment in _free_at(box).values():
        day = f"{datetime.fromisoformat(moment).astimezone(box.zone):%Y-%m-%d %H:%M}"
        out.say(T("The cloud protects what goes: there its room is free on {moment} at the latest.", moment=day))


@contextmanager
def _looked_at(box: Box) -> Iterator[Repository]:
    """The place that backups are in, to plan from: nothing is written but a lock."""
    from appliance.daemon.work import reading
    from appliance.daemon.work.upkeep import open_for_upkeep

    repository = open_for_upkeep(box)
    with closing(repository.storage), reading(box, repository):
        yield repository
