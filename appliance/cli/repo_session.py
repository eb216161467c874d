"""What the commands of `kurabako repo` share: their options, opening the repository and locking it."""

from __future__ import annotations

import getpass
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.access import BEFORE, Access
from appliance.repository import Repository
from appliance.text import T

RepoOption = Annotated[
    str,
    typer.Option(
        "--repo", "-r", help=T("The repository: /path or s3:https://host/bucket/prefix ($RESTIC_REPOSITORY).").message
    ),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option("--password-file", "-p", help=T("A file that holds the password ($RESTIC_PASSWORD_FILE).").message),
]
NoLockOption = Annotated[
    bool,
    typer.Option("--no-lock", help=T("Take no lock: for places that cannot be written.").message),
]


def remember(context: typer.Context, repo: str, password_file: Path | None) -> None:
    """Keeps what was said before the command, as in `kurabako repo -r /path snapshots`."""
    context.meta[BEFORE] = (repo, password_file)


@contextmanager
def opened(
    context: typer.Context,
    repo: str,
    password_file: Path | None,
    *,
    lock: bool = True,
    exclusive: bool = False,
) -> Iterator[Repository]:
    """The repository, open and with a lock. Raises `StorageError` and what opening and locking raise."""
    access = Access.of(context, repo, password_file)
    storage = access.storage()
    try:
        repository = Repository.open(storage, access.password())
        with locked(repository, exclusive=exclusive) if lock else nullcontext():
            yield repository
    finally:
        storage.close()


@contextmanager
def locked(repository: Repository, *, exclusive: bool = False) -> Iterator[None]:
    """Holds a lock that others share, or an `exclusive` one.

    SIGTERM ends the process as Ctrl-C does, so that the lock is taken away.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with repository.lock(exclusive=True) if exclusive else repository.shared_lock():
        yield


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yields whether Ctrl-C (or SIGTERM) has been pressed; pressed again, it interrupts at once."""
    asked = threading.Event()

    def handle(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def this_host() -> str:
    return socket.gethostname()


def this_user() -> str:
    """The user's name; empty where the machine knows none (a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
