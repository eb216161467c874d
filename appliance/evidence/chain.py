"""The hash chain: one JSON record per line, each carrying the SHA-256 of the one before it.

A line is canonical JSON (names sorted, no spaces, ASCII with escapes) with `at`, `hash`, `kind`, `payload`, `previous`
and `sequence`, and ends with a line feed. `hash` is the SHA-256 of the same object without `hash`, in its canonical
form; `previous` is the `hash` of the record before, for the first one sixty-four zeros. So any program with SHA-256
can verify a record. Who holds the last hash of a record (its head) can also tell whether its end was cut off or all of
it rewritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from appliance.errors import KurabakoError
from appliance.text import T, Text

LONGEST = 64 * 1024
"""Bytes of the longest line."""


@dataclass(frozen=True)
class Head:
    """Where a record ends: how many entries it has, and the hash of the last."""

    sequence: int
    hash: str


BREAK = "evidence.broken"
"""The kind of the entry with which the box marks that the record was tampered with."""

START = Head(0, "0" * 64)
"""The head of a record without entries."""


@dataclass(frozen=True)
class Record:
    """One entry: what `kind` of thing happened at `at` (UTC), and its particulars as JSON values."""

    sequence: int
    at: datetime
    kind: str
    payload: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)

    def line(self) -> bytes:
        """The entry as it stands in the file."""
        return _canonical({**_content(self), "hash": self.hash}) + b"\n"


class ChainBroken(KurabakoError):
    """A record is not as it was written. `sequence` is the first entry that does not fit, counted from 1."""

    code = "evidence.broken"

    def __init__(self, sequence: int, why: Text) -> None:
        super().__init__(
            T("The record is broken at entry {sequence}: {why}.", sequence=sequence, why=why),
            safe=T("The {count} entries before it are as they were written.", count=sequence - 1),
            todo=T("Compare it with a copy that was exported earlier."),
        )
        self.sequence = sequence
        self.why = why

    def noticed(self, after: int) -> ChainBroken:
        """The same break as one that the box marked; `after` entries behind it are as they were written."""
        return ChainBroken(
            self.sequence,
            T("{why}; the box marked it, and all {count} entries after it are sound", why=self.why, count=after),
        )


def follow(head: Head, at: datetime, kind: str, payload: Mapping[str, Any]) -> Record:
    """The entry that comes after `head`. Raises `ValueError` for a payload that is no JSON or too large."""
    record = Record(head.sequence + 1, at.astimezone(UTC), kind, payload, head.hash, "")
    record = Record(record.sequence, record.at, kind, payload, head.hash, _hash(record))
    if len(record.line()) > LONGEST:
        raise ValueError(f"an entry is longer than {LONGEST} bytes")
    return record


def read_record(line: bytes, after: Head) -> Record:
    """The entry that stands in `line` and follows `after`. Raises `ChainBroken` when it does not."""
    sequence = after.sequence + 1
    record = _parse(line)
    if record is None or record.line() != line:
        raise ChainBroken(sequence, T("it is not an entry as it is written"))
    if record.sequence != sequence:
        raise ChainBroken(sequence, T("an entry with the number {found} stands there", found=record.sequence))
    if record.hash != _hash(record):
        raise ChainBroken(sequence, T("its content is not what its hash says"))
    if record.previous != after.hash:
        raise ChainBroken(sequence, T("it does not follow from the entry before it"))
    return record


def mark_of(line: bytes, sequence: int, why: Text, at: datetime) -> Record:
    """The entry that marks `line`, which stands as entry `sequence` and is not what it should be: the chain goes on."""
    found = _false_head(line, sequence)
    return follow(found, at, BREAK, {"entry": sequence, "found": found.hash, "why": str(why)})


def _false_head(line: bytes, sequence: int) -> Head:
    return Head(sequence, hashlib.sha256(line).hexdigest())


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that may be anybody's: none is read further than an entry may be long."""
    return iter(lambda: file.readline(LONGEST + 1), b"")


def read_alone(line: bytes) -> Record:
    """The entry that stands in `line`, whatever came before it. Raises `ChainBroken` when it was altered."""
    record = _parse(line)
    after = Head(record.sequence - 1, record.previous) if record is not None else START
    return read_record(line, after)


def verify(
    lines: Iterable[bytes], expected: Head | None = None, on_entry: Callable[[Head], None] = lambda _: None
) -> Head:
    """The head of a record whose every entry was verified; `on_entry` is told of each.

    With `expected`, its entry must stand there: nothing up to it was cut off or rewritten. Raises `ChainBroken`, for a
    break that the box marked only after everything behind it was verified too.
    """
    head = START
    met = expected is None or expected == START
    marked: ChainBroken | None = None
    false: tuple[bytes, ChainBroken] | None = None
    for line in lines:
        if false is not None:
            record = _mark(line, *false)
            marked, false = marked or false[1], None
        else:
            try:
                record = read_record(line, head)
            except ChainBroken as error:
                if not line.endswith(b"\n"):
                    raise
                false = line, error
                continue
            if record.kind == BREAK:
                marked = marked or ChainBroken(record.sequence, T("entries that stood before it were cut off"))
        head = record.head
        on_entry(head)
        if expected is not None and head.sequence == expected.sequence:
            met = head.hash == expected.hash
            if not met:
                raise ChainBroken(head.sequence, T("it is not the entry that was expected"))
    if false is not None:
        raise false[1]
    if marked is not None:
        raise marked.noticed(head.sequence - marked.sequence)
    if expected is not None and not met:
        raise ChainBroken(head.sequence + 1, T("the record ends before the entry {last}", last=expected.sequence))
    return head


def _mark(line: bytes, false: bytes, error: ChainBroken) -> Record:
    """The entry in `line` that marks the false one before it. Raises that one's `error` when it is none."""
    try:
        record = read_record(line, _false_head(false, error.sequence))
    except ChainBroken:
        raise error from None
    if record.kind != BREAK:
        raise error
    return record


def _parse(line: bytes) -> Record | None:
    try:
        data = json.loads(line)
        return Record(
            int(data["sequence"]),
            datetime.fromisoformat(data["at"]),
            str(data["kind"]),
            dict(data["payload"]),
            str(data["previous"]),
            str(data["hash"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _content(record: Record) -> dict[str, Any]:
    return {
        "at": record.at.isoformat(),
        "kind": record.kind,
        "payload": record.payload,
        "previous": record.previous,
        "sequence": record.sequence,
    }


def _hash(record: Record) -> str:
    return hashlib.sha256(_canonical(_content(record))).hexdigest()


def _canonical(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")
