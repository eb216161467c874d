"""`kurabako setup`: a box of one's own, or the heir of one that was lost."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.box_operator import show_first
from appliance.cli.box_session import opened_box, require_own_box, run_jobs
from appliance.cli.context import JsonOption, printer
from appliance.cli.output import Printer
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T

if TYPE_CHECKING:
    from appliance.box import Box
    from appliance.setting_up import SetUp


class NoRecoveryKey(KurabakoError):
    """The recovery key is needed, and nobody gave it."""

    code = "setup.no-recovery-key"
    exit_code = ExitCode.USAGE


class AlreadyThere(KurabakoError):
    """A box that has its backups needs none from the cloud, and a cloud that has backups gets no second repository."""

    code = "setup.already-there"


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command(help=T("Set the box up: make the recovery key and the repository if they are missing.").message)(setup)


def setup(
    context: typer.Context,
    from_cloud: Annotated[
        bool, typer.Option("--from-cloud", help=T("Take over the backups of a box that was lost.").message)
    ] = False,
    recovery_key_file: Annotated[
        Path | None, typer.Option("--recovery-key-file", help=T("A file with that box's recovery key.").message)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Makes what is missing and touches nothing that is there; may be repeated."""
    out = printer(context, as_json)
    with opened_box(context) as box:
        require_own_box(box)
        if from_cloud:
            _take_over(out, box, recovery_key_file)
            show_first(out, box)
            return
        _refuse_second_repository(box)
        done = box.set_up()
        out.document(done)
        _tell(out, done)
        show_first(out, box)


def _tell(out: Printer, done: SetUp) -> None:
    if done.made_repository:
        out.say(T("A place for backups was set up in {place}.", place=done.place))
    else:
        out.say(T("The place for backups in {place} is set up already.", place=done.place))
    if done.made_key:
        out.say(
            T("A new recovery key was written to {file}.", file=str(done.password_file)),
            T(
                "Without the key, nobody can ever read the backups if this box is lost. "
                "Print it now: kurabako recovery-sheet --output FILE.html"
            ),
        )
    else:
        out.say(T("Its recovery key is in {file}.", file=str(done.password_file)))


def _refuse_second_repository(box: Box) -> None:
    """Raises `AlreadyThere` when the cloud has backups that a new vault would never fit to."""
    from appliance.storage.interface import ObjectNotFound

    if not (box.has_vault and box.has_cloud) or box.password_file().path().exists():
        return
    try:
        with closing(box.raw_cloud_storage()) as cloud:
            cloud.stat("config")
    except ObjectNotFound:
        return
    except KurabakoError:
        return  # A cloud that does not answer now is no reason not to begin.
    raise AlreadyThere(
        T("There are backups in {place} already, made with another recovery key.", place=box.cloud_location),
        safe=T("Nothing was changed."),
        todo=T("To take them over, type: kurabako setup --from-cloud. Otherwise set another place in [cloud]."),
    )


# Taking over


def _take_over(out: Printer, box: Box, key_file: Path | None) -> None:
    from appliance.daemon.home import is_refilling, set_refilling
    from appliance.daemon.requests import RefillJob

    box.require_cloud()
    password_file = box.password_file().path()
    if box.has_vault and _vault_opens(box) and not is_refilling(box):
        raise AlreadyThere(
            T("The vault in {place} has its backups.", place=box.vault_location),
            safe=T("Nothing was changed."),
            todo=T("If some of it is damaged, type: kurabako repair"),
        )
    if not password_file.exists():
        _write_key(box, _given_key(key_file))
    if box.has_vault:
        set_refilling(box, True)
        with _finishing(box):
            run_jobs(out, box, "refill", {}, lambda: [RefillJob()], here=True)
    else:
        box.set_up()
        out.document({"place": box.home})
    _tell_names(out, box)
    out.say(
        T("The backups of {place} are this box's now.", place=box.cloud_location),
        T("Designate its sources again: “kurabako sources” lists them. Snapshots go on where they ended."),
    )


@contextmanager
def _finishing(box: Box) -> Iterator[None]:
    """Makes the vault the box's own once all that the cloud has whole is in it; what was interrupted goes on later."""
    from appliance.daemon.home import set_refilling

    try:
        yield
    except typer.Exit as ended:
        if ended.exit_code == ExitCode.PARTIAL:
            box.set_up()
            set_refilling(box, False)
        raise
    box.set_up()
    set_refilling(box, False)


def _vault_opens(box: Box) -> bool:
    from appliance.repository import Repository

    try:
        with closing(box.vault_storage()) as storage:
            Repository.open(storage, box.password())
    except KurabakoError:
        return False
    return True


def _given_key(key_file: Path | None) -> str:
    if key_file is not None:
        try:
            return key_file.read_text("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise NoRecoveryKey(
                T("The file {file} cannot be read: {why}.", file=str(key_file), why=why or ""),
                safe=T("Nothing was changed."),
            ) from None
    if not sys.stdin.isatty():
        raise NoRecoveryKey(
            T("The recovery key of the lost box is needed."),
            safe=T("Nothing was changed."),
            todo=T("Type the command at a terminal, or give --recovery-key-file."),
        )
    return getpass.getpass("recovery key: ").strip()


def _write_key(box: Box, given: str) -> None:
    """Keeps the key once it has opened the cloud, in the form in which it does."""
    from appliance.recovery_key import normalized_recovery_key, write_recovery_key
    from appliance.repository import Repository, WrongPassword

    refusal: WrongPassword | None = None
    for key in filter(None, (given, normalized_recovery_key(given))):
        try:
            with closing(box.reached_cloud()) as cloud:
                Repository.open(cloud, key)
        except WrongPassword as error:
            refusal = error
            continue
        write_recovery_key(box.password_file().path(), key)
        return
    raise refusal or NoRecoveryKey(T("The recovery key is empty."), safe=T("Nothing was changed."))


def _tell_names(out: Printer, box: Box) -> None:
    """That snapshots go on only under the name that they have."""
    with suppress(KurabakoError), closing((repository := box.open_home()).storage):
        hosts = sorted({snapshot.hostname for snapshot in repository.snapshots(on_damage=lambda _: None)})
        if hosts and box.name not in hosts:
            out.say(
                T(
                    "Its snapshots are of {hosts}; this box is called {name}. Set name in [box], so that the next "
                    "backup goes on from them.",
                    hosts=", ".join(hosts),
                    name=box.name,
                )
            )
