"""Security descriptors, to the byte as stock restic on Windows writes them into `windows.security_descriptor`."""

from __future__ import annotations

import struct
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sources.interface import Entry, EntryType
from appliance_smb import requests, wire
from appliance_smb.metadata import describing, is_described
from appliance_smb.reading import Known
from appliance_smb.security import descriptor_of, has_rights, parts_of, to_be_set
from appliance_smb.source import _describe

# Values of a Windows machine in restic's own tests (internal/fs, sd_windows): of a file with inherited rights, and of
# one with a list for auditing.
INHERITED = (
    "AQAUvBQAAAAwAAAAAAAAAEwAAAABBQAAAAAABRUAAACIn1iuVqCC6sy9JqvqAwAAAQUAAAAAAAUVAAAAiJ9YrlaggurMvSarAQIAAAIAfAAEAAAAAAAkAKkAEgAB"
    "BQAAAAAABRUAAACIn1iuVqCC6sy9JqvtAwAAABAUAP8BHwABAQAAAAAABRIAAAAAEBgA/wEfAAECAAAAAAAFIAAAACACAAAAECQA/wEfAAEFAAAAAAAFFQAAAIif"
    "WK5WoILqzL0mq+oDAAA="
)
AUDITED = (
    "AQAUvBQAAAAwAAAA7AAAAEwAAAABBQAAAAAABRUAAAAvr7t03PyHGk2FokNHCAAAAQUAAAAAAAUVAAAAiJ9YrlaggurMvSarAQIAAAIAoAAFAAAAAAAkAP8BHwAB"
    "BQAAAAAABRUAAAAvr7t03PyHGk2FokNHCAAAAAAkAKkAEgABBQAAAAAABRUAAACIn1iuVqCC6sy9JqvtAwAAABAUAP8BHwABAQAAAAAABRIAAAAAEBgA/wEfAAEC"
    "AAAAAAAFIAAAACACAAAAECQA/wEfAAEFAAAAAAAFFQAAAIifWK5WoILqzL0mq+oDAAACAHQAAwAAAAKAJAC/AQIAAQUAAAAAAAUVAAAAL6+7dNz8hxpNhaJDtgQA"
    "AALAJAC/AQMAAQUAAAAAAAUVAAAAL6+7dNz8hxpNhaJDPgkAAAJAJAD/AQ8AAQUAAAAAAAUVAAAAL6+7dNz8hxpNhaJDtQQAAA=="
)


@pytest.mark.parametrize("text", [INHERITED, AUDITED])
def test_what_a_server_tells_is_written_as_restic_writes_it(text: str) -> None:
    entry = Entry(b"file", EntryType.FILE, generic_attributes=wire.windows_attributes(wire.Facts(1, 2, 3, 4, 5, 32)))
    _describe(entry, Known(security=b64decode(text)))
    assert entry.generic_attributes == {
        "windows.creation_time": {"LowDateTime": 1, "HighDateTime": 0},
        "windows.file_attributes": 32,
        "windows.security_descriptor": text,
    }
    assert descriptor_of(entry.generic_attributes) == b64decode(text)


def test_its_parts() -> None:
    plain = requests.OWNER | requests.GROUP | requests.DACL
    assert parts_of(b64decode(INHERITED)) == plain
    assert parts_of(b64decode(AUDITED)) == plain | requests.SACL
    entry = Entry(b"file", EntryType.FILE, generic_attributes={"windows.security_descriptor": AUDITED})
    commands = [message.command for message in describing(entry)]
    sets = [requests.SET_INFO] * 4
    assert commands == [*sets, requests.QUERY_INFO, requests.CLOSE], "times and attributes, rights, owner, auditing"


def test_the_marks_of_inherited_lists_are_asked_to_be_kept() -> None:
    before, after = b64decode(INHERITED), to_be_set(b64decode(INHERITED))
    assert after[4:] == before[4:] and after[:2] == before[:2]
    assert int.from_bytes(after[2:4], "little") == int.from_bytes(before[2:4], "little") | 0x0100 | 0x0200


EVERYONE, GUESTS = bytes.fromhex("010100000000000100000000"), bytes.fromhex("01020000000000052000000022020000")


def descriptor(*entries: bytes, owner: bytes = EVERYONE, present: bool = True) -> bytes:
    body = b"".join(entries)
    dacl = struct.pack("<BBHHH", 2, 0, 8 + len(body) + 4, len(entries), 0) + body + bytes(4) if present else b""
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 0, 0, 20 + len(owner) if present else 0) + owner + dacl


def entry(kind: int, mask: int, sid: bytes) -> bytes:
    return struct.pack("<BBHI", kind, 0, 8 + len(sid), mask) + sid


ALLOW, OTHER, DENY = entry(0, 3, EVERYONE), entry(0, 1, GUESTS), entry(1, 2, GUESTS)


@pytest.mark.parametrize(
    ("told", "is_same"),
    [
        (descriptor(DENY, ALLOW, OTHER), True),
        (descriptor(DENY, OTHER, ALLOW), True),
        (descriptor(DENY, ALLOW, OTHER, ALLOW, DENY), True),
        (descriptor(ALLOW, DENY, OTHER), False),
        (descriptor(DENY, ALLOW), False),
        (descriptor(ALLOW, OTHER), False),
        (descriptor(DENY, ALLOW, OTHER, owner=GUESTS), False),
        (descriptor(present=False), False),
        (descriptor(), False),
    ],
)
def test_rights_are_the_same_when_they_allow_and_deny_the_same(told: bytes, is_same: bool) -> None:
    assert has_rights(told, descriptor(DENY, ALLOW, OTHER)) is is_same
    assert not has_rights(descriptor(present=False), descriptor()), "everybody may everything; nobody may anything"


@given(st.lists(st.binary(max_size=120), min_size=8, max_size=8))
def test_any_answer_to_what_was_described_is_judged(answers: list[bytes]) -> None:
    told = Entry(b"file", EntryType.FILE, xattrs=((b"A", b"1"),))
    told.generic_attributes = {"windows.security_descriptor": AUDITED}
    assert is_described(told, [memoryview(answer) for answer in answers]) is False


@given(st.one_of(st.none(), st.integers(), st.text(), st.binary(max_size=30).map(lambda data: data.hex())))
def test_what_is_no_descriptor_is_passed_over(value: object) -> None:
    entry = Entry(b"file", EntryType.FILE, generic_attributes={"windows.security_descriptor": value})
    assert descriptor_of(entry.generic_attributes) == b"" or len(descriptor_of(entry.generic_attributes)) >= 20
    describing(entry)
