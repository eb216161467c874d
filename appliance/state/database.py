"""The database file: opened, checked, brought up to date; a damaged one is set aside so that the box goes on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from appliance.errors import KurabakoError
from appliance.state.schema import MIGRATIONS
from appliance.text import T, Text

BUSY_SECONDS = 15.0
"""How long a write waits for another process's; each takes milliseconds, a disk that wakes up some seconds."""


class StateError(KurabakoError):
    """The box's memory cannot be read or written."""

    code = "state.failed"

    @classmethod
    def of(cls, path: Path, error: Exception) -> StateError:
        return cls(
            T("The box's memory {path} cannot be used: {reason}.", path=str(path), reason=str(error).rstrip(".")),
            safe=T("The backups themselves do not depend on it and are unharmed."),
            todo=T("Check that the disk with this folder is writable and not full, then start the box again."),
        )


def open_database(path: Path, clock: Callable[[], datetime]) -> tuple[sqlite3.Connection, Text | None]:
    """A connection to the database at `path`, made when there is none, and what a person should know about it.

    A file that is damaged, or was written by a later version, is renamed and a new one is begun. `StateError` when
    the folder cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_for_the_owner(path)
        try:
            return _open(path), None
        except _Unusable as unusable:
            aside = _set_aside(path, clock())
            return _open(path), Text(unusable.what.message, {"path": str(path), "aside": str(aside)})
    except (OSError, sqlite3.Error, _Unusable) as error:
        raise StateError.of(path, error) from error


def _make_for_the_owner(path: Path) -> None:
    """What root makes in the folder of the box's user is that user's, or the service could not write it.

    SQLite gives the files that it makes beside the database the database's owner by itself.
    """
    if os.geteuid() == 0 and not path.exists():
        owner = path.parent.stat()
        path.touch(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)


class _Unusable(Exception):
    """The file is no database of ours; `what` says so to a person, its values still to be filled in."""

    def __init__(self, what: Text) -> None:
        super().__init__(what.message)
        self.what = what


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            if sound:
                _migrate(connection)
        except sqlite3.OperationalError as error:
            # Malformed tables are reported as operational too; a lock, a full disk or a missing right are not damage.
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            sound = False
        except sqlite3.DatabaseError:
            sound = False
        if not sound:
            raise _Unusable(
                T(
                    "The box's memory {path} was damaged. It was set aside as {aside} and a new one was begun: "
                    "please designate the sources again. The backups themselves are unharmed."
                )
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables up to date; writes nothing where they are, so that a full disk keeps no box from starting."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise _Unusable(
                T(
                    "The box's memory {path} was written by a later version of this software. It was set aside as "
                    "{aside} and a new one was begun: please designate the sources again. The backups themselves are "
                    "unharmed."
                )
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _set_aside(path: Path, now: datetime) -> Path:
    """Renames the database with its journal; returns the database's new name."""
    aside = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%S%f}Z")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
