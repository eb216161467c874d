"""Trees, names, times, snapshots: what is written is what was meant, and what Go would have written."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.repository import (
    DamagedData,
    Node,
    Snapshot,
    SnapshotSummary,
    Tree,
    decode_tree,
    encode_tree,
    encode_xattrs,
    format_time,
    from_datetime,
    go_mode,
    link_fields,
    parse_time,
    quote_name,
    to_datetime,
    unquote_name,
)
from appliance.repository.lock import LockFile, decode_lock
from appliance.repository.snapshot import decode_snapshot, encode_snapshot
from appliance.repository.tree import NODE_TYPES, is_valid_name
from tests.support.repository import TIME, dir_node, file_node

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
HEX_ID = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIMES = st.integers(-62_167_219_200 * 10**9, 253_402_300_799 * 10**9 + 999_999_999).map(format_time)
NAMES = st.binary(min_size=1, max_size=20).filter(is_valid_name)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)

NODES = st.builds(
    Node,
    name=NAMES.map(quote_name),
    type=st.sampled_from(sorted(NODE_TYPES)),
    mode=U32,
    mtime=TIMES,
    atime=TIMES,
    ctime=TIMES,
    uid=U32,
    gid=U32,
    user=WORDS,
    group=WORDS,
    inode=U64,
    device_id=U64,
    size=U64,
    links=U64,
    linktarget=WORDS,
    linktarget_raw=st.binary(max_size=9),
    extended_attributes=st.lists(st.tuples(NAMES, st.binary(max_size=9)), max_size=2).map(encode_xattrs),
    generic_attributes=st.none() | st.dictionaries(WORDS, WORDS | st.integers(0, 2**53), min_size=1, max_size=3),
    device=U64,
    content=st.none() | st.lists(HEX_ID, max_size=3),
    subtree=st.none() | HEX_ID,
    error=WORDS,
)


@given(st.lists(NODES, max_size=5, unique_by=lambda node: node.raw_name))
def test_a_tree_is_read_as_it_was_written(nodes: list[Node]) -> None:
    blob = encode_tree(nodes)
    tree = decode_tree(blob)
    assert tree.nodes == sorted(nodes, key=lambda node: node.raw_name)
    assert encode_tree(reversed(tree.nodes)) == blob
    for node in nodes:
        assert tree.find(node.raw_name) == node


def test_a_tree_is_spelled_as_go_spells_it() -> None:
    file = file_node(b'<&>"\n', [b"\1" * 32], 5)
    file.links = 1
    folder = dir_node(b"a", b"\2" * 32)
    times = f'"mtime":"{TIME}","atime":"{TIME}","ctime":"{TIME}","uid":0,"gid":0'
    assert encode_tree([file, folder]).decode() == (
        '{"nodes":['
        f'{{"name":"\\u003c\\u0026\\u003e\\\\\\"\\\\n","type":"file","mode":420,{times},"size":5,"links":1,'
        f'"content":["{"01" * 32}"]}},'
        f'{{"name":"a","type":"dir","mode":2147484141,{times},"content":null,"subtree":"{"02" * 32}"}}'
        "]}\n"
    )
    assert encode_tree([]) == b'{"nodes":[]}\n'


@given(st.binary(max_size=300))
def test_trees_of_any_bytes_are_read_or_damaged(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_tree(noise)


@pytest.mark.parametrize(
    "blob",
    [
        b'{"nodes":[{"name":"a","content":["xyz"]}]}',
        b'{"nodes":[{"name":"a","subtree":"AB"}]}',
        b'{"nodes":[{"name":1}]}',
        b'{"nodes":[{}]}',
        b'{"nodes":[{"name":"a","uid":-1}]}',
        b'{"nodes":[{"name":"\xff"}]}',
        b'{"nodes":' + b"[" * 5000,
    ],
)
def test_trees_with_wrong_values_are_damaged(blob: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_tree(blob)


def test_a_tree_of_few_words_is_read() -> None:
    (node,) = decode_tree(b'{"future":1,"nodes":[{"name":"a","type":"file","wings":2}]}').nodes
    assert (node.content, node.uid, node.mode, node.mtime) == (None, 0, 0, "0001-01-01T00:00:00Z")


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_names_no_directory_can_hold_are_not_written(name: bytes) -> None:
    with pytest.raises(ValueError, match="name"):
        encode_tree([Node(name=quote_name(name), type="file", content=[])])


def test_a_name_is_not_written_twice() -> None:
    with pytest.raises(ValueError, match="name"):
        encode_tree([file_node(b"a", [], 0), dir_node(b"a", bytes(32))])


def test_a_name_is_found_however_it_is_quoted() -> None:
    node = Node(name="\\x61", type="file", content=[])
    assert Tree([node]).find(b"a") is node
    assert Tree([node]).find(b"b") is None


# --- names ---------------------------------------------------------------------------------------------------


@given(st.binary(max_size=40))
def test_every_name_survives_quoting(name: bytes) -> None:
    quoted = quote_name(name)
    assert unquote_name(quoted) == name
    quoted.encode()
    assert quoted.isprintable()


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        (b"plain", "plain"),
        ("蔵箱".encode(), "蔵箱"),
        ("😀".encode(), "😀"),
        (b'a"b\\c', 'a\\"b\\\\c'),
        (b"\a\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v"),
        (b"\x00\x1f\x7f", "\\x00\\x1f\\x7f"),
        (b"\xff\x80", "\\xff\\x80"),
        ("\u00a0\u200b".encode(), "\\u00a0\\u200b"),
        ("\U000e0001".encode(), "\\U000e0001"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ],
)
def test_names_are_quoted_as_go_quotes_them(name: bytes, quoted: str) -> None:
    assert quote_name(name) == quoted
    assert unquote_name(quoted) == name


def test_escapes_only_go_readers_know() -> None:
    assert unquote_name("\\101\\u3042") == "Aあ".encode()


@pytest.mark.parametrize(
    "text", ['"', "\n", "\\", "\\q", "\\x1", "\\u12", "\\ud800", "\\U00110000", "\\777", "\\'", "\ud800", "a\ud800\\n"]
)
def test_what_go_cannot_unquote_is_damaged(text: str) -> None:
    with pytest.raises(DamagedData):
        unquote_name(text)


@given(st.text(max_size=20))
def test_any_text_is_unquoted_or_damaged(text: str) -> None:
    try:
        unquote_name(text)
    except DamagedData:
        pass


# --- modes, links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "permissions", "mode"),
    [
        ("symlink", 0o777, 134218239),
        ("dir", 0o755, 2147484141),
        ("file", 0o4755, 1 << 23 | 0o755),
        ("file", 0o2755, 1 << 22 | 0o755),
        ("dir", 0o1777, 1 << 31 | 1 << 20 | 0o777),
        ("chardev", 0o600, 1 << 26 | 1 << 21 | 0o600),
        ("dev", 0o600, 1 << 26 | 0o600),
        ("fifo", 0, 1 << 25),
        ("socket", 0, 1 << 24),
    ],
)
def test_modes_are_gos(kind: str, permissions: int, mode: int) -> None:
    assert go_mode(kind, permissions) == mode
    assert Node(name="a", type=kind, mode=mode).permissions == permissions


@given(st.binary(max_size=30))
def test_link_targets_survive(target: bytes) -> None:
    (node,) = decode_tree(encode_tree([Node(name="l", type="symlink", **link_fields(target))])).nodes
    assert node.link_target == target


# --- times ---------------------------------------------------------------------------------------------------


@given(st.integers(-62_167_219_200 * 10**9, 253_402_300_799 * 10**9 + 999_999_999))
def test_times_survive_to_the_nanosecond(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2024-01-02T03:04:05.1Z", 1_704_164_645_100_000_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200 * 10**9),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * 10**9),
    ],
)
def test_times_are_spelled_as_go_spells_them(text: str, ns: int) -> None:
    assert format_time(ns) == text
    assert parse_time(text) == ns


def test_times_of_other_zones_are_read() -> None:
    assert parse_time("2024-01-02T12:04:05.1000000009+09:00") == parse_time("2024-01-02T03:04:05.1Z")
    assert parse_time("2024-01-01T22:34:05-04:30") == parse_time("2024-01-02T03:04:05Z")


def test_times_beyond_four_digit_years_are_clamped() -> None:
    assert format_time(10**30) == "9999-12-31T23:59:59.999999999Z"
    assert format_time(-(10**30)) == "0000-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-02",
        "2024-13-01T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-01-02T24:00:00Z",
        "now",
        "２024-01-02T00:00:00Z",
    ],
)
def test_other_times_are_damaged(text: str) -> None:
    with pytest.raises(DamagedData):
        parse_time(text)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])))
def test_datetimes_survive(moment: datetime) -> None:
    utc = to_datetime(from_datetime(moment.replace(year=max(2, min(9998, moment.year)), day=1)))
    assert utc == moment.replace(year=max(2, min(9998, moment.year)), day=1)


# --- snapshots and locks -------------------------------------------------------------------------------------

COUNTS = {name: st.integers(0, 2**53) for name in SnapshotSummary.__struct_fields__ if not name.startswith("backup")}
SNAPSHOTS = st.builds(
    Snapshot,
    time=TIMES,
    parent=st.none() | HEX_ID,
    tree=HEX_ID,
    paths=st.lists(WORDS),
    hostname=WORDS,
    username=WORDS,
    uid=U32,
    gid=U32,
    excludes=st.lists(WORDS),
    tags=st.lists(WORDS),
    original=st.none() | HEX_ID,
    program_version=WORDS,
    summary=st.none() | st.builds(SnapshotSummary, backup_start=TIMES, backup_end=TIMES, **COUNTS),
)


@given(SNAPSHOTS)
def test_a_snapshot_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    name = os.urandom(32).hex()
    again = decode_snapshot(encode_snapshot(snapshot), name)
    assert again == msgspec.structs.replace(snapshot, id=name)
    assert b'"id"' not in encode_snapshot(again)


@pytest.mark.parametrize(
    "json", [b"{}", b"[]", b'{"time":"x","tree":"' + b"0" * 64 + b'"}', b'{"time":"2024-01-02T03:04:05Z","tree":""}']
)
def test_no_other_json_is_a_snapshot(json: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_snapshot(json, "name")


@given(st.binary(max_size=200))
def test_no_other_bytes_are_a_snapshot_or_a_lock(noise: bytes) -> None:
    with pytest.raises(DamagedData):
        decode_snapshot(noise, "name")
    with pytest.raises(DamagedData):
        decode_lock(noise)


@given(
    st.builds(
        LockFile,
        time=st.integers(0, 4 * 10**18).map(format_time),
        exclusive=st.booleans(),
        hostname=WORDS,
        username=WORDS,
        pid=U32,
        process=WORDS,
    )
)
def test_a_lock_is_read_as_it_was_written(lock: LockFile) -> None:
    json = msgspec.json.encode(lock)
    assert decode_lock(json) == lock
    assert b'"exclusive":' in json
