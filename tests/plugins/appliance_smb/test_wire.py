"""What servers answer, to the byte and however broken."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_smb.requests import create
from appliance_smb.wire import (
    Facts,
    encode_path,
    is_name,
    pack_eas,
    parse_eas,
    parse_link,
    parse_listing,
    parse_moment,
    parse_snapshots,
    unix_ns,
    windows_attributes,
)

NAMES = st.text(min_size=1, max_size=40, alphabet=st.characters(exclude_characters="\0/\\"))
FACTS = st.builds(
    Facts,
    **{time: st.integers(0, 2**62) for time in ("created", "accessed", "written", "changed")},
    size=st.integers(0, 2**63 - 1),
    attributes=st.integers(0, 2**32 - 1).map(lambda bits: bits & ~0x400),
    file_id=st.integers(0, 2**64 - 1),
    ea_size=st.integers(0, 2**32 - 1),
)
ATTRIBUTES = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name), st.binary(max_size=40)),
    min_size=1,
    max_size=5,
)


def listing(entries: list[tuple[str, Facts]]) -> bytes:
    """FileIdFullDirectoryInformation as a server writes it, [MS-FSCC] 2.4.18: entries aligned to 8 bytes."""
    written = b""
    for number, (name, facts) in enumerate(entries):
        raw = name.encode("utf-16-le", "surrogatepass")
        body = struct.pack(
            "<4qQQIII4xQ", *times(facts), facts.size, 0, facts.attributes, len(raw), facts.ea_size, facts.file_id
        )
        size = 8 + len(body) + len(raw)
        last = number == len(entries) - 1
        padding = 0 if last else -size % 8
        written += struct.pack("<II", 0 if last else size + padding, 0) + body + raw + bytes(padding)
    return written


def times(facts: Facts) -> tuple[int, int, int, int]:
    return facts.created, facts.accessed, facts.written, facts.changed


@given(st.lists(st.tuples(NAMES, FACTS), min_size=1, max_size=8))
def test_a_listing_comes_back(entries: list[tuple[str, Facts]]) -> None:
    expected = [(name.encode("utf-8", "surrogatepass"), facts) for name, facts in entries]
    assert list(parse_listing(listing(entries))) == expected


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "\U0001f5a5"])
def test_names_that_are_no_unicode_survive(name: str) -> None:
    """NTFS takes any 16-bit units as a name; an unpaired surrogate is one that UTF-8 proper does not have."""
    facts = Facts(1, 2, 3, 4, 5, 6)
    ((listed, _),) = parse_listing(listing([(name, facts)]))
    assert encode_path((listed,)) == name.encode("utf-16-le", "surrogatepass")


@given(st.binary(max_size=400))
def test_a_broken_listing_is_refused_or_stays_within_itself(buffer: bytes) -> None:
    try:
        for name, _ in parse_listing(buffer):
            assert len(name) <= 2 * len(buffer)
    except ValueError:
        pass


def test_a_listing_that_points_outside_is_refused() -> None:
    good = listing([("a", Facts(0, 0, 0, 0, 0, 0))])
    too_long = bytearray(good)
    struct.pack_into("<I", too_long, 60, 1000)
    for broken in (good[:-1], good[:40], b"", bytes(too_long)):
        with pytest.raises(ValueError, match="cut off"):
            list(parse_listing(broken))


@given(st.lists(NAMES, max_size=4))
def test_paths_come_back(names: list[str]) -> None:
    path = tuple(name.encode("utf-8", "surrogatepass") for name in names)
    assert encode_path(path).decode("utf-16-le", "surrogatepass") == "\\".join(names)


def test_names_that_would_lead_elsewhere() -> None:
    assert is_name("見積書.txt".encode())
    assert is_name(b"...")
    for name in (b"", b".", b"..", b"a/b", b"..\\etc", b"a\0b"):
        assert not is_name(name)


def test_times_and_attributes() -> None:
    assert unix_ns(116_444_736_000_000_001) == 100
    assert unix_ns(0) == 0, "unknown"
    created = (31_291_713 << 32) + 1_773_865_890
    assert windows_attributes(Facts(created, 0, 0, 0, 0, 0x21)) == {
        "windows.creation_time": {"LowDateTime": 1_773_865_890, "HighDateTime": 31_291_713},
        "windows.file_attributes": 0x21,
    }


@given(ATTRIBUTES)
def test_extended_attributes_come_back(attributes: list[tuple[bytes, bytes]]) -> None:
    assert parse_eas(pack_eas(attributes)) == attributes


@given(st.binary(max_size=200))
def test_broken_extended_attributes_are_refused_or_stay_within_themselves(buffer: bytes) -> None:
    try:
        for name, value in parse_eas(buffer):
            assert len(name) + len(value) <= len(buffer)
    except ValueError:
        pass


def snapshots(names: list[str], length: int | None = None) -> bytes:
    listed = b"".join(f"{name}\0".encode("utf-16-le") for name in names) + b"\0\0"
    return struct.pack("<3I", len(names), len(names), len(listed) if length is None else length) + listed


def test_earlier_states_are_listed() -> None:
    names = ["@GMT-2026.03.31-23.59.59", "@GMT-2026.03.01-00.00.00"]
    assert parse_snapshots(snapshots(names)) == names
    assert parse_snapshots(snapshots([])) == []
    assert parse_moment(names[0]) == datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(ValueError, match="cut off"):
        parse_snapshots(b"\0" * 11)


@given(st.binary(min_size=12, max_size=200))
def test_a_broken_list_of_earlier_states_stays_within_itself(buffer: bytes) -> None:
    assert sum(map(len, parse_snapshots(buffer))) <= len(buffer)


def test_an_earlier_state_is_asked_for_by_its_moment() -> None:
    """CREATE with the context `TWrp`, [MS-SMB2] 2.2.13.2.7: aligned to 8 bytes, and after the name."""
    for name in ("", "a", "abc", "名前"):
        body = create(name.encode("utf-16-le"), 1, moment=0x01DCC1A2B3C4D5E6).body
        at, length, context, size = struct.unpack_from("<HHII", body, 44)
        assert body[at - 64 : at - 64 + length].decode("utf-16-le") == name
        assert context % 8 == 0 and context >= at + length and context - 64 + size == len(body)
        following, tag_at, tag_length, data_at, data_length = struct.unpack_from("<IHHxxHI", body, context - 64)
        start = context - 64
        assert following == 0 and body[start + tag_at : start + tag_at + tag_length] == b"TWrp"
        assert struct.unpack("<Q", body[start + data_at : start + data_at + data_length]) == (0x01DCC1A2B3C4D5E6,)


def reparse(tag: int, substitute: str, shown: str, flags: bytes) -> bytes:
    one, two = substitute.encode("utf-16-le"), shown.encode("utf-16-le")
    body = struct.pack("<4H", 0, len(one), len(one), len(two)) + flags + one + two
    return struct.pack("<IHH", tag, len(body), 0) + body


@pytest.mark.parametrize(
    ("buffer", "target"),
    [
        (reparse(0xA000000C, "..\\書類", "..\\書類", b"\1\0\0\0"), "..\\書類"),
        (reparse(0xA0000003, "\\??\\D:\\data", "D:\\data", b""), "D:\\data"),
        (reparse(0xA0000003, "\\??\\D:\\data", "", b""), "D:\\data"),
        (struct.pack("<IHHI", 0xA000001D, 4 + 4, 0, 2) + b"../x", "../x"),
        (struct.pack("<IHH", 0x80000023, 0, 0), None),
    ],
)
def test_where_links_lead(buffer: bytes, target: str | None) -> None:
    assert parse_link(buffer) == (target.encode() if target else None)


@pytest.mark.parametrize(
    ("attributes", "tag", "link"),
    [
        (0x400, 0xA000000C, True),  # symbolic link
        (0x410, 0xA0000003, True),  # junction
        (0x420, 0x80000013, False),  # deduplicated: an ordinary file to us
        (0x420, 0x9000001A, False),  # a cloud service's
        (0x20, 0, False),
    ],
)
def test_what_counts_as_a_link(attributes: int, tag: int, link: bool) -> None:
    assert Facts(0, 0, 0, 0, 0, attributes, tag).is_link is link
