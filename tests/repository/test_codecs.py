"""Names, times, trees, snapshots and locks: what is written is read back, and what is no such file is damage."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from appliance.repository import DamagedData, Node, Snapshot, SnapshotSummary
from appliance.repository.lock import LockFile
from appliance.repository.names import quote_name, unquote_name
from appliance.repository.snapshot import decode_snapshot, encode_snapshot
from appliance.repository.timestamps import format_time, parse_time
from appliance.repository.tree import decode_tree, encode_tree, encode_xattrs, go_mode, is_valid_name, link_fields

RAW_NAMES = st.binary(min_size=1, max_size=40).filter(is_valid_name)
IDS = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIMES = st.integers(-(62 * 10**18), 253 * 10**18).map(format_time)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    kind = draw(st.sampled_from(["file", "dir", "symlink", "dev", "chardev", "fifo", "socket"]))
    fields = {
        "file": {"size": draw(U64), "content": draw(st.lists(IDS, max_size=3)), "links": draw(U64)},
        "dir": {"subtree": draw(IDS)},
        "symlink": link_fields(draw(st.binary(min_size=1, max_size=40))),
        "dev": {"device": draw(U64)},
        "chardev": {"device": draw(U64)},
    }.get(kind, {})
    return Node(
        name=quote_name(draw(RAW_NAMES)),
        type=kind,
        mode=go_mode(kind, draw(st.integers(0, 0o7777))),
        mtime=draw(TIMES),
        atime=draw(TIMES),
        ctime=draw(TIMES),
        uid=draw(U32),
        gid=draw(U32),
        user=draw(TEXTS),
        group=draw(TEXTS),
        inode=draw(U64),
        device_id=draw(U64),
        extended_attributes=encode_xattrs(draw(st.lists(st.tuples(st.just(b"user.a"), st.binary(max_size=30))))),
        **fields,
    )


@given(
    st.lists(
        st.binary(max_size=12)
        | st.text(max_size=6).map(str.encode)
        | st.lists(st.sampled_from([b"\\", b"x", b"5", b"c", b"9", b"2", b"\x92", "著".encode()])).map(b"".join),
        unique=True,
    )
)
def test_a_name_of_an_attribute_comes_back_whatever_bytes_it_has(names: list[bytes]) -> None:
    node = Node(name="a", type="file", content=[], extended_attributes=encode_xattrs((name, b"") for name in names))
    (read,) = decode_tree(encode_tree([node])).nodes
    assert [one.raw_name for one in read.extended_attributes or ()] == sorted(names)


SUMMARIES = st.builds(
    SnapshotSummary,
    backup_start=TIMES,
    backup_end=TIMES,
    files_new=st.integers(0, 2**62),
    data_added=st.integers(0, 2**62),
    total_bytes_processed=st.integers(0, 2**62),
)
SNAPSHOTS = st.builds(
    Snapshot,
    time=TIMES,
    parent=st.none() | IDS,
    tree=IDS,
    paths=st.lists(TEXTS, max_size=3),
    hostname=TEXTS,
    username=TEXTS,
    uid=U32,
    gid=U32,
    excludes=st.lists(TEXTS, max_size=2),
    tags=st.lists(TEXTS, max_size=2),
    original=st.none() | IDS,
    program_version=TEXTS,
    summary=st.none() | SUMMARIES,
    id=IDS,
)
LOCKS = st.builds(LockFile, time=TIMES, exclusive=st.booleans(), hostname=TEXTS, username=TEXTS, pid=U32, process=TEXTS)


@given(st.binary(max_size=80))
def test_any_name_survives(name: bytes) -> None:
    quoted = quote_name(name)
    assert unquote_name(quoted) == name
    quoted.encode("utf-8")


@given(st.integers(-(62 * 10**18), 253 * 10**18))
def test_any_time_survives_to_the_nanosecond(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@given(st.lists(nodes(), max_size=6, unique_by=lambda node: node.raw_name))
def test_any_tree_survives_in_the_order_of_its_names(some: list[Node]) -> None:
    blob = encode_tree(some)
    assert decode_tree(blob).nodes == sorted(some, key=lambda node: node.raw_name)
    assert encode_tree(reversed(some)) == blob, "one directory has one tree, in whatever order it was read"


@given(SNAPSHOTS)
def test_any_snapshot_survives(snapshot: Snapshot) -> None:
    assert decode_snapshot(encode_snapshot(snapshot), snapshot.id) == snapshot
    assert "id" not in msgspec.json.decode(encode_snapshot(snapshot)), "a snapshot's name is not in its file"


@given(LOCKS)
def test_any_lock_survives(lock: LockFile) -> None:
    assert msgspec.json.decode(msgspec.json.encode(lock), type=LockFile) == lock


@given(st.binary(max_size=200))
def test_what_is_no_tree_and_no_snapshot_is_damage(data: bytes) -> None:
    for decode in (decode_tree, lambda blob: decode_snapshot(blob, "0" * 64)):
        try:
            decode(data)
        except DamagedData:
            continue
        assert data.lstrip().startswith(b"{")
