"""The record of evidence: what it holds can be verified, and no change of it goes unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.evidence import START, ChainBroken, EvidenceError, EvidenceLog, Head, lines_of, verify
from appliance.evidence.chain import LONGEST, follow

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
payloads = st.dictionaries(st.text(), values, max_size=3)


def chain(contents: list[dict[str, Any]]) -> tuple[list[bytes], Head]:
    lines, head = [], START
    for number, payload in enumerate(contents):
        record = follow(head, NOW + timedelta(minutes=number), "test", payload)
        lines.append(record.line())
        head = record.head
    return lines, head


@given(st.lists(payloads, max_size=6))
def test_what_was_written_verifies(contents: list[dict[str, Any]]) -> None:
    lines, head = chain(contents)
    assert verify(lines) == verify(lines, head) == head
    assert [json.loads(line)["payload"] for line in lines] == contents


@settings(deadline=None)
@given(st.lists(payloads, min_size=2, max_size=5), st.data())
def test_any_altered_removed_reordered_or_inserted_entry_is_found(
    contents: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines, head = chain(contents)
    at = data.draw(st.integers(0, len(lines) - 1))
    forged = list(lines)
    match data.draw(st.sampled_from(["alter", "remove", "reorder", "insert", "cut off", "append"])):
        case "alter":
            byte = data.draw(st.integers(0, len(lines[at]) - 1))
            flipped = lines[at][byte] ^ data.draw(st.integers(1, 255))
            forged[at] = lines[at][:byte] + bytes([flipped]) + lines[at][byte + 1 :]
            first = at
        case "remove":
            del forged[at]
            first = at
        case "reorder":
            other = data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != at))
            forged[at], forged[other] = forged[other], forged[at]
            first = min(at, other)
        case "insert":
            forged.insert(at, lines[data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != at))])
            first = at
        case "cut off":
            del forged[at:]
            first = at
        case _:
            forged.append(lines[at])
            first = len(lines)
    with pytest.raises(ChainBroken) as broken:
        verify(forged, head)
    assert broken.value.sequence == first + 1, "the first entry that does not fit is named"


def test_a_record_that_was_rewritten_as_a_whole_is_told_by_a_head_that_was_noted_before() -> None:
    _, head = chain([{"used": 1}, {"used": 2}])
    rewritten, _ = chain([{"used": 1}, {"used": 1}])
    verify(rewritten)
    with pytest.raises(ChainBroken):
        verify(rewritten, head)
    longer, _ = chain([{"used": 1}, {"used": 2}, {"used": 3}])
    verify(longer, head)


def test_a_stranger_can_verify_an_entry_with_sha256_alone() -> None:
    line = chain([{"name": "蔵箱", "used": 5}])[0][0]
    entry = json.loads(line)
    said = entry.pop("hash")
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(canonical).hexdigest() == said


def test_the_log_keeps_what_it_was_told_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "evidence.jsonl"
    assert EvidenceLog(path, lambda: NOW).verify() == START, "no record yet"
    first = EvidenceLog(path, lambda: NOW).add("usage", {"used_bytes": 1})
    second = EvidenceLog(path, lambda: NOW).add("usage", {"used_bytes": 2})
    assert (first.sequence, second.sequence, second.previous) == (1, 2, first.hash)
    assert EvidenceLog(path, lambda: NOW).verify() == second.head
    assert second.at == NOW
    assert path.stat().st_mode & 0o007 == 0, "not for everybody's eyes"


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_torn_last_line_costs_nothing_that_was_written(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("log") / "evidence.jsonl"
    log = EvidenceLog(path, lambda: NOW)
    kept = [log.add("test", {"n": n}) for n in range(2)]
    whole = path.read_bytes()
    torn = follow(kept[-1].head, NOW, "test", {"n": 2}).line()
    path.write_bytes(whole + torn[: data.draw(st.integers(0, len(torn) - 1))])
    assert log.verify() == kept[-1].head
    after = log.add("test", {"n": 3})
    assert log.verify() == after.head
    assert path.read_bytes() == whole + after.line()


def test_a_false_last_entry_is_marked_and_the_record_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, lambda: NOW)
    log.add("usage", {"used_bytes": 99})
    log.add("usage", {"used_bytes": 100})
    forged = path.read_bytes().replace(b"100", b"900")
    path.write_bytes(forged)
    added = [log.add("usage", {"used_bytes": 101}).sequence for _ in range(2)]
    assert added == [4, 5]
    assert path.read_bytes().startswith(forged), "what was found stays"
    with pytest.raises(ChainBroken, match=r"entry 2.*marked it.*3 entries after it") as broken:
        log.verify()
    assert broken.value.sequence == 2
    lines = path.read_bytes().splitlines(keepends=True)
    again = [*lines[:3], lines[3].replace(b"101", b"999"), lines[4]]
    with pytest.raises(ChainBroken) as second:
        verify(again)
    assert second.value.sequence == 4, "what is not marked is told first"


@pytest.mark.parametrize("rewritten", [False, True], ids=["cut off", "rewritten with a hash of its own"])
def test_a_record_that_ends_before_what_is_known_is_marked(tmp_path: Path, rewritten: bool) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, lambda: NOW)
    first = log.add("usage", {"used_bytes": 1})
    known = log.add("usage", {"used_bytes": 2}).head
    other = follow(first.head, NOW, "usage", {"used_bytes": 1}).line() if rewritten else b""
    path.write_bytes(first.line() + other)
    assert log.add("usage", {"used_bytes": 3}, known).sequence == 3 + rewritten
    assert log.add("usage", {"used_bytes": 4}, known).sequence == 4 + rewritten
    with pytest.raises(ChainBroken, match="cut off") as broken:
        log.verify()
    assert broken.value.sequence == 2 + rewritten


def test_entries_of_one_kind_are_found_beside_false_ones(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    log = EvidenceLog(path, lambda: NOW)
    for number in range(4):
        log.add("even" if number % 2 == 0 else "odd", {"number": number})
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":8'))
    assert [record.payload["number"] for record in log.records("even")] == [0]
    assert [record.payload["number"] for record in log.records("odd")] == [1, 3]


def test_an_entry_has_a_bound(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path / "evidence.jsonl", lambda: NOW)
    with pytest.raises(ValueError, match="longer"):
        log.add("test", {"text": "x" * LONGEST})
    largest = log.add("test", {"text": "x" * (LONGEST - 400)})
    log.add("test", {"text": "x" * (LONGEST - 400)})
    assert largest.sequence == 1
    assert log.verify().sequence == 2


def test_an_export_is_the_record_and_overwrites_nothing(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path / "evidence.jsonl", lambda: NOW)
    head = log.add("test", {}).head
    target = tmp_path / "export.jsonl"
    assert log.export(target, head) == head
    with target.open("rb") as file:
        assert verify(file, head) == head
    with pytest.raises(EvidenceError):
        log.export(target)
    with pytest.raises(EvidenceError):
        log.export(tmp_path / "nowhere" / "export.jsonl")


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from appliance.evidence import EvidenceLog
log = EvidenceLog(Path(sys.argv[1]), lambda: datetime(2026, 11, 20, tzinfo=UTC))
for number in range(int(sys.argv[2])):
    print(log.add("test", {"number": number}).sequence, flush=True)
"""


def test_several_processes_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    command = [sys.executable, "-c", WRITER, str(path), "25"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    told = [int(line) for writer in writers for line in writer.communicate(timeout=60)[0].split()]
    assert sorted(told) == list(range(1, 76))
    assert EvidenceLog(path, lambda: NOW).verify().sequence == 75


def test_what_was_added_survives_kill(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "100000"], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(20)]
    os.kill(writer.pid, 9)
    writer.communicate(timeout=60)
    log = EvidenceLog(path, lambda: NOW)
    assert log.verify().sequence >= told[-1] == 20
    assert log.add("test", {}).sequence == log.verify().sequence


def test_a_file_that_is_no_record_is_read_no_further_than_an_entry(tmp_path: Path) -> None:
    file = tmp_path / "strange"
    file.write_bytes(b"x" * (5 * LONGEST))
    with file.open("rb") as opened:
        with pytest.raises(ChainBroken) as broken:
            verify(lines_of(opened))
        assert opened.tell() == LONGEST + 1
    assert broken.value.sequence == 1
