"""`kurabako backup`, `replicate`, `restore`, `check`, `cancel`: what the box does."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_session import daemon_of, is_served_by_another, opened_box, run_jobs
from appliance.cli.context import JsonOption, TargetOption, printer
from appliance.contract.purposes import Actor, RestorePurpose
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.daemon.requests import JobRequest


class Place(StrEnum):
    """Where to read from."""

    VAULT = "vault"
    CLOUD = "cloud"


FromOption = Annotated[Place, typer.Option("--from", help=T("Read from the vault or from the cloud.").message)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command(help=T("Back up sources now: those named, or all that are designated.").message)(backup)
    app.command(help=T("Send to the cloud what the vault has and the cloud has not.").message)(replicate)
    app.command(help=T("Restore a snapshot, or what is below a path in it, into a folder.").message)(restore)
    app.command(help=T("Check that everything stored is whole.").message)(check)
    app.command(help=T("Replace what is missing or damaged, from whatever still has it.").message)(repair)
    app.command(help=T("Read back a part of what is stored, restore files for trial, report.").message)(verify)
    app.command(help=T("End the running jobs in order; what they stored stays.").message)(cancel)


def backup(
    context: typer.Context,
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]…", help=T("IDs from “kurabako sources”.").message)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replicates afterwards when the settings say so."""

    def requests() -> Sequence[JobRequest]:
        from appliance.daemon.commands import nothing_designated
        from appliance.daemon.work import backup_requests

        wanted = sources or [designation.source.id for designation in box.state.designations()]
        if not wanted:
            raise nothing_designated()
        return backup_requests(box, wanted)

    with opened_box(context) as box:
        run_jobs(printer(context, as_json), box, "backup", {"sources": sources or []}, requests)


def replicate(
    context: typer.Context,
    limit: Annotated[
        str, typer.Option("--limit", metavar="RATE", help=T("At most so much a second, this time: 2 MB.").message)
    ] = "",
    again: Annotated[
        bool,
        typer.Option("--again", help=T("Also what others removed from the cloud: you say that it may be.").message),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Nothing is sent that would exceed the contracted capacity."""
    from appliance.cli.repo_rules import parsed
    from appliance.daemon.requests import ReplicateJob
    from appliance.schedule.limits import parse_rate

    rate = parsed(parse_rate, limit, "--limit") if limit else None
    with opened_box(context) as box:
        request = ReplicateJob(rate, again)
        arguments = {"limit": rate, "again": again}
        run_jobs(printer(context, as_json), box, "replicate", arguments, lambda: [request])


class BadOrder(KurabakoError):
    """What was given is no order's number."""

    code = "usage"
    exit_code = ExitCode.USAGE


def _order(number: str) -> str:
    if len(number) > 64 or not number.isprintable():
        raise BadOrder(T("--order takes a number of up to 64 characters."), safe=T("Nothing was restored."))
    return number


def restore(
    context: typer.Context,
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT[:PATH]", help=T("A snapshot's id or latest, and a path in it.").message)
    ],
    target: TargetOption,
    place: FromOption = Place.VAULT,
    purpose: Annotated[
        RestorePurpose, typer.Option("--for", help=T("What it is for, where others than you restore.").message)
    ] = RestorePurpose.RECOVERY,
    actor: Annotated[
        Actor, typer.Option("--by", help=T("Who has it done: customer, provider or maker.").message)
    ] = Actor.CUSTOMER,
    order: Annotated[
        str, typer.Option("--order", parser=_order, help=T("The number of the paid order for it.").message)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Never refused for want of capacity. What others than the customer do may need an order or an option."""
    from appliance.daemon.requests import RestoreJob

    name, _, path = snapshot.partition(":")
    arguments: dict[str, Any] = {
        "snapshot": name,
        "path": path,
        "target": target,
        "cloud": place is Place.CLOUD,
        "purpose": purpose.value,
        "actor": actor.value,
        "order": order,
    }
    request = RestoreJob(**{**arguments, "purpose": purpose, "actor": actor})
    with opened_box(context) as box:
        # The service may write nowhere but in its own folders. Whoever asks for files has them written as themselves,
        # and to a share with the password that they have in their environment.
        here = is_served_by_another(box) or "://" in target
        run_jobs(printer(context, as_json), box, "restore", arguments, lambda: [request], here=here)


def check(
    context: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help=T("Read and verify every byte, not only what names it.").message)
    ] = False,
    cloud: Annotated[bool, typer.Option("--cloud", help=T("Check the cloud instead of the vault.").message)] = False,
    as_json: JsonOption = False,
) -> None:
    """Changes nothing."""
    from appliance.daemon.requests import CheckJob

    arguments = {"read_data": read_data, "cloud": cloud}
    with opened_box(context) as box:
        run_jobs(printer(context, as_json), box, "check", arguments, lambda: [CheckJob(**arguments)])


def repair(
    context: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help=T("Read and verify every byte, not only what names it.").message)
    ] = False,
    cloud: Annotated[bool, typer.Option("--cloud", help=T("Repair the cloud instead of the vault.").message)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help=T("Show what would be done, and do nothing.").message)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The vault is repaired with what the cloud has, the cloud with what the vault has."""
    from appliance.daemon.requests import RepairJob

    arguments = {"read_data": read_data, "cloud": cloud, "dry_run": dry_run}
    with opened_box(context) as box:
        run_jobs(printer(context, as_json), box, "repair", arguments, lambda: [RepairJob(**arguments)])


def verify(
    context: typer.Context,
    everything: Annotated[
        bool,
        typer.Option("--all", help=T("Read everything back, whatever the traffic.").message),
    ] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", min=0, max=50, help=T("How many files to restore for trial.").message)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reads the cloud, or the vault where there is no cloud."""
    from appliance.daemon.requests import VerifyJob

    arguments: dict[str, Any] = {"everything": everything, "sample": sample}
    with opened_box(context) as box:
        run_jobs(printer(context, as_json), box, "verify", arguments, lambda: [VerifyJob(**arguments)])


def cancel(context: typer.Context, as_json: JsonOption = False) -> None:
    """Returns at once; each job ends in its own time."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        client = daemon_of(box)
        ended: list[str] = []
        if client is not None:
            with client:
                ended = client.ask("cancel")
    words = T("{count} jobs were asked to end.", count=len(ended)) if ended else T("No job is running.")
    out.result({"jobs": ended}, words)
