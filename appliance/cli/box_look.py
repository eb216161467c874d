"""`kurabako snapshots`, `ls`, `diagnose`: looking without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.box_jobs import FromOption, Place
from appliance.cli.box_session import opened_box
from appliance.cli.context import JsonOption, printer
from appliance.errors import ExitCode
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.repository import Repository


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command(help=T("List the snapshots, the oldest first.").message)(snapshots)
    app.command(help=T("List what a snapshot holds, below a path.").message)(ls)
    app.command(help=T("Look for what could be wrong with the box, its disks and its lines.").message)(diagnose)


def snapshots(context: typer.Context, place: FromOption = Place.VAULT, as_json: JsonOption = False) -> None:
    """Reads the repository itself, whether or not a daemon runs."""
    from appliance.cli.repo_look import print_snapshots

    with opened_box(context) as box, _opened(box, place) as repository:
        print_snapshots(printer(context, as_json), repository.snapshots(), box.zone)


def ls(
    context: typer.Context,
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT[:PATH]", help=T("A snapshot's id or latest, and a path in it.").message)
    ] = "latest",
    long: Annotated[bool, typer.Option("--long", "-l", help=T("Show mode, owner, size and time.").message)] = False,
    place: FromOption = Place.VAULT,
    as_json: JsonOption = False,
) -> None:
    """Reads the repository itself, whether or not a daemon runs."""
    from appliance.cli.repo_look import print_files

    name, _, path = snapshot.partition(":")
    with opened_box(context) as box, _opened(box, place) as repository:
        repository.load_index()
        found = repository.find_snapshot(name)
        print_files(printer(context, as_json), repository, found, path, long=long, zone=box.zone)


def diagnose(context: typer.Context, as_json: JsonOption = False) -> None:
    """Exits with 1 when a check found a problem."""
    from appliance.daemon.diagnosis import diagnoses

    out = printer(context, as_json)
    with opened_box(context) as box:
        found = [(check, check.run()) for check in diagnoses(box)]
    out.document({"checks": [{"name": check.name, "title": check.title, **_fields(result)} for check, result in found]})
    out.table(
        (T("Check"), T("Result"), T("What was found")),
        [(check.title, T("good") if result.ok else T("problem"), result.what) for check, result in found],
    )
    for check, result in found:
        if not result.ok and result.todo is not None:
            out.say(T("{check}: {todo}", check=check.title, todo=result.todo))
    if not all(result.ok for _, result in found):
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _opened(box: Box, place: Place) -> Iterator[Repository]:
    from appliance.daemon.work import open_to_read, reading

    repository = open_to_read(box, cloud=place is Place.CLOUD)
    with closing(repository.storage), reading(box, repository):
        yield repository


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
