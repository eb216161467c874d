"""The state's operations. Every write is on the disk when it returns (WAL, synchronous=FULL)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.sources.interface import FoundSource
from appliance.state.codec import source_from_json, source_to_json, to_micros, to_moment
from appliance.state.database import StateError, open_database
from appliance.state.model import (
    Designation,
    DirectiveRecord,
    PackRecord,
    SeenSource,
    SlotOutcome,
    SlotRecord,
    TrafficRecord,
    UsageRecord,
)
from appliance.status.model import JobKind, JobResult, Outcome
from appliance.text import Text

__all__ = ["State", "StateError"]

KEPT = 2000
"""How many rows each history keeps: years of a daily box, and never a full disk."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class State:
    """The box's memory in the SQLite file `path`. Any number of threads and processes may use it at once.

    Opening makes the file when there is none. A damaged file never stops the box: it is set aside, a new one is
    begun, and `notice` says so. Operations raise `StateError` when the disk does not let them.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection, self._notice = open_database(path, clock)

    @property
    def notice(self) -> Text | None:
        """What a person should know about how the memory was found; None when all was well."""
        return self._notice

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # Sources

    def designate(self, source: FoundSource, at: datetime) -> None:
        """Remembers that `source` is to be backed up; designating it again renews the facts, not the moment."""
        self._write(
            "INSERT INTO designations VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET source = excluded.source",
            (source.id, source_to_json(source), to_micros(at)),
        )

    def undesignate(self, source_id: str) -> bool:
        """Forgets a designation; False when there was none."""
        return self._write("DELETE FROM designations WHERE id = ?", (source_id,)) > 0

    def designations(self) -> tuple[Designation, ...]:
        """What is designated, in the order it was."""
        rows = self._read("SELECT source, at FROM designations ORDER BY at, id")
        return tuple(Designation(source_from_json(source), to_moment(at)) for source, at in rows)

    def is_designated(self, source_id: str) -> bool:
        return bool(self._read("SELECT 1 FROM designations WHERE id = ?", (source_id,)))

    def saw(self, source: FoundSource, at: datetime) -> None:
        """Remembers a detected source and its facts of now."""
        self._write(
            "INSERT INTO sources VALUES (?1, ?2, ?3, ?3)"
            " ON CONFLICT (id) DO UPDATE SET source = excluded.source, last_at = excluded.last_at",
            (source.id, source_to_json(source), to_micros(at)),
        )

    def sources(self) -> tuple[SeenSource, ...]:
        """Every source ever seen and not forgotten, by id."""
        rows = self._read("SELECT source, first_at, last_at FROM sources ORDER BY id")
        return tuple(
            SeenSource(source_from_json(source), to_moment(first), to_moment(last)) for source, first, last in rows
        )

    def forget_source(self, source_id: str) -> None:
        """Forgets that a source was seen; a designation of it stays."""
        self._write("DELETE FROM sources WHERE id = ?", (source_id,))

    # Jobs

    def add_result(self, result: JobResult) -> None:
        """Remembers how a job ended. A result of the same job id replaces it, so reporting twice does no harm.

        The newest `KEPT` are kept, and the newest of every kind and subject and outcome for ever.
        """
        row = (
            result.id,
            result.kind.value,
            result.subject,
            to_micros(result.started_at),
            to_micros(result.ended_at),
            result.outcome.value,
            json.dumps(result.summary.to_json()),
            result.bytes_done,
        )
        with self._transaction() as connection:
            connection.execute("DELETE FROM results WHERE id = ?", (result.id,))
            connection.execute(
                "INSERT INTO results (id, kind, subject, started_at, ended_at, outcome, summary, bytes_done)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.execute(
                "DELETE FROM results WHERE number <= (SELECT max(number) FROM results) - ?"
                " AND number NOT IN (SELECT max(number) FROM results GROUP BY kind, subject, outcome)",
                (KEPT,),
            )

    def results(
        self, *, kind: JobKind | None = None, subject: str | None = None, limit: int = 20
    ) -> tuple[JobResult, ...]:
        """The newest results, newest first, of one kind or subject when given."""
        rows = self._read(
            "SELECT id, kind, subject, started_at, ended_at, outcome, summary, bytes_done FROM results"
            " WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR subject = ?2) ORDER BY number DESC LIMIT ?3",
            (kind.value if kind else None, subject, limit),
        )
        return tuple(_result(row) for row in rows)

    def last_results(self) -> tuple[JobResult, ...]:
        """The newest result of every kind, subject and outcome, newest first."""
        rows = self._read(
            "SELECT id, kind, subject, started_at, ended_at, outcome, summary, bytes_done FROM results"
            " WHERE number IN (SELECT max(number) FROM results GROUP BY kind, subject, outcome) ORDER BY number DESC"
        )
        return tuple(_result(row) for row in rows)

    # Slots

    def record_slot(self, slot: SlotRecord) -> None:
        """Remembers what became of a planned run; a later word on the same slot replaces the earlier one."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    slot.name,
                    to_micros(slot.planned_at),
                    slot.outcome.value,
                    slot.job_id,
                    slot.cause,
                    slot.clause,
                    slot.overran,
                ),
            )
            connection.execute(
                "DELETE FROM slots WHERE name = ?1 AND planned_at <="
                " (SELECT planned_at FROM slots WHERE name = ?1 ORDER BY planned_at DESC LIMIT 1 OFFSET ?2)",
                (slot.name, KEPT),
            )

    def slots(self, name: str, *, limit: int = 20) -> tuple[SlotRecord, ...]:
        """The newest slots of a schedule, newest first."""
        rows = self._read(
            "SELECT planned_at, outcome, job_id, cause, clause, overran FROM slots WHERE name = ?"
            " ORDER BY planned_at DESC LIMIT ?",
            (name, limit),
        )
        return tuple(SlotRecord(name, to_moment(at), SlotOutcome(outcome), *rest) for at, outcome, *rest in rows)

    def slots_since(self, since: datetime) -> tuple[SlotRecord, ...]:
        """The slots of all schedules planned from this moment on, newest first."""
        rows = self._read(
            "SELECT name, planned_at, outcome, job_id, cause, clause, overran FROM slots WHERE planned_at >= ?"
            " ORDER BY planned_at DESC, name",
            (to_micros(since),),
        )
        return tuple(SlotRecord(name, to_moment(at), SlotOutcome(outcome), *rest) for name, at, outcome, *rest in rows)

    # Usage

    def add_usage(self, usage: UsageRecord) -> None:
        """Remembers how much was stored at a moment."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO usages VALUES (?, ?, ?, ?, ?, ?)",
                (
                    to_micros(usage.at),
                    usage.used_bytes,
                    usage.objects,
                    usage.capacity_bytes,
                    usage.collected_bytes,
                    usage.unlisted_bytes,
                ),
            )
            connection.execute(
                "DELETE FROM usages WHERE at <= (SELECT at FROM usages ORDER BY at DESC LIMIT 1 OFFSET ?)", (KEPT,)
            )

    def usages(self, *, limit: int = 1) -> tuple[UsageRecord, ...]:
        """The newest measurements, newest first."""
        rows = self._read(
            "SELECT at, used_bytes, objects, capacity_bytes, collected_bytes, unlisted_bytes FROM usages"
            " ORDER BY at DESC LIMIT ?",
            (limit,),
        )
        return tuple(UsageRecord(to_moment(at), *rest) for at, *rest in rows)

    def add_traffic(self, month: str, bucket: str, sent: int, received: int) -> None:
        """Adds to what went to a bucket and came from it in a month, in bytes."""
        self._write(
            "INSERT INTO traffic VALUES (?, ?, ?, ?) ON CONFLICT (month, bucket) DO UPDATE"
            " SET sent = sent + excluded.sent, received = received + excluded.received",
            (month, bucket, sent, received),
        )

    def traffic(self) -> tuple[TrafficRecord, ...]:
        """What went to each bucket and came from it, month by month, the newest first."""
        rows = self._read("SELECT month, bucket, sent, received FROM traffic ORDER BY month DESC, bucket LIMIT 240")
        return tuple(TrafficRecord(*row) for row in rows)

    # Packs that were read back

    def packs_of(self, place: str) -> dict[bytes, PackRecord]:
        """What is remembered of the packs in a place, by id."""
        rows = self._read("SELECT pack, seen_at, verified_at, damaged FROM verified_packs WHERE place = ?", (place,))
        return {
            pack: PackRecord(to_moment(seen), to_moment(verified) if verified is not None else None, bool(damaged))
            for pack, seen, verified, damaged in rows
        }

    def see_packs(self, place: str, packs: Collection[bytes], at: datetime) -> None:
        """Remembers which packs are in a place; those that are gone are forgotten, and all of other places."""
        with self._transaction() as connection:
            known = connection.execute("SELECT place, pack FROM verified_packs").fetchall()
            gone = [row for row in known if row[0] != place or row[1] not in packs]
            connection.executemany("DELETE FROM verified_packs WHERE place = ? AND pack = ?", gone)
            connection.executemany(
                "INSERT OR IGNORE INTO verified_packs VALUES (?, ?, ?, NULL, 0)",
                ((place, pack, to_micros(at)) for pack in packs),
            )

    def read_back(self, place: str, pack: bytes, at: datetime, *, whole: bool) -> None:
        """Remembers that a pack was read back, and whether it was whole."""
        self._write(
            "UPDATE verified_packs SET verified_at = ?, damaged = ? WHERE place = ? AND pack = ?",
            (to_micros(at), int(not whole), place, pack),
        )

    # What the cloud protects

    def protected_until(self, place: str) -> dict[tuple[str, str], datetime]:
        """Until when the versions in a place are protected, by key and version id, as far as is known."""
        rows = self._read("SELECT key, version, until FROM protected WHERE place = ?", (place,))
        return {(key, version): to_moment(until) for key, version, until in rows}

    def protection_over(self, place: str, at: datetime) -> tuple[int, datetime | None]:
        """How many versions that are needed in a place are protected no longer than `at`, and the earliest's date."""
        found = self._read(
            "SELECT count(*), min(until) FROM protected WHERE place = ? AND needed AND until <= ?"
            " AND (place, key) NOT IN (SELECT place, key FROM let_go)",
            (place, to_micros(at)),
        )
        count, first = found[0]
        return count, to_moment(first) if count else None

    def note_protected(
        self,
        place: str,
        dates: Mapping[tuple[str, str], datetime],
        let_go: Collection[str],
        going: Collection[tuple[str, str]],
    ) -> None:
        """Remembers these dates, and that of what the box deleted only `let_go` is still there; and nothing else.

        All are needed but those of `going`.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM protected")
            connection.executemany(
                "INSERT INTO protected VALUES (?, ?, ?, ?, ?)",
                ((place, *name, to_micros(until), name not in going) for name, until in dates.items()),
            )
            connection.execute("DELETE FROM let_go")
            connection.executemany("INSERT INTO let_go VALUES (?, ?)", ((place, key) for key in let_go))

    def let_go(self, place: str) -> frozenset[str]:
        """The keys that the box itself deleted in a place, and that may be there as older versions."""
        return frozenset(key for (key,) in self._read("SELECT key FROM let_go WHERE place = ?", (place,)))

    def note_let_go(self, place: str, key: str) -> None:
        """Remembers that the box is about to delete a key."""
        self._write("INSERT OR IGNORE INTO let_go VALUES (?, ?)", (place, key))

    # Directives

    def add_directive(self, directive: DirectiveRecord) -> None:
        """Remembers a directive; one with this number that is there already stays as it is."""
        self._write(
            "INSERT OR IGNORE INTO directives VALUES (?, ?, ?, ?)",
            (directive.number, directive.document, to_micros(directive.received_at), directive.way),
        )

    def directives(self) -> tuple[DirectiveRecord, ...]:
        """Every directive that was taken, by number."""
        rows = self._read("SELECT number, document, received_at, way FROM directives ORDER BY number")
        return tuple(DirectiveRecord(number, document, to_moment(at), way) for number, document, at, way in rows)

    # Anything else that has to be remembered, as JSON

    def set_value(self, key: str, value: Any) -> None:
        """Remembers a JSON value under a name."""
        self._write('INSERT OR REPLACE INTO "values" VALUES (?, ?)', (key, json.dumps(value)))

    def value(self, key: str, default: Any = None) -> Any:
        rows = self._read('SELECT value FROM "values" WHERE key = ?', (key,))
        return json.loads(rows[0][0]) if rows else default

    def _read(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise StateError.of(self._path, error) from error

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        """The number of rows changed."""
        with self._transaction() as connection:
            return connection.execute(statement, values).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StateError.of(self._path, error) from error


def _result(row: tuple[Any, ...]) -> JobResult:
    job, kind, subject, started_at, ended_at, outcome, summary, bytes_done = row
    return JobResult(
        id=job,
        kind=JobKind(kind),
        subject=subject,
        started_at=to_moment(started_at),
        ended_at=to_moment(ended_at),
        outcome=Outcome(outcome),
        summary=Text.from_json(json.loads(summary)),
        bytes_done=bytes_done,
    )
