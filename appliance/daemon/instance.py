"""Locks between the box's own processes on this machine.

They are `flock`s: the kernel drops them with the process that holds them, so a killed process leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance.errors import ExitCode, KurabakoError
from appliance.text import T, Text

_POLL = 0.1
"""Seconds between two looks at a lock that somebody else has."""


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


class VaultTurn:
    """This job's turn at the vault. A long one that only reads may let others go first."""

    def __init__(self, lock: int, waiting: int, sleep: Callable[[float], None]) -> None:
        self._lock = lock
        self._waiting = waiting
        self._sleep = sleep

    def is_wanted(self) -> bool:
        """Whether another job waits for it."""
        if not _try(self._waiting):
            return True
        fcntl.flock(self._waiting, fcntl.LOCK_UN)
        return False

    def let_others_go_first(self, cancelled: Callable[[], bool]) -> bool:
        """Gives the turn to who waits for it and takes it again when none does; False when `cancelled` meanwhile."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        while self.is_wanted() or not _try(self._lock):
            if cancelled():
                return False
            self._sleep(_POLL)
        _sign(self._lock)
        return True


@contextmanager
def vault_job(
    state_dir: Path,
    *,
    patience: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[VaultTurn]:
    """Holds the place of the one job on the vault; waits up to `patience` seconds for it, then `VaultBusy`."""
    with _lock_file(state_dir / "vault-job.lock") as lock, _lock_file(state_dir / "vault-job.waiting") as waiting:
        until = clock() + patience
        while not _try(lock):
            # Who waits shares this lock, so that whoever has the turn sees it.
            _try(waiting, fcntl.LOCK_SH)
            if clock() >= until or cancelled():
                raise VaultBusy(
                    T("Another job of this box is working on the vault (process {pid}).", pid=_holder(lock)),
                    safe=T("Nothing was changed."),
                    todo=T("Try again when it has ended; kurabako status shows what is running."),
                )
            sleep(_POLL)
        fcntl.flock(waiting, fcntl.LOCK_UN)
        _sign(lock)
        yield VaultTurn(lock, waiting, sleep)


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


def _try(lock: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(lock: int) -> None:
    """Writes down whose the lock is, for who waits to be told; held it is without, on a disk that is full."""
    with suppress(OSError):
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
