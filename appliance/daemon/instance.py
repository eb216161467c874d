"""Locks between the box's own processes on this machine.

They are `flock`s: the kernel drops them with the process that holds them, so a killed process leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text


class AlreadyRunning(KurabakoError):
    """Another daemon serves this box."""

    code = "daemon.already-running"


class VaultBusy(KurabakoError):
    """Another job of this box works on the vault."""

    code = "job.vault-busy"
    exit_code = ExitCode.LOCKED


class CannotLock(KurabakoError):
    """The lock file itself cannot be used."""

    code = "box.cannot-lock"


@contextmanager
def single_instance(run_dir: Path) -> Iterator[None]:
    """Holds the place of the one daemon of this box; raises `AlreadyRunning` when it is taken."""
    with _lock_file(run_dir / "daemon.lock") as lock:
        if not _try(lock):
            raise AlreadyRunning(
                T("Kurabako is already running (process {pid}).", pid=_holder(lock)),
                todo=T("To see what it does, type: kurabako status"),
            )
        _sign(lock)
        yield


@contextmanager
def vault_job(
    state_dir: Path,
    *,
    patience: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Holds the place of the one job on the vault; waits up to `patience` seconds for it, then `VaultBusy`."""
    with _lock_file(state_dir / "vault-job.lock") as lock:
        until = clock() + patience
        while not _try(lock):
            if clock() >= until or cancelled():
                raise VaultBusy(
                    T("Another job of this box is working on the vault (process {pid}).", pid=_holder(lock)),
                    safe=T("Nothing was changed."),
                    todo=T("Try again when it has ended; kurabako status shows what is running."),
                )
            sleep(0.1)
        _sign(lock)
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise CannotLock(
            T("The file {path} cannot be written: {why}.", path=str(path), why=why(error)),
            todo=T("Run the command as the user the box runs as (or as root), or set another folder in the settings."),
        ) from error
    try:
        yield lock
    finally:
        os.close(lock)


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(lock: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _holder(lock: int) -> str:
    return os.pread(lock, 20, 0).decode("ascii", "replace") or "?"


def why(error: OSError) -> Text:
    """The reason of an operating system error in a person's words, where there are better ones than the system's."""
    known: dict[type[OSError], Text] = {
        PermissionError: T("no permission"),
        FileNotFoundError: T("it is not there"),
        IsADirectoryError: T("it is a folder"),
        NotADirectoryError: T("a part of the path is not a folder"),
    }
    text = known.get(type(error))
    if text is not None:
        return text
    if error.errno == 28:
        return T("the disk is full")
    if error.errno == 30:
        return T("the disk is read-only")
    return Text("{message}", {"message": error.strerror or str(error)})
